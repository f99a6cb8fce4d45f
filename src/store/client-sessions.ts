/** Sessions at one client: those that stand, and those with an offline token. */
import type { Knex } from 'knex';
import type { Place } from './role-lists.ts';
import { type Alive, type ListedSession, standing, withClients } from './session-lists.ts';

type AtClient = (knex: Knex, realmId: string, clientRowId: string, alive: Alive) => Knex.QueryBuilder;

const standingAt: AtClient = (knex, realmId, clientRowId, alive) =>
  standing(knex, realmId, alive).whereIn(
    'sessions.id',
    knex('session_clients').where({ realm_id: realmId, client_id: clientRowId }).select('session_id'),
  );

/** Alive or not: an offline token outlives its session. */
const offlineAt: AtClient = (knex, realmId, clientRowId) =>
  knex('sessions')
    .where('sessions.realm_id', realmId)
    .whereIn('sessions.id', knex('session_clients').where({ realm_id: realmId, client_id: clientRowId, offline: true }).select('session_id'));

/** The session that a client's tokens name by this `sid`. */
export async function sessionIdBySid(knex: Knex, realmId: string, sid: string): Promise<string | undefined> {
  return (await knex('session_clients').where({ realm_id: realmId, sid }).first('session_id'))?.session_id;
}

/** One page, newest first. */
export const sessionsAtClient = (
  knex: Knex,
  realmId: string,
  clientRowId: string,
  options: { offline: boolean; alive: Alive; place: Place },
): Promise<ListedSession[]> =>
  withClients(knex, realmId, (options.offline ? offlineAt : standingAt)(knex, realmId, clientRowId, options.alive), options.offline, options.place);

export async function countSessionsAtClient(
  knex: Knex,
  realmId: string,
  clientRowId: string,
  options: { offline: boolean; alive: Alive },
): Promise<number> {
  const row = await (options.offline ? offlineAt : standingAt)(knex, realmId, clientRowId, options.alive).count({ n: '*' }).first();
  return Number(row?.n ?? 0);
}
