/** A process of its own that works with the store, started by the tests with what to do as JSON. */
import { setTimeout as pause } from 'node:timers/promises';
import { type DatabaseConfig, openDatabase } from '../../src/store/database.ts';

type Task = { config: DatabaseConfig } & ({ do: 'migrate' } | { do: 'hold'; lock: string } | { do: 'write'; statement: string } | { do: 'block' });

const task: Task = JSON.parse(process.argv.at(-1) ?? '');
const db = await openDatabase(task.config);
if (task.do === 'migrate') {
  await db.migrate();
  console.log('realms:', (await db.knex('realms').count({ n: '*' }))[0]?.n);
} else if (task.do === 'hold') {
  await db.withLock(task.lock, async () => {
    console.log('held');
    await pause(600_000);
  });
} else if (task.do === 'write') {
  await db.knex.raw(task.statement);
} else {
  await db.transaction(async () => {
    console.log('blocking');
    await pause(600_000);
  });
}
await db.close();
