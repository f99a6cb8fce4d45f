import test from 'ava';
import { liveness, readiness, shared } from '../../../src/telemetry/health.ts';

const never = (): Promise<never> => new Promise(() => {});

test('a process that answers is alive', (t) => {
  t.deepEqual(liveness(), { status: 200, body: { status: 'UP', checks: [] } });
});

test('it is ready when the database answers', async (t) => {
  t.deepEqual(await readiness({ database: async () => 1 }), { status: 200, body: { status: 'UP', checks: [{ name: 'database', status: 'UP' }] } });
});

test('it is not ready when the database fails, and the reason is told to the log only', async (t) => {
  const failures: string[] = [];
  const answer = await readiness(
    { database: async () => Promise.reject(new Error('password refused')), other: async () => undefined },
    { onFailure: (name, error) => failures.push(`${name}: ${String(error)}`) },
  );
  t.is(answer.status, 503);
  t.deepEqual(answer.body, {
    status: 'DOWN',
    checks: [
      { name: 'database', status: 'DOWN' },
      { name: 'other', status: 'UP' },
    ],
  });
  t.deepEqual(failures, ['database: Error: password refused']);
});

test('a check that throws at once is a failed check', async (t) => {
  const answer = await readiness({
    database: () => {
      throw new Error('closed');
    },
  });
  t.is(answer.status, 503);
});

test('a database that does not answer within the limit is not ready', async (t) => {
  const failures: string[] = [];
  const answer = await readiness({ database: never }, { limitMs: 10, onFailure: (_, error) => failures.push(String(error)) });
  t.is(answer.status, 503);
  t.deepEqual(failures, ['Error: no answer within 10 ms']);
});

test('probes share the check that is under way', async (t) => {
  let asked = 0;
  const answers: (() => void)[] = [];
  const check = shared(() => {
    asked += 1;
    return new Promise<void>((resolve) => answers.push(resolve));
  });
  const probes = [1, 2, 3].map(() => readiness({ database: check }, { limitMs: 5 }));
  t.deepEqual(
    (await Promise.all(probes)).map((answer) => answer.status),
    [503, 503, 503],
  );
  t.is(asked, 1);

  answers.shift()?.();
  await new Promise((resolve) => setImmediate(resolve));
  const next = readiness({ database: check });
  answers.shift()?.();
  t.is((await next).status, 200);
  t.is(asked, 2);
});

test('a shared check that failed is asked again', async (t) => {
  let fail = true;
  const check = shared(async () => {
    if (fail) throw new Error('down');
  });
  t.is((await readiness({ database: check })).status, 503);
  fail = false;
  t.is((await readiness({ database: check })).status, 200);
});
