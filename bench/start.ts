/**
 * How long Cardea takes from its start to its first answer, and how much memory it holds a few seconds later.
 *
 *     npm run bench:start -- 15       fifteen times each
 *
 * The first answer is the discovery document of realm master: the database is open, its tables are there, the realm's
 * keys are opened and its provider is built. The server is started as `npm start` does it, without npm itself.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { freePort } from '../test/support/ports.ts';
import { machine, printTable, startServer, withSpread } from './measure.ts';

const MAIN = fileURLToPath(new URL('../src/main.ts', import.meta.url));
const IDLE_MS = 3_000;
const times = Number(process.argv[2] ?? 5);
const folder = mkdtempSync(join(tmpdir(), 'cardea-bench-'));
const measured: { start: string; data: string; ms: number[]; mb: number[] }[] = [
  { start: 'the very first: nothing compiled, empty data folder', data: 'data', ms: [], mb: [] },
  { start: 'empty data folder', data: 'more-data', ms: [], mb: [] },
  { start: 'again, with the data folder of before', data: 'data', ms: [], mb: [] },
];

try {
  for (let round = 0; round < times; round += 1) {
    for (const { data, ms, mb } of measured) {
      const port = String(await freePort());
      const CARDEA_DATA_DIR = join(folder, `${data}-${round}`);
      // In place of the cache beside the code, which this checkout has filled already.
      const NODE_COMPILE_CACHE = join(folder, `compiled-${round}`);
      const env = { PORT: port, CARDEA_DEMO_PORT: String(await freePort()), CARDEA_DATA_DIR, NODE_COMPILE_CACHE };
      const server = await startServer([MAIN, 'serve'], env, `http://127.0.0.1:${port}/realms/master/.well-known/openid-configuration`);
      await pause(IDLE_MS);
      ms.push(server.startedIn);
      mb.push(server.memory());
      await server.stop();
    }
  }
} finally {
  rmSync(folder, { recursive: true, force: true });
}
console.log(`${machine()}; ${times} times each: median (least–most)\n`);
printTable(
  ['start', 'first answer, ms', 'memory idle, MB'],
  measured.map(({ start, ms, mb }) => [start, withSpread(ms), withSpread(mb)]),
);
