/** Gates of a realm: the hosts that are protected, and by which rules. */
import type { Knex } from 'knex';
import { type GateRule, gateRules } from '../policy/gate-document.ts';
import { fromJson, stringList } from './rows.ts';

export interface GateRow {
  realmId: string;
  id: string;
  /** The row id of its client. */
  clientRowId: string;
  /** The client_id of it. */
  clientId: string;
  /** Such as `https://wiki.example.com`. */
  origin: string;
  rules: GateRule[];
  /** Roles that the site is told of besides those that the rules name. */
  roles: string[];
  /** For how many seconds a session may lie idle, and how long it lives at most; null for as long as the provider's. */
  idle: number | null;
  lifespan: number | null;
  createdAt: number;
  updatedAt: number;
}

export interface GateRecord {
  realm_id: string;
  id: string;
  client_id: string;
  client_name: string;
  origin: string;
  rules: string;
  roles: string;
  idle: number | null;
  lifespan: number | null;
  created_at: number;
  updated_at: number;
}

export const gateFromRecord = (row: GateRecord): GateRow => ({
  realmId: row.realm_id,
  id: row.id,
  clientRowId: row.client_id,
  clientId: row.client_name,
  origin: row.origin,
  rules: fromJson(gateRules, row.rules, `the rules of gate ${row.id}`),
  roles: fromJson(stringList, row.roles, `the roles of gate ${row.id}`),
  idle: row.idle,
  lifespan: row.lifespan,
  createdAt: row.created_at,
  updatedAt: row.updated_at,
});

/** With the client_id of its client. */
export const gatesWithClients = (knex: Knex, realmId: string): Knex.QueryBuilder =>
  knex('gates')
    .join('clients', (on) => on.on('clients.realm_id', 'gates.realm_id').andOn('clients.id', 'gates.client_id'))
    .where('gates.realm_id', realmId)
    .select('gates.*', { client_name: 'clients.client_id' });

export async function insertGate(trx: Knex, row: GateRow): Promise<void> {
  await trx('gates').insert({
    realm_id: row.realmId,
    id: row.id,
    client_id: row.clientRowId,
    origin: row.origin,
    ...changing(row),
    created_at: row.createdAt,
    updated_at: row.updatedAt,
  });
}

const changing = (row: Pick<GateRow, 'rules' | 'roles' | 'idle' | 'lifespan'>) => ({
  rules: JSON.stringify(row.rules),
  roles: JSON.stringify(row.roles),
  idle: row.idle,
  lifespan: row.lifespan,
});

/** By origin, keyset-paged. */
export async function listGates(knex: Knex, realmId: string, { after, limit }: { after?: string | undefined; limit: number }): Promise<GateRow[]> {
  const query = gatesWithClients(knex, realmId).orderBy('gates.origin').limit(limit);
  if (after !== undefined) void query.where('gates.origin', '>', after);
  const rows: GateRecord[] = await query;
  return rows.map(gateFromRecord);
}

export async function gateById(knex: Knex, realmId: string, id: string): Promise<GateRow | undefined> {
  const row: GateRecord | undefined = await gatesWithClients(knex, realmId).where('gates.id', id).first();
  return row && gateFromRecord(row);
}

export async function gateByOrigin(knex: Knex, realmId: string, origin: string): Promise<GateRow | undefined> {
  const row: GateRecord | undefined = await gatesWithClients(knex, realmId).where('gates.origin', origin).first();
  return row && gateFromRecord(row);
}

/** False when somebody else has changed it since it was read. */
export async function replaceGate(trx: Knex, before: GateRow, after: GateRow): Promise<boolean> {
  const changed = await trx('gates')
    .where({ realm_id: before.realmId, id: before.id, updated_at: before.updatedAt })
    .update({ ...changing(after), updated_at: after.updatedAt });
  return changed === 1;
}
