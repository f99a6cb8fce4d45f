/** What a database holds, table by table, so that a test can say that nothing was changed. */
import { createHash } from 'node:crypto';
import type { Database } from '../../src/store/database.ts';

/** Names of all tables of the product. */
export async function tablesOf({ knex, engine }: Database): Promise<string[]> {
  const names: string[] =
    engine === 'sqlite'
      ? await knex('sqlite_master').where({ type: 'table' }).pluck('name')
      : await knex('information_schema.tables').whereRaw('table_schema = current_schema()').pluck('table_name');
  return names.filter((name) => !name.startsWith('sqlite_')).sort();
}

/** One digest a table of its rows, or of those of one realm, and how many they are. */
export async function fingerprint(db: Database, options: { except?: readonly string[]; realmId?: string } = {}): Promise<Record<string, string>> {
  const prints: Record<string, string> = {};
  for (const table of await tablesOf(db)) {
    if (options.except?.includes(table)) continue;
    const rows = await rowsOf(db, table, options.realmId);
    prints[table] = `${rows.length} rows, ${createHash('sha256').update(rows.sort().join('\n')).digest('hex').slice(0, 16)}`;
  }
  return prints;
}

/** The rows of a table as JSON; of one realm where it has such a column. */
export async function rowsOf({ knex }: Database, table: string, realmId?: string): Promise<string[]> {
  const column = table === 'realms' ? 'id' : (await knex.schema.hasColumn(table, 'realm_id')) ? 'realm_id' : undefined;
  if (realmId !== undefined && column === undefined) return [];
  const rows: unknown[] = realmId === undefined || column === undefined ? await knex(table) : await knex(table).where(column, realmId);
  return rows.map((row) => JSON.stringify(row));
}
