/** Token exchange as a service uses it, and clients that call one another. */
import { randomUUID } from 'node:crypto';
import { decodeJwt, decodeProtectedHeader, importJWK, type JWK, type JWTPayload } from 'jose';
import type { RealmRow } from '../../src/store/realms.ts';
import { signingKeySeal, signingKeys } from '../../src/store/signing-keys.ts';
import { call, credentialsOf, type Scene } from './attack.ts';
import type { Cardea, TestClient } from './cardea.ts';
import { type RelyingParty, relyingParty } from './sign-in.ts';
import { until } from './until.ts';

export const TOKEN_EXCHANGE = 'urn:ietf:params:oauth:grant-type:token-exchange';
export const ACCESS_TOKEN = 'urn:ietf:params:oauth:token-type:access_token';
export const ID_TOKEN = 'urn:ietf:params:oauth:token-type:id_token';
export const JWT = 'urn:ietf:params:oauth:token-type:jwt';
export const REFRESH_TOKEN = 'urn:ietf:params:oauth:token-type:refresh_token';

/** Changes a client's row as an administrator would, on every node. */
export async function changeClient(server: Cardea, { row }: TestClient, changes: Record<string, unknown>): Promise<void> {
  await server.db
    .knex('clients')
    .where({ realm_id: row.realmId, id: row.id })
    .update({ ...changes, updated_at: Date.now() + Math.floor(Math.random() * 1000) + 1 });
  await server.db.changes.announce(`client:${row.realmId}`);
}

export const setAttributes = (server: Cardea, client: TestClient, attributes: Record<string, string>): Promise<void> =>
  changeClient(server, client, { attributes: JSON.stringify(attributes) });

/** A client whose users' tokens are for others too. */
export async function addAudience(server: Cardea, realm: RealmRow, from: TestClient, to: string): Promise<void> {
  await server.db.knex('protocol_mappers').insert({
    realm_id: realm.id,
    id: randomUUID(),
    client_id: from.row.id,
    name: `for ${to}`,
    protocol: 'openid-connect',
    mapper: 'oidc-audience-mapper',
    config: JSON.stringify({ 'included.client.audience': to, 'access.token.claim': 'true' }),
  });
  await changeClient(server, from, {});
}

/** A service that is called with tokens of `caller`, and may exchange them. */
export async function serviceBehind(
  server: Cardea,
  realm: RealmRow,
  caller: TestClient,
  attributes: Record<string, string> = {},
): Promise<RelyingParty> {
  const client = await server.client(realm, { serviceAccount: true });
  await setAttributes(server, client, { 'standard.token.exchange.enabled': 'true', ...attributes });
  await addAudience(server, realm, caller, client.clientId);
  return relyingParty(server, realm, client);
}

export const exchange = (
  { server, realm }: Pick<Scene, 'server' | 'realm'>,
  service: RelyingParty,
  subject: unknown,
  more: Record<string, string> | [string, string][] = {},
  headers: Record<string, string> = {},
): ReturnType<typeof call> => {
  const sent = new URLSearchParams({ grant_type: TOKEN_EXCHANGE, subject_token: String(subject), subject_token_type: ACCESS_TOKEN });
  for (const [name, value] of Array.isArray(more) ? more : Object.entries(more)) {
    if (sent.has(name) && !Array.isArray(more)) sent.set(name, value);
    else sent.append(name, value);
  }
  return call(server, realm, 'token', sent, { ...credentialsOf(service), ...headers });
};

/** The token of a client's own service account. */
export async function serviceToken(
  { server, realm }: Pick<Scene, 'server' | 'realm'>,
  service: RelyingParty,
  headers: Record<string, string> = {},
): Promise<string> {
  const { status, body } = await call(server, realm, 'token', { grant_type: 'client_credentials' }, { ...credentialsOf(service), ...headers });
  if (typeof body.access_token !== 'string') throw new Error(`No token of a service account: ${status} ${JSON.stringify(body)}`);
  return body.access_token;
}

export const saidBy = (token: unknown): JWTPayload => decodeJwt(String(token));

/** Rows that are written soon after: what is there once something is. */
export async function eventually<T>(look: () => Promise<T[]>): Promise<T[]> {
  let found: T[] = [];
  await until(async () => {
    found = await look();
    return found.length > 0;
  });
  return found;
}

/** The key that a realm signed a token with: what is tried with it, only the realm itself could make. */
export async function realmKey({ server, realm }: Pick<Scene, 'server' | 'realm'>, token: string) {
  const { kid, alg = 'RS256' } = decodeProtectedHeader(token);
  const row = (await signingKeys(server.db.knex, realm.id)).find((key) => key.id === kid);
  if (!row) throw new Error('The realm has no such key.');
  const jwk: JWK = JSON.parse(await server.keyring.openText(signingKeySeal(row), row.privateJwk));
  return { header: { alg, kid: String(kid), typ: 'JWT' }, key: await importJWK(jwk, alg) };
}
