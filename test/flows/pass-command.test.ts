/** `cardea pass`, within this process; on both engines. */
import type { ExecutionContext } from 'ava';
import { generateSync } from 'otplib';
import { runHere, settingsFor, startCommand } from '../support/command.ts';
import { forEachEngine } from '../support/databases.ts';

type Env = Record<string, string>;

async function ok(t: ExecutionContext, env: Env, args: string[], input = '') {
  const { status, stdout, stderr } = await runHere([...args, '--json'], env, { input });
  t.is(status, 0, `cardea ${args.join(' ')}: ${stderr}`);
  return JSON.parse(stdout);
}

async function refused(t: ExecutionContext, env: Env, says: RegExp, ...args: string[]): Promise<void> {
  const { status, stdout, stderr } = await runHere(args, env);
  t.is(status, 1, stderr);
  t.is(stdout, '');
  t.regex(stderr, says);
}

forEachEngine((engine) => {
  /** A realm whose user erin has an app, and two administrators in master. */
  async function world(t: ExecutionContext): Promise<Env> {
    const env = settingsFor(await engine.settings({ empty: true }));
    await ok(t, env, ['realm', 'create', 'staff']);
    await ok(t, env, ['user', 'create', '--realm', 'staff', '--username', 'erin', '--password-stdin'], 'a password for erin');
    for (const username of ['root', 'ann'])
      await ok(t, env, ['user', 'create', '--realm', 'master', '--username', username, '--role', 'admin', '--no-password']);
    return env;
  }

  async function withApp(t: ExecutionContext, env: Env): Promise<void> {
    // The code is made from what the command prints first, so it is read while it waits.
    const running = startCommand(['mfa', 'enroll', '--realm', 'staff', '--user', 'erin', '--code-stdin'], env);
    const printed = await running.printed(/Key {6}\S[^\n]*\n/);
    const secret = (/Key {6}([^\n]+)\n/.exec(printed)?.[1] ?? '').replaceAll(' ', '');
    running.type(`${generateSync({ secret })}\n`);
    running.process.stdin?.end();
    t.is((await running.ended).status, 0, (await running.ended).stderr);
  }

  engine.test('a pass is issued, listed without itself, and revoked', async (t) => {
    const env = await world(t);
    const issue = ['pass', 'issue', 'erin', '--realm', 'staff', '--reason', 'lost her phone'];
    await refused(t, env, /^cardea: erin has no second factor/, ...issue);
    await withApp(t, env);
    const issued = await ok(t, env, [...issue, '--hours', '4']);
    t.like(issued, { realm: 'staff', user: 'erin', standing: 'ready', needsApproval: false, requestedBy: 'command line', reason: 'lost her phone' });
    t.regex(issued.code, /^[a-z2-9]{4}(-[a-z2-9]{4}){5}$/);
    t.is(Date.parse(issued.expiresAt) - Date.parse(issued.requestedAt), 4 * 3_600_000);

    const listed = await ok(t, env, ['pass', 'list', '--realm', 'staff', '--user', 'erin']);
    t.is(listed.length, 1);
    t.false(JSON.stringify(listed).includes(issued.code));
    const table = await runHere(['pass', 'list', '--realm', 'staff'], env);
    t.regex(table.stdout, /ready/);
    t.false(table.stdout.includes(issued.code));

    t.like(await ok(t, env, ['pass', 'revoke', issued.id, '--realm', 'staff']), { standing: 'revoked' });
    await refused(t, env, /^cardea: This pass is over: it was revoked\./, 'pass', 'revoke', issued.id, '--realm', 'staff');
    await refused(t, env, /^cardea: hours: /, ...issue, '--hours', '73');
    await refused(t, env, /^cardea: hours: /, ...issue, '--hours', 'many');
    await refused(t, env, /^cardea: as: "erin" is no administrator/, ...issue, '--as', 'erin');
    t.is((await ok(t, env, [...issue, '--as', 'root'])).requestedBy.length, 36, 'whoever is named is recorded');
    const plain = await runHere(issue, env);
    t.regex(plain.stdout, /^Pass {3}[a-z2-9-]{29}\nUntil {2}/);
    t.is((await runHere(['pass', 'issue', 'erin', '--realm', 'staff'], env)).status, 2, 'a reason is asked for');
  });

  engine.test('C09 with dual control two administrators are named, and one alone gets nothing', async (t) => {
    const env = await world(t);
    await withApp(t, env);
    await ok(t, env, ['realm', 'set', 'staff', 'dualControl=true']);
    const issue = ['pass', 'issue', 'erin', '--realm', 'staff', '--reason', 'lost her phone'];
    await refused(t, env, /two administrators/, ...issue);
    const asked = await ok(t, env, [...issue, '--as', 'root']);
    t.like(asked, { standing: 'waiting', code: null, needsApproval: true });
    const plain = await runHere([...issue, '--as', 'root'], env);
    t.regex(plain.stdout, /Somebody else approves it/);
    const { id } = (await ok(t, env, ['pass', 'list', '--realm', 'staff']))[0];
    await refused(t, env, /Somebody else has to approve/, 'pass', 'approve', id, '--realm', 'staff', '--as', 'root');
    await refused(t, env, /^cardea: This pass is over: it was replaced/, 'pass', 'approve', asked.id, '--realm', 'staff', '--as', 'ann');
    t.is((await runHere(['pass', 'approve', id, '--realm', 'staff'], env)).status, 2, 'who approves is named');
    const approved = await ok(t, env, ['pass', 'approve', id, '--realm', 'staff', '--as', 'ann']);
    t.regex(approved.code, /^[a-z2-9]{4}(-[a-z2-9]{4}){5}$/);
    const [app] = await ok(t, env, ['mfa', 'list', '--realm', 'staff', '--user', 'erin']);
    await refused(t, env, /two administrators/, 'mfa', 'remove', '--id', app.id, '--realm', 'staff', '--user', 'erin');
  });
});
