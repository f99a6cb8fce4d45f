/** Who is signed in at a gate: its own side of a session, read with everything that it stands on. */
import type { Knex } from 'knex';
import { type GateRecord, type GateRow, gateFromRecord, gatesWithClients } from './gates.ts';
import { bool } from './rows.ts';
import { type SessionRecord, type SessionRow, sessionFromRecord } from './sessions.ts';

export interface GateSessionRow {
  realmId: string;
  /** SHA-256 of the cookie. */
  id: string;
  gateId: string;
  userId: string;
  /** The sid in the gate's ID token. */
  sid: string;
  /** Kept for id_token_hint at sign-out. */
  idToken: string;
  /** The trusted device that spared the second step; null where none did. */
  deviceId: string | null;
  createdAt: number;
  lastSeenAt: number;
  expiresAt: number;
}

/** A gate, and who of those that it has let in asks. */
export interface GateStanding {
  gate: GateRow;
  /** Its client is switched on. */
  enabled: boolean;
  /** Undefined for nobody: no such session, or none that stands on a session of the provider and on a user. */
  signedIn: { row: Pick<GateSessionRow, 'id' | 'userId' | 'deviceId' | 'lastSeenAt'>; session: SessionRow; user: GateUser } | undefined;
}

export interface GateUser {
  id: string;
  username: string;
  /** Null where nobody has verified it: sites take it for a name. */
  email: string | null;
}

type Asked = { cookie: string } | { sid: string; userId: string };

type StandingRecord = GateRecord & { client_enabled: boolean | number } & Nullable<{
    gate_session: string;
    device_id: string;
    gate_seen_at: number;
    user: string;
    username: string;
    email: string;
    email_verified: boolean | number;
  }> &
  Nullable<{ [Column in keyof SessionRecord as `session_${Column}`]: SessionRecord[Column] }>;
type Nullable<T> = { [Key in keyof T]: T[Key] | null };

/** What is read of a session, under names of its own. */
const SESSION = [
  'realm_id',
  'id',
  'uid',
  'user_id',
  'proofs',
  'facts',
  'remember',
  'ip',
  'user_agent',
  'created_at',
  'last_seen_at',
  'ends_at',
  'ended_at',
] as const satisfies readonly (keyof SessionRecord)[];

/**
 * The gate of an origin, and who is signed in there by a cookie, or stands behind the `sid` of an ID token: one statement.
 *
 * Of somebody whose session has ended, who was switched off or whose sessions of before a time are void, nothing is found.
 * @param asked.cookie its SHA-256; empty for none
 */
export async function gateStanding(
  knex: Knex,
  at: { realmId: string; origin: string },
  asked: Asked,
  now: number,
): Promise<GateStanding | undefined> {
  const query = gatesWithClients(knex, at.realmId).where('gates.origin', at.origin).select({ client_enabled: 'clients.enabled' });
  if ('cookie' in asked) {
    void query
      .leftJoin('gate_sessions', (on) =>
        on
          .on('gate_sessions.realm_id', 'gates.realm_id')
          .andOn('gate_sessions.gate_id', 'gates.id')
          .andOnVal('gate_sessions.id', asked.cookie)
          .andOnVal('gate_sessions.expires_at', '>', now),
      )
      .leftJoin('session_clients', (on) =>
        on
          .on('session_clients.realm_id', 'gate_sessions.realm_id')
          .andOn('session_clients.sid', 'gate_sessions.sid')
          .andOn('session_clients.client_id', 'gates.client_id'),
      )
      .select({ gate_session: 'gate_sessions.id', device_id: 'gate_sessions.device_id', gate_seen_at: 'gate_sessions.last_seen_at' });
  } else {
    void query.leftJoin('session_clients', (on) =>
      on
        .on('session_clients.realm_id', 'gates.realm_id')
        .andOn('session_clients.client_id', 'gates.client_id')
        .andOnVal('session_clients.sid', asked.sid),
    );
  }
  const row: StandingRecord | undefined = await query
    .leftJoin('sessions', (on) => {
      on.on('sessions.realm_id', 'session_clients.realm_id')
        .andOn('sessions.id', 'session_clients.session_id')
        .andOnVal('sessions.ends_at', '>', now)
        .andOnNull('sessions.ended_at');
      if ('cookie' in asked) on.andOn('sessions.user_id', 'gate_sessions.user_id');
      else on.andOnVal('sessions.user_id', asked.userId);
    })
    .leftJoin('users', (on) =>
      on
        .on('users.realm_id', 'sessions.realm_id')
        .andOn('users.id', 'sessions.user_id')
        .andOn('users.not_before', '<=', 'sessions.created_at')
        .andOnVal('users.enabled', true),
    )
    .select(Object.fromEntries(SESSION.map((column) => [`session_${column}`, `sessions.${column}`])))
    .select({ user: 'users.id', username: 'users.username_shown', email: 'users.email_shown', email_verified: 'users.email_verified' })
    .first();
  return row && { gate: gateFromRecord(row), enabled: bool(row.client_enabled), signedIn: signedInOf(row, now) };
}

function signedInOf(row: StandingRecord, now: number): GateStanding['signedIn'] {
  const { user, username, session_id: id } = row;
  if (user === null || username === null || id === null) return undefined;
  return {
    row: { id: row.gate_session ?? '', userId: user, deviceId: row.device_id ?? null, lastSeenAt: row.gate_seen_at ?? now },
    session: sessionFromRecord({
      realm_id: row.realm_id,
      id,
      uid: row.session_uid ?? '',
      user_id: user,
      proofs: row.session_proofs ?? '[]',
      facts: row.session_facts,
      remember: row.session_remember ?? false,
      ip: row.session_ip,
      user_agent: row.session_user_agent,
      created_at: row.session_created_at ?? 0,
      last_seen_at: row.session_last_seen_at ?? 0,
      ends_at: row.session_ends_at ?? 0,
      ended_at: row.session_ended_at,
    }),
    user: { id: user, username, email: bool(row.email_verified ?? false) ? row.email : null },
  };
}

export async function insertGateSession(trx: Knex, row: GateSessionRow): Promise<void> {
  await trx('gate_sessions').insert({
    realm_id: row.realmId,
    id: row.id,
    gate_id: row.gateId,
    user_id: row.userId,
    sid: row.sid,
    id_token: row.idToken,
    device_id: row.deviceId,
    created_at: row.createdAt,
    last_seen_at: row.lastSeenAt,
    expires_at: row.expiresAt,
  });
}

/** Records that it was used, unless another request has done so since it was read. */
export async function touchGateSession(knex: Knex, realmId: string, row: { id: string; lastSeenAt: number }, now: number): Promise<void> {
  await knex('gate_sessions').where({ realm_id: realmId, id: row.id, last_seen_at: row.lastSeenAt }).update({ last_seen_at: now });
}

/** Ends a session at a gate; answers its ID token, once. */
export async function deleteGateSession(trx: Knex, realmId: string, gateId: string, id: string): Promise<{ idToken: string } | undefined> {
  const [gone] = await trx('gate_sessions').where({ realm_id: realmId, gate_id: gateId, id }).delete().returning('id_token');
  return gone && { idToken: gone.id_token };
}
