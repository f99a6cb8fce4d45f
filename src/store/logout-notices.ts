/**
 * Back-channel logouts: each row tells one client of the end of one session, which it knows by its sid. A row is written in
 * the transaction of the ending, where the client says by Keycloak's attribute where it listens.
 *
 *     a session ends ──────────────────────────────────────────► waiting ─► delivered, or failed after about a day
 *     a client's tokens end and the session goes on ─► held ─┘ when the session ends
 *
 * What is held is of a client that has lost its place in a session that goes on, by a revocation or a sign-in that took its
 * place: the application may go on all the same, and is to hear of the end of the session it was in.
 */
import { randomUUID } from 'node:crypto';
import type { Knex } from 'knex';
import { type Attempted, type Claim, claimRows, type DeliveryTable, finishClaimed, isAnythingDue, putOffClaimed } from './deliveries.ts';
import { onceCommitted } from './lastly.ts';
import { fromJson, stringMap } from './rows.ts';

/** Keycloak's attributes. */
export const LOGOUT_URL = 'backchannel.logout.url';
export const ENDS_OFFLINE = 'backchannel.logout.revoke.offline.tokens';

/** Picks clients that listen. Attributes are JSON as `clientRecord` writes it, where no quote of a value stands alone. */
export const LISTENS = `clients.attributes LIKE '%"${LOGOUT_URL}":"%'`;

/** A place of a client in a session, which has come to its end. */
export interface Place {
  clientRowId: string;
  sessionId: string;
  userId: string;
  sid: string;
}

/** Statements of both engines take so many values at most. */
const ROWS_AT_ONCE = 500;

/** @param state `held` until the session ends, or `waiting` to be sent at `dueAt` */
export async function insertNotices(
  trx: Knex.Transaction,
  realmId: string,
  places: readonly Place[],
  { state, dueAt }: { state: 'held' | 'waiting'; dueAt: number },
): Promise<void> {
  for (let start = 0; start < places.length; start += ROWS_AT_ONCE) {
    const rows = places.slice(start, start + ROWS_AT_ONCE).map((place) => ({
      ...{ realm_id: realmId, id: randomUUID(), client_id: place.clientRowId, session_id: place.sessionId, user_id: place.userId },
      ...{ sid: place.sid, state, attempts: 0, due_at: dueAt, created_at: dueAt },
    }));
    await trx('logout_notices').insert(rows).onConflict(['realm_id', 'sid']).ignore();
  }
  if (state === 'waiting' && places.length > 0) tell(trx);
}

type Listener = () => void;
const listeners = new Set<Listener>();

/** Tells `listener` when this process has committed something to be sent: nobody waits for the next look. Answers how to stop it. */
export function onNotices(listener: Listener): () => void {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

function tell(trx: Knex.Transaction): void {
  onceCommitted(trx, () => {
    for (const listener of listeners) listener();
  });
}

/** What was held of sessions goes out now that they have ended. */
export async function releaseNotices(trx: Knex.Transaction, realmId: string, sessionIds: readonly string[], now: number): Promise<void> {
  const held = trx('logout_notices').where({ realm_id: realmId }).whereRaw("state = 'held'");
  const released = await held.whereIn('session_id', [...sessionIds]).update({ state: 'waiting', due_at: now, created_at: now });
  if (released > 0) tell(trx);
}

/** Holds a notice for each of these grants whose client listens and whose session goes on. Answers which sessions these are. */
export async function holdNotices(trx: Knex.Transaction, realmId: string, grantIds: readonly string[]): Promise<string[]> {
  const places: { client_id: string; session_id: string; user_id: string; sid: string; created_at: number }[] = await trx('session_clients')
    .join('sessions', (on) => on.on('sessions.realm_id', 'session_clients.realm_id').andOn('sessions.id', 'session_clients.session_id'))
    .join('clients', (on) => on.on('clients.realm_id', 'session_clients.realm_id').andOn('clients.id', 'session_clients.client_id'))
    .where('session_clients.realm_id', realmId)
    .whereIn('session_clients.grant_id', [...grantIds])
    .whereNull('sessions.ended_at')
    .whereRaw(LISTENS)
    .select('session_clients.client_id', 'session_clients.session_id', 'sessions.user_id', 'session_clients.sid', 'session_clients.created_at');
  for (const { client_id, session_id, user_id, sid, created_at } of places)
    await insertNotices(trx, realmId, [{ clientRowId: client_id, sessionId: session_id, userId: user_id, sid }], {
      state: 'held',
      dueAt: created_at,
    });
  return places.map(({ session_id }) => session_id);
}

export interface NoticeRow extends Place {
  realmId: string;
  id: string;
  attempts: number;
  claimedUntil: number | null;
}

interface NoticeRecord {
  realm_id: string;
  id: string;
  client_id: string;
  session_id: string;
  user_id: string;
  sid: string;
  attempts: number;
  claimed_until: number | null;
}

const fromRecord = (row: NoticeRecord): NoticeRow => ({
  realmId: row.realm_id,
  id: row.id,
  clientRowId: row.client_id,
  sessionId: row.session_id,
  userId: row.user_id,
  sid: row.sid,
  attempts: row.attempts,
  claimedUntil: row.claimed_until,
});

const TABLE: DeliveryTable = { table: 'logout_notices', receiver: 'client_id' };

/** Takes notices that are due for as long as the claim lasts, and counts an attempt of each. Of several workers each goes to one. */
export async function claimNotices(knex: Knex, claim: Claim): Promise<NoticeRow[]> {
  if (!(await isAnythingDue(knex, TABLE, claim.now))) return [];
  return (await claimRows<NoticeRecord>(knex, TABLE, claim)).map(fromRecord);
}

/** It arrived, or is given up. */
export const finishNotice = (knex: Knex, row: NoticeRow, state: 'delivered' | 'failed', attempted: Attempted, now: number): Promise<boolean> =>
  finishClaimed(knex, TABLE, row, state, attempted, now);

/** It will be tried again at `dueAt`. */
export const putOffNotice = (knex: Knex, row: NoticeRow, dueAt: number, attempted: Attempted): Promise<boolean> =>
  putOffClaimed(knex, TABLE, row, dueAt, attempted);

/** What a logout token is made of besides its notice. */
export interface Addressee {
  clientId: string;
  attributes: Record<string, string>;
}

export async function addresseeOf(knex: Knex, { realmId, clientRowId }: NoticeRow): Promise<Addressee | undefined> {
  const found = await knex('clients').where({ realm_id: realmId, id: clientRowId }).first({ clientId: 'client_id', attributes: 'attributes' });
  return found && { ...found, attributes: fromJson(stringMap, found.attributes, `client ${found.clientId}`) };
}
