/** How a session comes to a client, in one statement each: what is stored of it there, and its first visit. */
import type { Knex } from 'knex';
import { prepared } from './prepared.ts';

interface Joined {
  sid: string;
  grantId: string | null;
  /** JSON; null when it is gone. */
  grant: string | null;
}

const placeOf = prepared<'realmId' | 'sessionId' | 'clientRowId', Joined>((knex, at) =>
  knex('session_clients')
    .leftJoin('oidc_payloads', (on) =>
      on
        .on('oidc_payloads.realm_id', 'session_clients.realm_id')
        .andOn('oidc_payloads.grant_id', 'session_clients.grant_id')
        .andOnVal('oidc_payloads.model', 'Grant'),
    )
    .where({ 'session_clients.realm_id': at.realmId, 'session_clients.session_id': at.sessionId, 'session_clients.client_id': at.clientRowId })
    .select({ sid: 'session_clients.sid', grantId: 'session_clients.grant_id', grant: 'oidc_payloads.payload' }),
);

/** The sid and the grant of a session at a client, with the grant's payload; undefined where it has not been. */
export async function joinedClient(knex: Knex, at: { realmId: string; sessionId: string; clientRowId: string }): Promise<Joined | undefined> {
  const [place] = await placeOf(knex, at);
  return place;
}

/**
 * Notes the first visit of a session to a client, if the session has not ended, and the consent that it stands on, if it
 * stands on one, was not taken back. Both are held while this is written: an ending beside it either is seen here, or finds
 * the grant. False when nothing was written, be it for that, or because it was there before; `joinSessionClient` says which.
 */
export async function joinAtOnce(
  knex: Knex,
  row: { realmId: string; sessionId: string; clientRowId: string; sid: string; grantId: string; consentOf: string | null; now: number },
): Promise<boolean> {
  const stands = knex('sessions')
    .where({ 'sessions.realm_id': row.realmId, 'sessions.id': row.sessionId })
    .whereNull('sessions.ended_at')
    .forShare()
    .select(
      'sessions.realm_id',
      'sessions.id',
      knex.raw('CAST(? AS TEXT), CAST(? AS TEXT), CAST(? AS TEXT), CAST(? AS BIGINT)', [row.clientRowId, row.sid, row.grantId, row.now]),
    );
  if (row.consentOf !== null)
    void stands.join('consents', (on) =>
      on
        .on('consents.realm_id', 'sessions.realm_id')
        .andOnVal('consents.user_id', row.consentOf ?? '')
        .andOnVal('consents.client_id', row.clientRowId),
    );
  const { sql, bindings } = stands.toSQL();
  const result = await knex.raw(
    `INSERT INTO session_clients (realm_id, session_id, client_id, sid, grant_id, created_at) ${sql}
     ON CONFLICT (realm_id, session_id, client_id) DO NOTHING RETURNING sid`,
    [...bindings],
  );
  const inserted: unknown[] = Array.isArray(result) ? result : result.rows;
  return inserted.length === 1;
}
