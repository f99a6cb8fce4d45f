/** DPoP proofs (RFC 9449 section 4.2) as an attacker makes them: right but for what a test says. */
import { createHash, randomUUID } from 'node:crypto';
import { type CryptoKey, calculateJwkThumbprint, exportJWK, generateKeyPair, type JWK, type JWTPayload, SignJWT } from 'jose';
import type { Scene } from './attack.ts';

export interface ProofKey {
  publicJwk: JWK;
  privateKey: CryptoKey;
}

export async function proofKey(algorithm = 'ES256'): Promise<ProofKey> {
  const { publicKey, privateKey } = await generateKeyPair(algorithm, { extractable: true });
  return { publicJwk: await exportJWK(publicKey), privateKey };
}

/** What a token says that is bound to a key (section 6.1). */
export const jktOf = ({ publicJwk }: ProofKey): Promise<string> => calculateJwkThumbprint(publicJwk);

export const athOf = (token: string): string => createHash('sha256').update(token).digest('base64url');

/** @param wrong claims and header members in the place of the right ones */
export async function proofOf(
  { publicJwk, privateKey }: ProofKey,
  request: { method: string; url: string; token?: string },
  wrong: { claims?: JWTPayload; header?: Record<string, unknown> } = {},
): Promise<string> {
  const claims = {
    ...{ htm: request.method, htu: request.url, jti: randomUUID(), iat: Math.floor(Date.now() / 1000) },
    ...(request.token === undefined ? {} : { ath: athOf(request.token) }),
    ...wrong.claims,
  };
  const header = { alg: 'ES256', typ: 'dpop+jwt', jwk: publicJwk, ...wrong.header };
  return new SignJWT(claims).setProtectedHeader(header).sign(privateKey);
}

/** A header with a fresh proof for the token endpoint. */
export async function tokenProof(
  { server, realm }: Pick<Scene, 'server' | 'realm'>,
  key: ProofKey,
  wrong: Parameters<typeof proofOf>[2] = {},
): Promise<{ dpop: string }> {
  return { dpop: await proofOf(key, { method: 'POST', url: `${server.origin}/realms/${realm.name}/protocol/openid-connect/token` }, wrong) };
}
