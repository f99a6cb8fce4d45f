/** The password grant as a script uses it. */
import { decodeJwt, type JWTPayload } from 'jose';
import type { RealmRow } from '../../src/store/realms.ts';
import { basic, call } from './attack.ts';
import type { Cardea, TestClient } from './cardea.ts';

type Answered = Awaited<ReturnType<typeof call>>;

/** One request of `admin-cli`, or of the client whose headers and fields are given. */
export const passwordGrant = (
  server: Cardea,
  realm: RealmRow,
  fields: Record<string, string>,
  headers: Record<string, string> = {},
): Promise<Answered> => {
  const client: Record<string, string> = headers.authorization === undefined ? { client_id: 'admin-cli' } : {};
  return call(server, realm, 'token', { grant_type: 'password', ...client, ...fields }, headers);
};

/** A confidential client that allows direct access. */
export async function directClient(server: Cardea, realm: RealmRow): Promise<{ client: TestClient; headers: Record<string, string> }> {
  const client = await server.client(realm);
  await allowDirectAccess(server, client);
  return { client, headers: basic(client) };
}

export async function allowDirectAccess(server: Cardea, { row }: TestClient): Promise<void> {
  await server.db.knex('clients').where({ realm_id: row.realmId, id: row.id }).update({ direct_access: true });
}

/** A text of an answer, such as a token. */
export function textOf({ body, status }: Answered, name: string): string {
  const value = body[name];
  if (typeof value !== 'string') throw new Error(`No ${name} in the answer: ${status} ${JSON.stringify(body)}`);
  return value;
}

export const claimsOf = (answer: Answered, name = 'access_token'): JWTPayload => decodeJwt(textOf(answer, name));
