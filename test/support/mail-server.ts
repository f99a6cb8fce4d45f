/**
 * A real mail server on a free port: what arrives is kept as it came over the wire. Its certificate is for localhost, signed
 * by itself and good for a hundred years; the key to it is for tests alone.
 */
import type { AddressInfo } from 'node:net';
import { SMTPServer, type SMTPServerOptions } from 'smtp-server';
import type { MailAccount } from '../../src/config/delivery.ts';
import { atEnd } from './cleanup.ts';

export const SERVER_CERTIFICATE = `-----BEGIN CERTIFICATE-----
MIIBmzCCAUGgAwIBAgIUfA/eygPGty0FGwYIWai4OSdHeeswCgYIKoZIzj0EAwIw
FDESMBAGA1UEAwwJbG9jYWxob3N0MCAXDTI2MTEyMjA1NTAyN1oYDzIxMjYxMDI5
MDU1MDI3WjAUMRIwEAYDVQQDDAlsb2NhbGhvc3QwWTATBgcqhkjOPQIBBggqhkjO
PQMBBwNCAASwmbvgL9Ds1vNWRuRDJUF9UwJ21EW1ckJLhZKXnOcy66A7YezDcy3O
ZVhRgdJ1E9DSk2C0C0bwtvKNc1WtDkgTo28wbTAdBgNVHQ4EFgQU7ST1dRsSddRc
LRZfP7iImfP6iQMwHwYDVR0jBBgwFoAU7ST1dRsSddRcLRZfP7iImfP6iQMwDwYD
VR0TAQH/BAUwAwEB/zAaBgNVHREEEzARgglsb2NhbGhvc3SHBH8AAAEwCgYIKoZI
zj0EAwIDSAAwRQIgUxewJH7ZRsaGIZol8sIoTMCyK6AKSiJr+2f5Q/1a1SICIQDG
vA02Uy4QvyoMCZu/v39nAHLVmAWf0Hxxv2aa8CKapw==
-----END CERTIFICATE-----`;
const SERVER_KEY = `-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgyJuuUhUsa3UXEpvw
xscdMfv4fetNw3mSYu5vXsksCPuhRANCAASwmbvgL9Ds1vNWRuRDJUF9UwJ21EW1
ckJLhZKXnOcy66A7YezDcy3OZVhRgdJ1E9DSk2C0C0bwtvKNc1WtDkgT
-----END PRIVATE KEY-----`;

export interface ArrivedMail {
  from: string;
  to: string[];
  /** Headers by lower-case name, unfolded. */
  headers: Map<string, string[]>;
  raw: string;
  /** How it was sent: over TLS, by which user, on which connection. */
  secure: boolean;
  user: string | undefined;
  connection: string;
  /** The decoded parts, by type. */
  parts: { type: string; text: string }[];
}

export interface MailServer {
  port: number;
  mails: ArrivedMail[];
  connections: number;
  /** The account that reaches it. */
  account(some?: Partial<MailAccount>): MailAccount;
  stop(): Promise<void>;
}

/** The only login that it knows. */
export const MAIL_LOGIN = { user: 'post', password: 'p:ss w\u00f6rd' };

/** @param options of smtp-server; by default neither TLS nor a login is asked for */
export async function startMailServer(options: SMTPServerOptions & { port?: number } = {}): Promise<MailServer> {
  const mails: ArrivedMail[] = [];
  let connections = 0;
  const server = new SMTPServer({
    key: SERVER_KEY,
    cert: SERVER_CERTIFICATE,
    authOptional: true,
    disabledCommands: ['AUTH', 'STARTTLS'],
    disableReverseLookup: true,
    logger: false,
    onConnect: (_session, done) => {
      connections += 1;
      done();
    },
    onAuth: ({ username, password }, _session, done) =>
      username === MAIL_LOGIN.user && password === MAIL_LOGIN.password
        ? done(null, { user: username })
        : done(Object.assign(new Error('Invalid credentials for post@example.com'), { responseCode: 535 })),
    onData: (stream, session, done) => {
      const chunks: Buffer[] = [];
      stream.on('data', (chunk: Buffer) => chunks.push(chunk));
      stream.on('end', () => {
        const { mailFrom, rcptTo } = session.envelope;
        const raw = Buffer.concat(chunks).toString('latin1');
        mails.push({
          from: mailFrom ? mailFrom.address : '',
          to: rcptTo.map(({ address }) => address),
          ...parsed(raw),
          raw,
          secure: session.secure,
          user: typeof session.user === 'string' ? session.user : undefined,
          connection: session.id,
        });
        done();
      });
    },
    ...options,
  });
  server.on('error', () => undefined);
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(options.port ?? 0, '127.0.0.1', resolve);
  });
  const { port } = server.server.address() as AddressInfo;
  let stopped: Promise<void> | undefined;
  const stop = (): Promise<void> => {
    stopped ??= new Promise((resolve) => server.close(() => resolve()));
    return stopped;
  };
  atEnd(stop);
  return {
    port,
    mails,
    get connections() {
      return connections;
    },
    account: (some = {}) => ({
      ...{ host: 'localhost', port, tls: 'off', login: null, from: { name: null, address: 'no-reply@example.com' }, replyTo: null, ca: null },
      ...some,
    }),
    stop,
  };
}

function parsed(raw: string): Pick<ArrivedMail, 'headers' | 'parts'> {
  const { headers, body } = split(raw);
  const type = headers.get('content-type')?.[0] ?? 'text/plain';
  const boundary = /boundary="?([^";]+)"?/.exec(type)?.[1];
  if (boundary === undefined) return { headers, parts: [decoded(headers, body)] };
  const parts = body.split(`--${boundary}`).slice(1, -1);
  return {
    headers,
    parts: parts.map((part) => {
      const inner = split(part.replace(/^\r\n/, ''));
      return decoded(inner.headers, inner.body);
    }),
  };
}

function split(raw: string): { headers: Map<string, string[]>; body: string } {
  const end = raw.indexOf('\r\n\r\n');
  const headers = new Map<string, string[]>();
  for (const line of raw
    .slice(0, end)
    .replaceAll(/\r\n[ \t]+/g, ' ')
    .split('\r\n')) {
    const colon = line.indexOf(':');
    const name = line.slice(0, colon).toLowerCase();
    headers.set(name, [...(headers.get(name) ?? []), line.slice(colon + 1).trim()]);
  }
  return { headers, body: raw.slice(end + 4) };
}

function decoded(headers: Map<string, string[]>, body: string): { type: string; text: string } {
  const type = (headers.get('content-type')?.[0] ?? 'text/plain').split(';', 1)[0] ?? '';
  const encoding = headers.get('content-transfer-encoding')?.[0] ?? '7bit';
  const bytes =
    encoding === 'base64'
      ? Buffer.from(body, 'base64')
      : encoding === 'quoted-printable'
        ? Buffer.from(
            body.replaceAll(/=\r\n/g, '').replaceAll(/=([0-9A-F]{2})/g, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16))),
            'latin1',
          )
        : Buffer.from(body, 'latin1');
  return { type, text: bytes.toString('utf8') };
}

/** A header's words, without the encoding of RFC 2047. */
export const unencoded = (header: string | undefined): string =>
  (header ?? '').replaceAll(/\?=\s+=\?/g, '?==?').replaceAll(/=\?utf-8\?([bq])\?([^?]*)\?=/gi, (_, kind: string, text: string) =>
    kind.toLowerCase() === 'b'
      ? Buffer.from(text, 'base64').toString('utf8')
      : Buffer.from(
          text.replaceAll('_', ' ').replaceAll(/=([0-9A-F]{2})/gi, (__, hex: string) => String.fromCharCode(Number.parseInt(hex, 16))),
          'latin1',
        ).toString('utf8'),
  );
