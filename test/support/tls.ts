/**
 * https for tests: a certificate that is its own authority, for localhost and 127.0.0.20 to 39, made once with openssl (P-256,
 * a hundred years), and a server that ends TLS before a Cardea as a proxy in production does.
 */

import { writeFileSync } from 'node:fs';
import { request } from 'node:http';
import { createServer } from 'node:https';
import { atEnd } from './cleanup.ts';
import { temporaryFolder } from './databases.ts';

export const CERTIFICATE = `-----BEGIN CERTIFICATE-----
MIICLjCCAdOgAwIBAgIUKovz/7hI9x2vYLTjlfxWHzofkpQwCgYIKoZIzj0EAwIw
FzEVMBMGA1UEAwwMQ2FyZGVhIHRlc3RzMCAXDTI2MTEyMjExNTQyMFoYDzIxMjYx
MDI5MTE1NDIwWjAXMRUwEwYDVQQDDAxDYXJkZWEgdGVzdHMwWTATBgcqhkjOPQIB
BggqhkjOPQMBBwNCAAStKoIvMHuuBXZ048HKf3+nBoBzqk9J81mZ/FgNRkprj2ol
kkFAN8qBreKbvrZJlkink6GcRfcG/8XoxAlnacvgo4H6MIH3MB0GA1UdDgQWBBSK
6/RaPJ7WmWeiBAS5BE9nAHLjFTAfBgNVHSMEGDAWgBSK6/RaPJ7WmWeiBAS5BE9n
AHLjFTCBowYDVR0RBIGbMIGYgglsb2NhbGhvc3SCDSouZXhhbXBsZS5jb22HBH8A
AAGHBH8AABSHBH8AABWHBH8AABaHBH8AABeHBH8AABiHBH8AABmHBH8AABqHBH8A
ABuHBH8AAByHBH8AAB2HBH8AAB6HBH8AAB+HBH8AACCHBH8AACGHBH8AACKHBH8A
ACOHBH8AACSHBH8AACWHBH8AACaHBH8AACcwDwYDVR0TAQH/BAUwAwEB/zAKBggq
hkjOPQQDAgNJADBGAiEAyRewxAOIwIG5rwpnd2UEQXU4tjC4u70dy//1bY6DyXsC
IQCbOxd+061PYWys8QwD5dsTrwzHG7eFFv8eFvnLidgrwA==
-----END CERTIFICATE-----`;

const KEY = `-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgT7Xts7ckSFFyBuPY
6c8rCcvVeYe129Is9qyM4nMwvSqhRANCAAStKoIvMHuuBXZ048HKf3+nBoBzqk9J
81mZ/FgNRkprj2olkkFAN8qBreKbvrZJlkink6GcRfcG/8XoxAlnacvg
-----END PRIVATE KEY-----`;

/** Both as files, for programs that read such. */
export function tlsFiles(): { certificate: string; key: string } {
  const folder = temporaryFolder();
  const files = { certificate: `${folder}/certificate.pem`, key: `${folder}/key.pem` };
  writeFileSync(files.certificate, `${CERTIFICATE}\n`);
  writeFileSync(files.key, `${KEY}\n`);
  return files;
}

/** Passes on at `https://localhost:port` what is asked of it; closed after the last test of the file. @param to answers where the server behind is */
export async function startTlsFront(port: number, to: () => string): Promise<void> {
  const server = createServer({ cert: CERTIFICATE, key: KEY }, (incoming, outgoing) => {
    const { hostname, port: behind } = new URL(to());
    const headers = { ...incoming.headersDistinct, host: incoming.headers.host, 'x-forwarded-for': incoming.socket.remoteAddress ?? '' };
    const sent = request({ hostname, port: behind, method: incoming.method, path: incoming.url, headers, agent: false }, (answer) => {
      outgoing.writeHead(answer.statusCode ?? 502, answer.rawHeaders);
      answer.pipe(outgoing);
    });
    sent.once('error', () => void outgoing.destroy());
    incoming.pipe(sent);
  });
  await new Promise<void>((resolve) => server.listen(port, 'localhost', resolve));
  atEnd(() => {
    server.closeAllConnections();
    server.close();
  });
}
