/** Sessions with their proofs, and the clients that a session signed in to. */
import type { Knex } from 'knex';
import { z } from 'zod';
import { LEVELS, type Proof } from '../policy/assurance.ts';
import { holdNotices } from './logout-notices.ts';
import { bool, fromJson } from './rows.ts';

const proofs: z.ZodType<Proof[]> = z.array(
  z.object({
    credentialId: z.string(),
    factor: z.string(),
    kinds: z.array(z.enum(['knowledge', 'possession', 'inherence'])),
    level: z.enum(LEVELS),
    amr: z.array(z.string()),
    at: z.number(),
  }),
);

/** Somebody who acts as a user. */
export const impersonator = z.object({
  id: z.string(),
  username: z.string(),
  realmId: z.string(),
  /** The name of that realm. */
  realm: z.string(),
});
export type Impersonator = z.infer<typeof impersonator>;

/** How a session began, where that was with less than was due. */
const facts = z.object({
  /** The user put an enrolment off. */
  skipped: z.boolean().default(false),
  /** An administrator began it: its user has shown nothing. */
  impersonator: impersonator.optional(),
});
export type SessionFacts = z.infer<typeof facts>;

export interface SessionRow {
  realmId: string;
  id: string;
  /** The uid of oidc-provider's session. */
  uid: string;
  userId: string;
  proofs: Proof[];
  facts: SessionFacts;
  remember: boolean;
  ip: string | null;
  userAgent: string | null;
  createdAt: number;
  lastSeenAt: number;
  /** The absolute end. */
  endsAt: number;
  /** When it was ended before that. */
  endedAt: number | null;
}

export interface SessionRecord {
  realm_id: string;
  id: string;
  uid: string;
  user_id: string;
  proofs: string;
  /** Null for one that began as it should, and for those of before there were any. */
  facts: string | null;
  remember: boolean | number;
  ip: string | null;
  user_agent: string | null;
  created_at: number;
  last_seen_at: number;
  ends_at: number;
  ended_at: number | null;
}

export const factsFromRecord = (row: Pick<SessionRecord, 'id' | 'facts'>): SessionFacts =>
  fromJson(facts, row.facts ?? '{}', `the facts of session ${row.id}`);

export const sessionFromRecord = (row: SessionRecord): SessionRow => ({
  realmId: row.realm_id,
  id: row.id,
  uid: row.uid,
  userId: row.user_id,
  proofs: fromJson(proofs, row.proofs, `session ${row.id}`),
  facts: factsFromRecord(row),
  remember: bool(row.remember),
  ip: row.ip,
  userAgent: row.user_agent,
  createdAt: row.created_at,
  lastSeenAt: row.last_seen_at,
  endsAt: row.ends_at,
  endedAt: row.ended_at,
});

/** Leaves out sessions from before the time that voids what came before it (`UserRow.notBefore`). */
const stillStands = (query: Knex.QueryBuilder): void => {
  const ofTheSession = 'users.realm_id = sessions.realm_id AND users.id = sessions.user_id AND users.not_before > sessions.created_at';
  void query.whereNotExists((users) => users.select('users.id').from('users').whereRaw(ofTheSession));
};

/** A session that has not ended, by the uid of oidc-provider's session and its user. */
export async function liveSessionByUid(knex: Knex, realmId: string, uid: string, userId: string, now: number): Promise<SessionRow | undefined> {
  const row = await knex<SessionRecord>('sessions')
    .where({ realm_id: realmId, uid, user_id: userId })
    .whereNull('ended_at')
    .where('ends_at', '>', now)
    .modify(stillStands)
    .first();
  return row && sessionFromRecord(row);
}

/** A session that has not ended, by the sid of one of its clients, together with that client's row id. */
export async function liveSessionBySid(knex: Knex, realmId: string, sid: string, now: number): Promise<SessionRow | undefined> {
  const row = await knex<SessionRecord>('sessions')
    .join('session_clients', (on) => on.on('session_clients.realm_id', 'sessions.realm_id').andOn('session_clients.session_id', 'sessions.id'))
    .where({ 'session_clients.realm_id': realmId, 'session_clients.sid': sid })
    .whereNull('sessions.ended_at')
    .where('sessions.ends_at', '>', now)
    .modify(stillStands)
    .first('sessions.*');
  return row && sessionFromRecord(row as SessionRecord);
}

export async function insertSession(trx: Knex, row: SessionRow): Promise<void> {
  await trx('sessions').insert({
    realm_id: row.realmId,
    id: row.id,
    uid: row.uid,
    user_id: row.userId,
    proofs: JSON.stringify(row.proofs),
    facts: JSON.stringify(row.facts),
    remember: row.remember,
    ip: row.ip,
    user_agent: row.userAgent,
    created_at: row.createdAt,
    last_seen_at: row.lastSeenAt,
    ends_at: row.endsAt,
    ended_at: row.endedAt,
  });
}

/** What a session is raised to. */
export type Raised = Pick<SessionRow, 'proofs' | 'facts'> & Partial<Pick<SessionRow, 'remember' | 'endsAt'>>;

/** Adds proofs and facts to a session that is still alive; false when it was ended meanwhile, and stays so. */
export async function raiseSession(trx: Knex, row: SessionRow, all: Raised, now: number): Promise<boolean> {
  const raised = await trx('sessions')
    .where({ realm_id: row.realmId, id: row.id })
    .whereNull('ended_at')
    .update({
      ...{ proofs: JSON.stringify(all.proofs), facts: JSON.stringify(all.facts), last_seen_at: now },
      ...{ remember: all.remember ?? row.remember, ends_at: all.endsAt ?? row.endsAt },
    });
  return raised === 1;
}

/** Records activity and the proofs that still stand, unless another request has done so since the row was read. */
export async function touchSession(knex: Knex, row: SessionRow, fresh: Proof[], now: number): Promise<void> {
  await knex('sessions')
    .where({ realm_id: row.realmId, id: row.id, last_seen_at: row.lastSeenAt })
    .whereNull('ended_at')
    .update({ proofs: JSON.stringify(fresh), last_seen_at: now });
}

/**
 * The sid and grant of a session at one client: made on first use, and the same ever after. Undefined for a session that
 * has ended: it is held for as long as this takes, so that an ending beside it either is seen here, or finds the grant.
 *
 * @param row.instead a grant that is gone: the new one takes its place, with a sid of its own
 * @param row.consentOf the user whose consent this stands on, which is held in the same way
 */
export async function joinSessionClient(
  trx: Knex.Transaction,
  row: { realmId: string; sessionId: string; clientRowId: string; sid: string; grantId: string; instead: string | null; now: number } & {
    consentOf?: string | null;
  },
): Promise<{ sid: string; grantId: string | null } | undefined> {
  const session = await trx('sessions').where({ realm_id: row.realmId, id: row.sessionId }).whereNull('ended_at').forShare().first('id');
  if (!session) return undefined;
  if (typeof row.consentOf === 'string') {
    const consent = trx('consents').where({ realm_id: row.realmId, user_id: row.consentOf, client_id: row.clientRowId });
    if (!(await consent.forShare().first('client_id'))) return undefined;
  }
  const key = { realm_id: row.realmId, session_id: row.sessionId, client_id: row.clientRowId };
  const mine = { sid: row.sid, grant_id: row.grantId, created_at: row.now };
  if (row.instead !== null) {
    // The sid of before is nobody's from now on, but the application may still hold it.
    await holdNotices(trx, row.realmId, [row.instead]);
    const replaced = await trx('session_clients')
      .where({ ...key, grant_id: row.instead })
      .update({ ...mine, offline: false, used_at: null });
    if (replaced === 1) return { sid: row.sid, grantId: row.grantId };
  }
  const inserted = await trx('session_clients')
    .insert({ ...key, ...mine })
    .onConflict(['realm_id', 'session_id', 'client_id'])
    .ignore()
    .returning('sid');
  if (inserted.length === 1) return { sid: row.sid, grantId: row.grantId };
  const stored = await trx('session_clients').where(key).first('sid', 'grant_id');
  return { sid: stored.sid, grantId: stored.grant_id };
}

export async function sessionClient(
  knex: Knex,
  realmId: string,
  sessionId: string,
  clientRowId: string,
): Promise<{ sid: string; grantId: string | null } | undefined> {
  const row = await knex('session_clients').where({ realm_id: realmId, session_id: sessionId, client_id: clientRowId }).first('sid', 'grant_id');
  return row && { sid: row.sid, grantId: row.grant_id };
}

/** An offline token was issued: the grant is to outlive the session. */
export async function markOffline(knex: Knex, realmId: string, sid: string, now: number): Promise<void> {
  await knex('session_clients').where({ realm_id: realmId, sid }).update({ offline: true, used_at: now });
}

/** The session that an offline token began in, which may have ended. */
export async function offlineSession(knex: Knex, realmId: string, sid: string): Promise<SessionRow | undefined> {
  const row = await knex<SessionRecord>('sessions')
    .join('session_clients', (on) => on.on('session_clients.realm_id', 'sessions.realm_id').andOn('session_clients.session_id', 'sessions.id'))
    .where({ 'session_clients.realm_id': realmId, 'session_clients.sid': sid, 'session_clients.offline': true })
    .first('sessions.*');
  return row && sessionFromRecord(row as SessionRecord);
}

/** Records the use of an offline token, unless one is recorded that is no longer ago than `every` milliseconds. */
export async function touchOffline(knex: Knex, of: { realmId: string; sid: string; every: number }, now: number): Promise<void> {
  await knex('session_clients')
    .where({ realm_id: of.realmId, sid: of.sid, offline: true })
    .where('used_at', '<', now - of.every)
    .update({ used_at: now });
}

/** When an offline token of this sid was last used; undefined when it may not be used at all. */
export async function offlineUse(knex: Knex, realmId: string, sid: string): Promise<number | undefined> {
  const row = await knex('session_clients').where({ realm_id: realmId, sid, offline: true }).first('used_at');
  return row?.used_at ?? undefined;
}

/** Records that a client has refreshed its tokens of a session that still lasts. */
export async function touchClient(knex: Knex, realmId: string, sid: string, now: number): Promise<void> {
  await knex('session_clients').where({ realm_id: realmId, sid, offline: false }).update({ used_at: now });
}

/** When it last did; 0 where nothing was recorded. */
export async function clientUse(knex: Knex, realmId: string, sid: string): Promise<number> {
  const row = await knex('session_clients').where({ realm_id: realmId, sid }).first('used_at');
  return row?.used_at ?? 0;
}

/** Every grant of a user, those of offline tokens too. */
export async function grantsOfUser(knex: Knex, realmId: string, userId: string): Promise<string[]> {
  return knex('session_clients')
    .join('sessions', (on) => on.on('sessions.realm_id', 'session_clients.realm_id').andOn('sessions.id', 'session_clients.session_id'))
    .where({ 'sessions.realm_id': realmId, 'sessions.user_id': userId })
    .whereNotNull('session_clients.grant_id')
    .pluck('session_clients.grant_id');
}
