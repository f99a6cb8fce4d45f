/** Audit rows as Keycloak lists them: what users did, and what administrators did. */
import type { Knex } from 'knex';

export interface ListedEvent {
  id: string;
  at: number;
  type: string;
  actor: string | null;
  subject: string | null;
  clientId: string | null;
  transactionId: string | null;
  ip: string | null;
  /** JSON. */
  details: string;
}

export interface EventFilter {
  /** Administrators' rows, which hang together in a chain, or all others. */
  chained: boolean;
  /** Only these. */
  types: readonly string[];
  /** client_id. */
  client?: string | undefined;
  /** The user it is about; of users' rows, who did it. */
  subject?: string | undefined;
  actor?: string | undefined;
  /** Whose actors are users of this realm. */
  actorsOf?: string | undefined;
  ip?: string | undefined;
  /** From this moment on, and before that one. */
  since?: number | undefined;
  until?: number | undefined;
}

/** The newest first, unless told otherwise. */
export async function listEvents(
  knex: Knex,
  realmId: string,
  filter: EventFilter,
  page: { first: number; max: number; oldestFirst?: boolean },
): Promise<ListedEvent[]> {
  const order = page.oldestFirst === true ? 'asc' : 'desc';
  const query = knex('audit_events')
    .where({ realm_id: realmId })
    .whereIn('type', [...filter.types])
    .orderBy([
      { column: 'at', order },
      { column: 'id', order },
    ])
    .offset(page.first)
    .limit(page.max);
  if (filter.chained) query.whereNotNull('seq');
  else query.whereNull('seq');
  if (filter.client !== undefined) query.where('client_id', filter.client);
  if (filter.subject !== undefined) query.where('subject', filter.subject);
  if (filter.actor !== undefined) query.where('actor', filter.actor);
  if (filter.actorsOf !== undefined) query.whereIn('actor', knex('users').where({ realm_id: filter.actorsOf }).select('id'));
  if (filter.ip !== undefined) query.where('ip', filter.ip);
  if (filter.since !== undefined) query.where('at', '>=', filter.since);
  if (filter.until !== undefined) query.where('at', '<', filter.until);
  const rows = await query.select('id', 'at', 'type', 'actor', 'subject', 'client_id', 'transaction_id', 'ip', 'details');
  return rows.map(({ client_id, transaction_id, ...row }) => ({ ...row, clientId: client_id, transactionId: transaction_id }));
}

/** The realm of each of these users, among those realms. */
export async function realmsOfUsers(knex: Knex, userIds: readonly string[], realmIds: readonly string[]): Promise<Map<string, string>> {
  if (userIds.length === 0) return new Map();
  const rows: { id: string; realm_id: string }[] = await knex('users')
    .whereIn('realm_id', [...realmIds])
    .whereIn('id', [...userIds])
    .select('id', 'realm_id');
  return new Map(rows.map(({ id, realm_id }) => [id, realm_id]));
}
