/** An empty database of each engine that there is, for benchmarks that run on both: SQLite, and PostgreSQL by DATABASE_URL or where it is installed. */
import { randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createDatabase, findPostgres, startPostgres } from '../test/support/postgres.ts';

export interface BenchEngine {
  name: 'SQLite' | 'PostgreSQL';
  /** Variables of the environment that name the database and the master key. */
  settings: Record<string, string>;
  dataDir: string;
}

/** Runs `work` on each engine, one after the other, and takes their databases away again. */
export async function onEngines<T>(work: (engine: BenchEngine) => Promise<T>): Promise<{ name: BenchEngine['name']; result: T }[]> {
  const folder = mkdtempSync(join(tmpdir(), 'cardea-bench-'));
  const given = process.env.DATABASE_URL;
  const bin = given ? undefined : findPostgres();
  const postgres = bin === undefined ? undefined : await startPostgres(bin);
  const admin = given ?? postgres?.url;
  const database = admin ? await createDatabase(admin, { empty: true }) : undefined;
  const settings = { CARDEA_MASTER_KEY: `bench:${randomBytes(32).toString('base64url')}` };
  const engines: BenchEngine[] = [
    { name: 'SQLite', settings, dataDir: join(folder, 'sqlite') },
    ...(database ? [{ name: 'PostgreSQL' as const, settings: { ...settings, DATABASE_URL: database.url }, dataDir: join(folder, 'postgres') }] : []),
  ];
  const results: { name: BenchEngine['name']; result: T }[] = [];
  try {
    for (const engine of engines) results.push({ name: engine.name, result: await work(engine) });
  } finally {
    await database?.drop();
    await postgres?.stop();
    rmSync(folder, { recursive: true, force: true });
  }
  return results;
}
