/**
 * A code or a refresh token together with what it hangs on: its grant, the session of that grant, and the library's session
 * behind that one. The token endpoint looks at each of them in turn; here they are one query.
 */
import type { Knex } from 'knex';
import { type PayloadKey, type PayloadRecord, type PayloadRow, payloadFromRecord } from './oidc-payloads.ts';
import { prepared } from './prepared.ts';
import { type SessionRecord, type SessionRow, sessionFromRecord } from './sessions.ts';

export interface Family {
  token: PayloadRow;
  /** JSON of the grant; undefined when that is gone. */
  grant: string | undefined;
  /** The session of the grant, unless it was ended, has run out, or is from before its user was signed out everywhere. */
  session: SessionRow | undefined;
  /** The library's, by the uid of that one. */
  saved: PayloadRow | undefined;
}

/** Of tables that are joined, and may have nothing there. */
interface FamilyRecord extends PayloadRecord {
  grant_payload: string | null;
  session_id: string | null;
  session_uid: string;
  session_user: string;
  session_proofs: string;
  session_facts: string | null;
  session_remember: boolean | number;
  session_created_at: number;
  session_last_seen_at: number;
  session_ends_at: number;
  session_ended_at: number | null;
  user_not_before: number;
  saved_id: string | null;
  saved_payload: string;
  saved_expires_at: number | null;
  saved_uses: number;
}

const familyOf = prepared<keyof PayloadKey, FamilyRecord>((knex, { realmId, model, id }) => {
  const ofRealm = (table: string) => [`${table}.realm_id`, 'token.realm_id'] as const;
  return knex({ token: 'oidc_payloads' })
    .leftJoin({ grants: 'oidc_payloads' }, (on) =>
      on
        .on(...ofRealm('grants'))
        .andOn('grants.grant_id', 'token.grant_id')
        .andOnVal('grants.model', 'Grant'),
    )
    .leftJoin('session_clients', (on) => on.on(...ofRealm('session_clients')).andOn('session_clients.grant_id', 'token.grant_id'))
    .leftJoin('sessions', (on) => on.on(...ofRealm('sessions')).andOn('sessions.id', 'session_clients.session_id'))
    .leftJoin('users', (on) => on.on(...ofRealm('users')).andOn('users.id', 'sessions.user_id'))
    .leftJoin({ saved: 'oidc_payloads' }, (on) =>
      on
        .on(...ofRealm('saved'))
        .andOn('saved.uid', 'sessions.uid')
        .andOnVal('saved.model', 'Session'),
    )
    .where({ 'token.realm_id': realmId, 'token.model': model, 'token.id': id })
    .select('token.realm_id', 'token.model', 'token.id', 'token.payload', 'token.grant_id', 'token.uid', 'token.user_code', 'token.expires_at')
    .select('token.uses', {
      grant_payload: 'grants.payload',
      session_id: 'sessions.id',
      session_uid: 'sessions.uid',
      session_user: 'sessions.user_id',
      session_proofs: 'sessions.proofs',
      session_facts: 'sessions.facts',
      session_remember: 'sessions.remember',
      session_created_at: 'sessions.created_at',
      session_last_seen_at: 'sessions.last_seen_at',
      session_ends_at: 'sessions.ends_at',
      session_ended_at: 'sessions.ended_at',
      user_not_before: 'users.not_before',
      saved_id: 'saved.id',
      saved_payload: 'saved.payload',
      saved_expires_at: 'saved.expires_at',
      saved_uses: 'saved.uses',
    });
});

/** Undefined when there is no such code or token; what of its family is there is another matter. */
export async function tokenFamily(knex: Knex, { realmId, model, id }: PayloadKey, now: number): Promise<Family | undefined> {
  const [row] = await familyOf(knex, { realmId, model, id });
  if (!row) return undefined;
  const session = sessionIn(row);
  const stands = session !== undefined && session.endedAt === null && session.endsAt > now && row.user_not_before <= session.createdAt;
  return { token: payloadFromRecord(row), grant: row.grant_payload ?? undefined, session: stands ? session : undefined, saved: savedIn(row) };
}

function sessionIn(row: FamilyRecord): SessionRow | undefined {
  if (row.session_id === null) return undefined;
  const record: SessionRecord = {
    ...{ realm_id: row.realm_id, id: row.session_id, uid: row.session_uid, user_id: row.session_user },
    ...{ proofs: row.session_proofs, facts: row.session_facts, remember: row.session_remember, ip: null, user_agent: null },
    ...{ created_at: row.session_created_at, last_seen_at: row.session_last_seen_at },
    ...{ ends_at: row.session_ends_at, ended_at: row.session_ended_at },
  };
  return sessionFromRecord(record);
}

function savedIn(row: FamilyRecord): PayloadRow | undefined {
  if (row.saved_id === null) return undefined;
  return {
    ...{ realmId: row.realm_id, model: 'Session', id: row.saved_id, payload: row.saved_payload, uid: row.session_uid },
    ...{ grantId: null, userCode: null, expiresAt: row.saved_expires_at, uses: row.saved_uses },
  };
}
