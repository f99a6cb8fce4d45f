/** Clients that authenticate by what they sign: their keys, their assertions, and what they ask by them. */
import { randomUUID } from 'node:crypto';
import { exportJWK, generateKeyPair, type JWTHeaderParameters, type JWTPayload, SignJWT } from 'jose';
import type { NewClient } from '../../src/admin/resources/clients.ts';
import type { RealmRow } from '../../src/store/realms.ts';
import { call } from './attack.ts';
import type { Cardea, TestClient } from './cardea.ts';

export const ASSERTION_TYPE = 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer';

export interface OwnKey {
  alg: string;
  kid: string;
  privateKey: Awaited<ReturnType<typeof generateKeyPair>>['privateKey'];
  publicJwk: Record<string, unknown>;
}

export async function ownKey(alg = 'ES256', kid: string = randomUUID()): Promise<OwnKey> {
  const { privateKey, publicKey } = await generateKeyPair(alg, { extractable: true });
  return { alg, kid, privateKey, publicJwk: { ...(await exportJWK(publicKey)), kid, use: 'sig' } };
}

/** The attributes of a client whose keys stand in its registration. */
export const keySetOf = (...keys: OwnKey[]): Record<string, string> => ({
  'use.jwks.string': 'true',
  'jwks.string': JSON.stringify({ keys: keys.map((key) => key.publicJwk) }),
});

/** A service that authenticates by its key. */
export const byKey = (attributes: Record<string, string>): Partial<NewClient> => ({
  serviceAccount: true,
  kept: { clientAuthenticatorType: 'client-jwt' },
  attributes,
});

export const issuerAt = (server: Pick<Cardea, 'origin'>, realm: RealmRow): string => `${server.origin}/realms/${realm.name}`;

export interface Signing {
  /** Undefined takes a claim away. */
  claims?: Record<string, unknown>;
  header?: Partial<JWTHeaderParameters>;
  key?: OwnKey | { secret: string; alg?: string };
}

/** Signed by a client for a realm, and good for a minute; whatever is said otherwise. */
export async function assertionOf(
  server: Pick<Cardea, 'origin'>,
  realm: RealmRow,
  client: Pick<TestClient, 'clientId'>,
  { claims = {}, header = {}, key }: Signing & { key: OwnKey | { secret: string; alg?: string } },
): Promise<string> {
  const now = Math.floor(Date.now() / 1000);
  const { clientId } = client;
  const all: JWTPayload = { iss: clientId, sub: clientId, aud: issuerAt(server, realm), jti: randomUUID(), iat: now, exp: now + 60, ...claims };
  const said = Object.fromEntries(Object.entries(all).filter(([, value]) => value !== undefined));
  const signing = 'secret' in key ? new TextEncoder().encode(key.secret) : key.privateKey;
  const marks = 'secret' in key ? { alg: key.alg ?? 'HS256' } : { alg: key.alg, kid: key.kid };
  return new SignJWT(said).setProtectedHeader({ ...marks, ...header }).sign(signing, { crit: { cardea: true } });
}

/** A request for a service's own token, authenticated by an assertion. */
export const serviceToken = (node: Cardea, realm: RealmRow, assertion: string, more: Record<string, string> = {}) =>
  call(node, realm, 'token', { grant_type: 'client_credentials', client_assertion_type: ASSERTION_TYPE, client_assertion: assertion, ...more });
