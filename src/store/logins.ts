/** Sign-ins under way. Every change is a compare-and-set on the version, and renews the transaction cookie when a proof was accepted. */
import type { Knex } from 'knex';
import type { SealContext } from '../crypto/seal.ts';
import type { PayloadKey } from './oidc-payloads.ts';
import { prepared, rounded } from './prepared.ts';
import type { SealedColumn } from './sealed-columns.ts';

export interface LoginRow {
  realmId: string;
  /** The interaction's cid, which stays the same from the first page to the code. */
  id: string;
  /** The interaction's uid, which changes between sign-in and consent. */
  uid: string;
  /** The state's `at`, so that the dispatcher can see it without opening the state. */
  at: string;
  /** Sealed LoginState. */
  state: string;
  version: number;
  /** SHA-256 of the newest transaction cookie. */
  cookieHash: string;
  /** The session that this sign-in made or raised; set once, on resume. */
  sessionId: string | null;
  createdAt: number;
  expiresAt: number;
}

export const loginSeal = (row: { realmId: string; id: string }): SealContext => ({
  purpose: 'login',
  realm: row.realmId,
  row: row.id,
  column: 'state',
});

export const sealedLogins: SealedColumn = { table: 'logins', column: 'state', place: ({ realmId, key }) => loginSeal({ realmId, id: key }) };

const COLUMNS = {
  ...{ realmId: 'logins.realm_id', id: 'logins.id', uid: 'logins.uid', at: 'logins.at', state: 'logins.state', version: 'logins.version' },
  ...{ cookieHash: 'logins.cookie_hash', sessionId: 'logins.session_id', createdAt: 'logins.created_at', expiresAt: 'logins.expires_at' },
};

const byId = prepared<'realmId' | 'id', LoginRow>((knex, { realmId, id }) => knex('logins').where({ realm_id: realmId, id }).select(COLUMNS));

export async function loginById(knex: Knex, realmId: string, id: string): Promise<LoginRow | undefined> {
  const [row] = await byId(knex, { realmId, id });
  return row;
}

type WithLogin = Omit<LoginRow, 'id'> & { id: string | null; payload: string };

const ofInteraction = prepared<keyof PayloadKey | `login${number}`, WithLogin, number>((knex, marks, logins) => {
  const { realmId, model, id } = marks;
  const ids = Array.from({ length: logins }, (_, index) => marks[`login${index}`] ?? '');
  return knex('oidc_payloads')
    .leftJoin('logins', (on) => on.on('logins.realm_id', 'oidc_payloads.realm_id').onIn('logins.id', ids))
    .where({ 'oidc_payloads.realm_id': realmId, 'oidc_payloads.model': model, 'oidc_payloads.id': id })
    .select({ payload: 'oidc_payloads.payload', ...COLUMNS });
});

/**
 * The payload of an interaction with those of the sign-ins of these ids that there are: a row each, in one query.
 * @param ids those that the browser has cookies of; which of them it is stands in the payload
 */
export async function interactionWithLogins(
  knex: Knex,
  key: PayloadKey,
  ids: readonly string[],
): Promise<{ payload: string; logins: LoginRow[] } | undefined> {
  const each = rounded(ids);
  const named = Object.fromEntries(each.map((id, index) => [`login${index}`, id]));
  const rows = await ofInteraction(knex, { ...named, realmId: key.realmId, model: key.model, id: key.id }, each.length);
  const [first] = rows;
  return first && { payload: first.payload, logins: rows.flatMap(({ payload: _payload, id, ...row }) => (id === null ? [] : [{ ...row, id }])) };
}

/** False when the sign-in is there already: two first requests at once. */
export async function insertLogin(knex: Knex, row: LoginRow): Promise<boolean> {
  return (await inserting(knex, { ...row })).length === 1;
}

const inserting = prepared<keyof LoginRow, { id: string }>((knex, row) =>
  knex('logins')
    .insert({
      ...{ realm_id: row.realmId, id: row.id, uid: row.uid, at: row.at, state: row.state, version: row.version },
      ...{ cookie_hash: row.cookieHash, session_id: row.sessionId, created_at: row.createdAt, expires_at: row.expiresAt },
    })
    .onConflict(['realm_id', 'id'])
    .ignore()
    .returning('id'),
);

/** Moves a sign-in on from the version that was read; false when another request did so first. */
export async function advanceLogin(
  knex: Knex,
  row: LoginRow,
  change: { uid: string; at: string; state: string; cookieHash: string; sessionId: string | null },
): Promise<boolean> {
  const { realmId, id, version } = row;
  return (await advancing(knex, { ...change, realmId, id, version, next: version + 1 })).length === 1;
}

type Change = 'uid' | 'at' | 'state' | 'cookieHash' | 'sessionId' | 'next';

const advancing = prepared<'realmId' | 'id' | 'version' | Change, { id: string }>((knex, to) =>
  knex('logins')
    .where({ realm_id: to.realmId, id: to.id, version: to.version })
    .update({ uid: to.uid, at: to.at, state: to.state, cookie_hash: to.cookieHash, session_id: to.sessionId, version: to.next })
    .returning('id'),
);

/** Claims a finished sign-in for a session, once; false when it was claimed before. */
export async function claimLogin(knex: Knex, row: { realmId: string; id: string }, sessionId: string): Promise<boolean> {
  const changed = await knex('logins')
    .where({ realm_id: row.realmId, id: row.id, at: 'done' })
    .whereNull('session_id')
    .update({ session_id: sessionId });
  return changed === 1;
}
