/** Certificates as an authority of a company makes them, by openssl, and tests that need it. */
import { execFileSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { type EngineUnderTest, temporaryFolder } from './databases.ts';

/** Whether this machine has one. */
const hasOpenssl = ((): boolean => {
  try {
    execFileSync('openssl', ['version'], { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
})();

type Register = EngineUnderTest['test'];

const withoutOpenssl: Register = (title) => {
  if (process.env.REQUIRE_OPENSSL === '1') test(title, (t) => t.fail('REQUIRE_OPENSSL=1, but there is no openssl in the path; install it'));
  else test.skip(`${title} (needs openssl)`, () => undefined);
};

/** Registers a test as it is told; without openssl the test is skipped, or fails where REQUIRE_OPENSSL=1 says that it must be there. */
export const needsOpenssl = (register: Register): Register => (hasOpenssl ? register : withoutOpenssl);

/** The same for a test of an engine, or for what registers one that needs another program as well. */
export const withOpenssl = (engine: EngineUnderTest, how: 'test' | 'serial' | Register = 'test'): Register =>
  hasOpenssl ? (typeof how === 'string' ? engine[how] : how) : (title, body) => withoutOpenssl(`${title} [${engine.engine}]`, body);

export interface Made {
  keyFile: string;
  certFile: string;
  key: string;
  cert: string;
}

export interface Authority extends Made {
  /** A certificate for a name such as `/C=SE/O=Example/CN=robot`. */
  sign(subject: string, options?: { uses?: string; ca?: boolean; name?: string }): Authority;
}

const EC = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-utf8'];
let made = 0;

const read = (keyFile: string, certFile: string): Made => ({
  ...{ keyFile, certFile },
  key: readFileSync(keyFile, 'utf8'),
  cert: readFileSync(certFile, 'utf8'),
});

function places(): [key: string, cert: string, folder: string] {
  const folder = temporaryFolder();
  made += 1;
  return [join(folder, `${made}.key`), join(folder, `${made}.pem`), folder];
}

export function makeAuthority(subject: string): Authority {
  const [keyFile, certFile] = places();
  execFileSync('openssl', ['req', '-x509', ...EC, '-days', '30', '-keyout', keyFile, '-out', certFile, '-subj', subject], { stdio: 'ignore' });
  return authorityOf(read(keyFile, certFile));
}

const authorityOf = (own: Made): Authority => ({
  ...own,
  sign(subject, { uses = 'clientAuth', ca = false, name } = {}) {
    const [key, cert, folder] = places();
    const request = join(folder, 'request.pem');
    const extensions = join(folder, 'extensions.cnf');
    const says = [
      `basicConstraints=CA:${ca ? 'TRUE' : 'FALSE'}`,
      ...(uses === '' ? [] : [`extendedKeyUsage=${uses}`]),
      ...(name ? [`subjectAltName=DNS:${name}`] : []),
    ];
    writeFileSync(extensions, says.join('\n'));
    execFileSync('openssl', ['req', '-new', ...EC, '-keyout', key, '-out', request, '-subj', subject], { stdio: 'ignore' });
    const by = ['-CA', own.certFile, '-CAkey', own.keyFile, '-CAcreateserial'];
    execFileSync('openssl', ['x509', '-req', '-in', request, ...by, '-extfile', extensions, '-days', '10', '-out', cert], { stdio: 'ignore' });
    return authorityOf(read(key, cert));
  },
});

/** Signed by nobody but its own key. @param options.keyFile another one's key, in the place of a new one */
export function selfSigned(subject: string, options: { keyFile?: string } = {}): Made {
  const [ownFile, certFile] = places();
  const { keyFile = ownFile } = options;
  const own = ['-addext', 'basicConstraints=critical,CA:FALSE'];
  const key = options.keyFile === undefined ? [...EC, '-keyout', keyFile] : ['-key', keyFile, '-utf8'];
  execFileSync('openssl', ['req', '-x509', ...key, '-days', '10', '-out', certFile, '-subj', subject, ...own], {
    stdio: 'ignore',
  });
  return read(keyFile, certFile);
}

/** As nginx passes a certificate on ($ssl_client_escaped_cert). */
export const escaped = ({ cert }: Pick<Made, 'cert'>): string => encodeURIComponent(cert);
