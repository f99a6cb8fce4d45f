/** Keycloak's own client for its Admin REST API, and what its errors hold. */
import KeycloakAdminClient, { NetworkError } from '@keycloak/keycloak-admin-client';
import { createClient } from '../../src/admin/resources/clients.ts';
import { giveRoles, type RoleName } from '../../src/admin/resources/roles.ts';
import type { RealmRow } from '../../src/store/realms.ts';
import { serviceAccountUser } from '../../src/store/users.ts';
import { serviceToken } from './admin.ts';
import type { Cardea } from './cardea.ts';

export function keycloakClient(server: Cardea, realm: RealmRow, token: string): KeycloakAdminClient {
  const client = new KeycloakAdminClient({ baseUrl: server.origin, realmName: realm.name });
  client.setAccessToken(token);
  return client;
}

/** A client of a service account of the realm with these of its management roles and no more, and the id of its user. */
export async function limitedClient(
  server: Cardea,
  realm: RealmRow,
  roles: readonly string[],
): Promise<{ client: KeycloakAdminClient; token: string; userId: string }> {
  const secret = 'a secret of a limited account';
  const clientId = `limited-${crypto.randomUUID()}`;
  const { client } = await createClient(server.operator(), realm, { clientId, secret, firstParty: true, serviceAccount: true });
  const user = await serviceAccountUser(server.db.knex, realm.id, client.id);
  if (!user) throw new Error('A service account has a user.');
  const management = realm.name === 'master' ? 'master-realm' : 'realm-management';
  await giveRoles(
    server.operator(),
    realm,
    user,
    roles.map((name): RoleName => ({ name, client: management })),
  );
  const token = await serviceToken(server, realm.name, clientId, secret);
  return { client: keycloakClient(server, realm, token), token, userId: user.id };
}

/** What a refused request answered. */
export async function refusal(work: Promise<unknown>): Promise<{ status: number; body: { errorMessage?: string; field?: string } }> {
  try {
    await work;
  } catch (error) {
    if (error instanceof NetworkError) return { status: error.response.status, body: Object(error.responseData) };
    throw error;
  }
  throw new Error('It was not refused.');
}

/** How many statements a piece of work runs: the least of three times, for the server has errands of its own. For tests that are alone. */
export async function statementsOf(server: Cardea, work: () => Promise<unknown>): Promise<number> {
  const counts = [await countedOnce(server, work), await countedOnce(server, work), await countedOnce(server, work)];
  return Math.min(...counts);
}

async function countedOnce(server: Cardea, work: () => Promise<unknown>): Promise<number> {
  let count = 0;
  const counted = (): void => {
    count += 1;
  };
  server.db.knex.on('query', counted);
  try {
    await work();
  } finally {
    server.db.knex.removeListener('query', counted);
  }
  return count;
}
