/** Whether a JWT access token still stands: nothing is stored of it but what it hangs on, and that it was revoked. */
import type { Knex } from 'knex';
import { prepared } from './prepared.ts';
import { bool } from './rows.ts';
import { factsFromRecord, type SessionRow } from './sessions.ts';
import {
  type About,
  type AboutRecord,
  joinAbout,
  type OfScope,
  readAbout,
  type Shape,
  shapeOf,
  valuesOf,
  type Wanted,
  wantedBy,
} from './token-subject.ts';
import { USER_COLUMNS, type UserRecord, type UserRow, userFromRecord } from './users.ts';

/** What a user's access token stands on. */
export interface TokenStanding {
  grantId: string;
  /** JSON of the grant. */
  grantPayload: string;
  /** An offline token was issued under this grant: it stands without the session. */
  offline: boolean;
  session: Pick<SessionRow, 'id' | 'createdAt' | 'endedAt' | 'endsAt' | 'lastSeenAt' | 'remember' | 'facts'>;
  user: UserRow;
  about: About;
  revoked: boolean;
}

/** A row of that query. */
interface StandingRecord extends UserRecord, AboutRecord {
  grantId: string;
  offline: boolean | number;
  sessionId: string;
  begunAt: number;
  facts: string | null;
  endedAt: number | null;
  endsAt: number;
  lastSeenAt: number;
  remember: boolean | number;
  grantPayload: string;
  revokedJti: string | null;
}

/** Sessions at clients that still have their grant there, with session, user and grant. */
const grantsOfSessions = (knex: Knex) =>
  knex('session_clients')
    .join('sessions', (on) => on.on('sessions.realm_id', 'session_clients.realm_id').andOn('sessions.id', 'session_clients.session_id'))
    .join('users', (on) => on.on('users.realm_id', 'sessions.realm_id').andOn('users.id', 'sessions.user_id'))
    .join('oidc_payloads', (on) =>
      on
        .on('oidc_payloads.realm_id', 'session_clients.realm_id')
        .andOn('oidc_payloads.grant_id', 'session_clients.grant_id')
        .andOnVal('oidc_payloads.model', 'Grant'),
    );

/** Its session at its client, the grant, the user with what is wanted, and whether it was revoked: one query. */
const standingOf = prepared<'realmId' | 'sid' | 'jti' | 'sub' | OfScope, StandingRecord, Shape>((knex, marks, shape) => {
  const { realmId, sid, jti, sub } = marks;
  const standing = grantsOfSessions(knex)
    .leftJoin('revoked_tokens', (on) => on.on('revoked_tokens.realm_id', 'session_clients.realm_id').andOnVal('revoked_tokens.jti', jti))
    .where({ 'session_clients.realm_id': realmId, 'session_clients.sid': sid, 'users.id': sub })
    .select(USER_COLUMNS.map((column) => `users.${column}`))
    .select({
      grantId: 'session_clients.grant_id',
      offline: 'session_clients.offline',
      sessionId: 'sessions.id',
      begunAt: 'sessions.created_at',
      facts: 'sessions.facts',
      endedAt: 'sessions.ended_at',
      endsAt: 'sessions.ends_at',
      lastSeenAt: 'sessions.last_seen_at',
      remember: 'sessions.remember',
      grantPayload: 'oidc_payloads.payload',
      revokedJti: 'revoked_tokens.jti',
    });
  return joinAbout(knex, standing, realmId, sub, wantedBy(shape, marks));
});

export async function tokenStanding(
  knex: Knex,
  realmId: string,
  token: { sid: string; jti: string; sub: string },
  wanted: Wanted,
): Promise<TokenStanding | undefined> {
  const rows = await standingOf(knex, { ...valuesOf(wanted), realmId, ...token }, shapeOf(wanted));
  const [row] = rows;
  return (
    row && {
      grantId: row.grantId,
      grantPayload: row.grantPayload,
      offline: bool(row.offline),
      session: {
        id: row.sessionId,
        createdAt: row.begunAt,
        endedAt: row.endedAt,
        endsAt: row.endsAt,
        lastSeenAt: row.lastSeenAt,
        remember: bool(row.remember),
        facts: factsFromRecord({ id: row.sessionId, facts: row.facts }),
      },
      user: userFromRecord(row),
      about: readAbout(rows),
      revoked: row.revokedJti !== null,
    }
  );
}

const serviceStanding = prepared<'realmId' | 'sub' | 'jti', { enabled: boolean | number; revokedJti: string | null }>((knex, { realmId, sub, jti }) =>
  knex('users')
    .leftJoin('revoked_tokens', (on) => on.on('revoked_tokens.realm_id', 'users.realm_id').andOnVal('revoked_tokens.jti', jti))
    .where({ 'users.realm_id': realmId, 'users.id': sub })
    .whereNotNull('users.service_account_of')
    .select({ enabled: 'users.enabled', revokedJti: 'revoked_tokens.jti' }),
);

/** Whether a service account's token stands: its user is switched on, and it was not revoked. */
export async function serviceTokenStands(knex: Knex, realmId: string, token: { sub: string; jti: string }): Promise<boolean> {
  const [row] = await serviceStanding(knex, { realmId, ...token });
  return row !== undefined && bool(row.enabled) && row.revokedJti === null;
}

/** Remembers a token as revoked until it would have expired. */
export async function revokeToken(knex: Knex, realmId: string, jti: string, expiresAt: number): Promise<void> {
  await knex('revoked_tokens').insert({ realm_id: realmId, jti, expires_at: expiresAt }).onConflict(['realm_id', 'jti']).ignore();
}

/** What an exchanged token hangs on besides its own session and grant. */
export interface Origin extends Pick<SessionRow, 'createdAt' | 'endedAt' | 'endsAt' | 'lastSeenAt' | 'remember'> {
  /** Of its user: what was made before that is void. */
  notBefore: number;
}

/**
 * Sessions at clients that still have their grant, and whose user is switched on.
 * @param sids each once
 * @returns one a sid; fewer when one of them is gone
 */
export async function originsOf(knex: Knex, realmId: string, sids: readonly string[]): Promise<Origin[]> {
  const rows = await grantsOfSessions(knex)
    .where({ 'session_clients.realm_id': realmId, 'users.enabled': true })
    .whereIn('session_clients.sid', [...sids])
    .select({
      createdAt: 'sessions.created_at',
      endedAt: 'sessions.ended_at',
      endsAt: 'sessions.ends_at',
      lastSeenAt: 'sessions.last_seen_at',
      remember: 'sessions.remember',
      notBefore: 'users.not_before',
    });
  return rows.map(({ createdAt, endedAt, endsAt, lastSeenAt, remember, notBefore }) => ({
    ...{ createdAt, endedAt, endsAt, lastSeenAt, remember: bool(remember), notBefore },
  }));
}

/** Whether none of these tokens was revoked. */
export async function noneRevoked(knex: Knex, realmId: string, jtis: readonly string[]): Promise<boolean> {
  const row = await knex('revoked_tokens')
    .where({ realm_id: realmId })
    .whereIn('jti', [...jtis])
    .first('jti');
  return row === undefined;
}

/** Whether these service accounts are all there and switched on. */
export async function serviceAccountsStand(knex: Knex, realmId: string, ids: readonly string[]): Promise<boolean> {
  const rows: string[] = await knex('users')
    .where({ realm_id: realmId, enabled: true })
    .whereIn('id', [...ids])
    .whereNotNull('service_account_of')
    .pluck('id');
  return new Set(rows).size === new Set(ids).size;
}
