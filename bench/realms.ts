/**
 * Whether realms stay as quick to make and to list when there are many: a thousand are made over the REST API, one after
 * another, the first hundred against the last, and then listed, the first pages against all of them.
 *
 *     npm run bench:realms              1,000 on SQLite, and on PostgreSQL where there is one
 *     npm run bench:realms -- 300
 */
import { randomBytes } from 'node:crypto';
import { createClient } from '../src/admin/resources/clients.ts';
import { createRealm } from '../src/admin/resources/realms.ts';
import { loadConfig } from '../src/config.ts';
import { openInstallation, operatorOf } from '../src/installation.ts';
import { startServer } from '../src/server.ts';
import { LIGHTWEIGHT } from '../src/store/clients.ts';
import { realmByName } from '../src/store/realms.ts';
import { createLog } from '../src/telemetry/log.ts';
import { freePort } from '../test/support/ports.ts';
import { onEngines } from './engines.ts';
import { machine, printTable, withSpread } from './measure.ts';

const REALMS = Number(process.argv[2] ?? 1_000);
const HUNDRED = Math.min(100, Math.floor(REALMS / 3));
const SECRET = randomBytes(18).toString('base64url');
const LISTS = 5;

async function measured(database: Record<string, string>, dataDir: string): Promise<string[][]> {
  const port = String(await freePort());
  const config = loadConfig({ ...database, CARDEA_DEMO: 'off', CARDEA_ORIGIN: `http://localhost:${port}`, PORT: port, CARDEA_DATA_DIR: dataDir });
  const log = createLog({ level: 'error', production: true });
  const installation = await openInstallation(config, log);
  const operator = operatorOf(installation, 'benchmark', Date.now());
  const master = (await realmByName(installation.db.knex, 'master')) ?? (await createRealm(operator, { name: 'master' }));
  // Its tokens name no roles: those of a thousand realms would not fit into a header.
  const attributes = { [LIGHTWEIGHT]: 'true' };
  const account = { clientId: 'bench', secret: SECRET, firstParty: true, serviceAccount: true, serviceAccountRoles: ['admin'], attributes };
  await createClient(operator, master, account);
  const server = await startServer({ installation, log });
  let statements = 0;
  installation.db.knex.on('query', () => {
    statements += 1;
  });

  const call = async (method: string, path: string, body?: object): Promise<string> => {
    const headers = { authorization: `Bearer ${await token(config.origin)}`, 'content-type': 'application/json' };
    const answer = await fetch(`${config.origin}/admin${path}`, { method, headers, ...(body ? { body: JSON.stringify(body) } : {}) });
    if (!answer.ok) throw new Error(`${method} ${path}: ${answer.status} ${await answer.text()}`);
    return answer.text();
  };
  const timed = async (work: () => Promise<unknown>): Promise<{ ms: number; statements: number }> => {
    const [begun, before] = [performance.now(), statements];
    await work();
    return { ms: performance.now() - begun, statements: statements - before };
  };
  const lists = async (query: string) => {
    const runs = [];
    for (let run = 0; run < LISTS; run += 1) runs.push(await timed(() => call('GET', `/realms${query}`)));
    return { ms: runs.map(({ ms }) => ms), statements: Math.min(...runs.map((run) => run.statements)) };
  };

  const made: number[] = [];
  for (let index = 0; index < REALMS; index += 1) {
    const { ms } = await timed(() => call('POST', '/realms', { realm: `bench-${String(index).padStart(6, '0')}` }));
    made.push(ms);
  }
  const [first, last] = [made.slice(0, HUNDRED), made.slice(-HUNDRED)];
  const [whole, brief] = [await lists(''), await lists('?briefRepresentation=true')];
  await server.close();
  await installation.close();
  return [
    [`one of the first ${HUNDRED} made, ms`, withSpread(first, 1)],
    [`one of the last ${HUNDRED} made, ms`, withSpread(last, 1)],
    ['last against first', (mean(last) / mean(first)).toFixed(2)],
    [`all ${REALMS} listed, ms`, withSpread(whole.ms)],
    ['… statements', String(whole.statements)],
    ['… in brief, ms', withSpread(brief.ms)],
    ['… statements', String(brief.statements)],
  ];
}

const mean = (values: readonly number[]): number => values.reduce((sum, value) => sum + value, 0) / values.length;

let cached: { origin: string; token: string; until: number } | undefined;

/** Of a service account, for as long as it is good. */
async function token(origin: string): Promise<string> {
  if (cached?.origin === origin && cached.until > Date.now()) return cached.token;
  const answer = await fetch(`${origin}/realms/master/protocol/openid-connect/token`, {
    method: 'POST',
    headers: { authorization: `Basic ${Buffer.from(`bench:${SECRET}`).toString('base64')}` },
    body: new URLSearchParams({ grant_type: 'client_credentials' }),
  });
  const { access_token } = Object(await answer.json());
  cached = { origin, token: String(access_token), until: Date.now() + 60_000 };
  return cached.token;
}

const columns = await onEngines(({ settings, dataDir }) => measured(settings, dataDir));
console.log(`${machine()}; median (least–most)\n`);
const [first] = columns;
printTable(
  ['realms', ...columns.map(({ name }) => name)],
  (first?.result ?? []).map(([what = ''], index) => [what, ...columns.map(({ result }) => result[index]?.[1] ?? '')]),
);
