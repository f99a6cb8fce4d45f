/** What a client authenticates with, as options of `cardea client create` and `update`. */
import type { Command } from 'commander';
import { attributesOf } from '../admin/resources/client-credentials.ts';
import type { ClientFields } from '../admin/resources/client-input.ts';
import { badInput } from '../errors.ts';
import { KEYS, SELF_SIGNED, SUBJECT } from '../realms/client-credentials.ts';
import { readBounded, reasonOf } from './files.ts';

/** Larger than any set of keys. */
const MAX_BYTES = 100_000;

export interface KeyOptions {
  authenticator?: string;
  jwksUrl?: string;
  jwks?: string;
  certificate?: string;
  certificateSubject?: string;
}

export const withKeyOptions = (command: Command): Command =>
  command
    .option('--authenticator <type>', 'how it says who it is: client-secret, client-secret-jwt, client-jwt or client-x509')
    .option('--jwks-url <url>', 'where its public keys are (client-jwt)')
    .option('--jwks <file>', 'a JSON Web Key Set with its public keys (client-jwt)')
    .option('--certificate <file>', 'a certificate in PEM with its public key (client-jwt), or the one of its TLS (client-x509)')
    .option('--certificate-subject <name>', 'the name in its TLS certificate, such as CN=robot,O=Example (client-x509)');

/** What these options say; keys without an authenticator mean the one that uses them. */
export function keyFields(options: KeyOptions): Pick<ClientFields, 'attributes' | 'kept'> {
  const { jwksUrl, jwks, certificate, certificateSubject } = options;
  const given = [jwksUrl, jwks, certificate].filter((one) => one !== undefined);
  if (given.length > 1) throw badInput('jwks-url', '--jwks-url, --jwks and --certificate are one or the other: a client has its keys in one place.');
  const keys =
    jwksUrl !== undefined
      ? { ...attributesOf({ format: 'none' }), [KEYS.useUrl]: 'true', [KEYS.url]: jwksUrl }
      : jwks !== undefined
        ? attributesOf({ format: 'JSON Web Key Set', text: fileOf('jwks', jwks) })
        : certificate !== undefined
          ? attributesOf({ format: 'Certificate PEM', text: fileOf('certificate', certificate) })
          : undefined;
  const subject = certificateSubject === undefined ? undefined : { [SUBJECT]: certificateSubject };
  const authenticator = options.authenticator ?? (keys ? 'client-jwt' : subject ? 'client-x509' : undefined);
  // A certificate by the name in it, or as it is.
  const selfSigned = authenticator === 'client-x509' && (keys || subject) ? { [SELF_SIGNED]: subject ? null : 'true' } : undefined;
  return {
    ...(keys || subject ? { attributes: { ...keys, ...subject, ...selfSigned } } : {}),
    ...(authenticator === undefined ? {} : { kept: { clientAuthenticatorType: authenticator } }),
  };
}

function fileOf(option: string, file: string): string {
  try {
    return readBounded(file, MAX_BYTES).toString('utf8');
  } catch (error) {
    throw badInput(option, `${file} cannot be read: ${reasonOf(error)}.`);
  }
}
