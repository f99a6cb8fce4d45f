/**
 * Whose a client is to change. Whoever has a client's secret speaks for its service account, and whoever says where its
 * users are sent gets what they bring: neither may lead to more than a limited administrator has.
 */
import { forbidden } from '../../errors.ts';
import type { ClientRow } from '../../store/clients.ts';
import { findRoles } from '../../store/role-lists.ts';
import { serviceAccountUser } from '../../store/users.ts';
import { isBuiltIn, requireClientById } from '../resources/client-changes.ts';
import { managesEverything, requireNoMore, requireTakeable } from './grantable.ts';
import type { RealmCall } from './operation.ts';

/** More than any client has. */
const MOST_ROLES = 10_000;

/** @throws 403 for a client whose service account manages more than the caller, and for one that the realm is managed by */
export async function requireYours(call: RealmCall, client: ClientRow): Promise<void> {
  const { operator, realm } = call;
  if (isBuiltIn(realm, client) && !(await managesEverything(call)))
    throw forbidden(`Client "${client.clientId}" comes with the realm: it is changed by whoever manages all of the realm.`);
  const user = await serviceAccountUser(operator.db.knex, realm.id, client.id);
  if (user) await requireNoMore(call, user);
}

/** The client of a path, which is to be changed. @throws 404 where there is none, 403 where it is not the caller's to change */
export async function yourClient(call: RealmCall, id: string): Promise<ClientRow> {
  const client = await requireClientById(call.operator, call.realm, id);
  await requireYours(call, client);
  return client;
}

/** The same for deleting, which takes the client's roles away from everybody. */
export async function requireYoursToDelete(call: RealmCall, client: ClientRow): Promise<void> {
  await requireYours(call, client);
  await requireTakeable(call, await findRoles(call.operator.db.knex, call.realm.id, client.id, undefined, { first: 0, max: MOST_ROLES }));
}
