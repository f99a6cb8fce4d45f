/** `cardea policy` on both engines: read, replaced, explained, tried on real sign-ins, and excepted from. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { ExecutionContext } from 'ava';
import * as client from 'openid-client';
import { atEnd } from '../support/cleanup.ts';
import { type Ended, runHere, settingsFor, startCommand } from '../support/command.ts';
import { forEachEngine, temporaryFolder } from '../support/databases.ts';
import { freePort } from '../support/ports.ts';
import { type relyingParty, signIn } from '../support/sign-in.ts';

type Env = Record<string, string>;

/** The document of a command that must succeed. */
async function ok(t: ExecutionContext, env: Env, args: string[], given: { input?: string; typed?: string[] } = {}) {
  const { status, stdout, stderr } = await runHere([...args, '--json'], env, given);
  t.is(status, 0, `cardea ${args.join(' ')}: ${stderr}`);
  return JSON.parse(stdout);
}

async function refused(
  t: ExecutionContext,
  env: Env,
  args: string[],
  says: RegExp,
  given: { input?: string; typed?: string[] } = {},
): Promise<Ended> {
  const ended = await runHere(args, env, given);
  t.is(ended.status, 1, ended.stdout + ended.stderr);
  t.is(ended.stdout, '');
  t.regex(ended.stderr, says);
  return ended;
}

const file = (document: unknown): string => {
  const path = join(temporaryFolder(), 'policy.json');
  writeFileSync(path, typeof document === 'string' ? document : JSON.stringify(document));
  return path;
};

const realmRule = { id: 'realm', when: {}, need: { level: 'aal2' } };
const payroll = { id: 'payroll', when: { client: ['payroll'] }, need: { level: 'phr' } };
const set = (document: unknown, ...more: string[]): string[] => ['policy', 'set', '--realm', 'staff', '--file', file(document), ...more];

forEachEngine((engine) => {
  const world = async (t: ExecutionContext, more: Env = {}): Promise<Env> => {
    const env = settingsFor(await engine.settings({ empty: true }), more);
    await ok(t, env, ['realm', 'create', 'staff', '--mfa', 'required']);
    await ok(t, env, ['user', 'create', '--realm', 'staff', '--username', 'erin', '--password-stdin'], { input: 'correct horse battery' });
    return env;
  };

  engine.test('a policy is read, replaced by whoever has seen it, and its difference recorded', async (t) => {
    const env = await world(t);
    const before = await ok(t, env, ['policy', 'get', '--realm', 'staff']);
    t.like(before, { realm: 'staff', version: 1, document: { useOwned: true, floors: { administrator: 'aal2' }, rules: [realmRule] } });
    const shown = await runHere(['policy', 'get', '--realm', 'staff'], env);
    t.regex(shown.stdout, /^Policy of realm staff, version 1 \(required\)\n/);
    t.regex(shown.stdout, /realm {2}Everybody: at least aal2\./);

    // What `get` printed is what `set` reads, with the version that it was made from.
    const edited = { ...before, document: { ...before.document, rules: [realmRule, payroll] } };
    const changed = await ok(t, env, set(edited));
    t.like(changed, { version: 2, changes: [{ at: 'rules.payroll', to: payroll, lowers: false }] });
    await refused(t, env, set(edited), /version 2, not 1/);
    await refused(t, env, set(edited.document, '--expect-version', '1'), /expectedVersion: The policy of realm "staff" is at version 2/);
    t.is((await ok(t, env, set(edited.document))).version, 2, 'what says the same is no change');
    t.is((await ok(t, env, set(edited.document, '--expect-version', '2'))).version, 2);

    const [event] = await ok(t, env, ['audit', 'list', '--realm', 'staff', '--type', 'policy.changed']);
    t.is(event.actor, 'command line');
    t.deepEqual(event.details, { version: 2, changes: [{ at: 'rules.payroll', to: payroll }] });
    t.deepEqual(
      (await ok(t, env, ['policy', 'history', '--realm', 'staff'])).map((row: { version: number; actor: string }) => [row.version, row.actor]),
      [
        [2, 'command line'],
        [1, 'command line'],
      ],
    );
    t.deepEqual(
      (await ok(t, env, ['realm', 'list'])).map((row: { name: string; mfa: string }) => [row.name, row.mfa]),
      [
        ['master', 'required'],
        ['staff', 'custom'],
      ],
    );
  });

  engine.test('what asks less is told, and wants a yes', async (t) => {
    const env = await world(t);
    const less = { useOwned: true, floors: { administrator: 'aal1' }, rules: [{ ...realmRule, need: { level: 'aal1' } }] };
    const told = await refused(t, env, set(less), /2 of these changes ask less of somebody\. Say --yes/);
    t.regex(told.stderr, /~ floors\.administrator {2}"aal2" → "aal1" {2}\(asks less\)/);
    t.regex(told.stderr, /~ rules\.realm\.need\.level {2}"aal2" → "aal1" {2}\(asks less\)/);
    t.regex(told.stderr, /Warning: administrators/);
    await refused(t, env, set(less), /stays as it is/, { typed: ['no'] });
    t.is((await ok(t, env, ['policy', 'get', '--realm', 'staff'])).version, 1);
    t.is((await ok(t, env, set(less), { typed: ['yes'] })).version, 2);
    const text = JSON.stringify({ rules: [] });
    await refused(t, env, ['policy', 'set', '--realm', 'staff'], /Say --yes/, { input: text });
    t.is((await ok(t, env, ['policy', 'set', '--realm', 'staff', '--yes'], { input: text })).version, 3);
    // To ask more wants no yes.
    t.is((await ok(t, env, ['policy', 'set', '--realm', 'staff'], { input: JSON.stringify({ rules: [realmRule] }) })).version, 4);
  });

  engine.test('what cannot be a policy is refused by the name of its field', async (t) => {
    const env = await world(t);
    const rules = (...all: unknown[]) => ({ rules: all });
    await refused(t, env, set(rules({ ...realmRule, need: { levle: 'aal2' } })), /rules\.0\.need: .*levle/);
    await refused(t, env, set(rules({ ...realmRule, need: { factors: ['telepathy'] } })), /rules\.0\.need\.factors: There is no factor "telepathy"/);
    // Worked example 5.
    await refused(
      t,
      env,
      set(
        rules(
          { id: 'admins', when: { role: ['admin'] }, need: { level: 'phrh' } },
          { id: 'erin', when: { user: ['erin'] }, need: { factors: ['totp'] } },
        ),
      ),
      /rules\.1\.need\.factors: No factor that "erin" leaves \(totp\) reaches phrh, which "admins" needs/,
    );
    await refused(t, env, set('{"rules": ['), /file: The policy cannot be read: it is not JSON/);
    await refused(t, env, ['policy', 'set', '--realm', 'staff', '--file', '/nowhere/policy.json'], /file: The policy cannot be read: ENOENT/);
    await refused(t, env, ['policy', 'set', '--realm', 'staff'], /nothing on standard input/);
    await refused(t, env, ['policy', 'get', '--realm', 'nowhere'], /There is no realm named "nowhere"/);
    t.is((await runHere(set({}, '--expect-version', 'one'), env)).status, 2);
    t.is((await runHere(['policy', 'set', '--file', file({})], env)).status, 2);
    t.regex((await runHere(['policy', 'set', '--help'], env)).stdout, /Examples:\n {2}\$ cardea policy set/);
    t.is((await ok(t, env, ['policy', 'get', '--realm', 'staff'])).version, 1);
  });

  engine.test('an exception is added with a reason and an end, listed, and ended', async (t) => {
    const env = await world(t);
    const add = (...more: string[]) => ['policy', 'exception', 'add', '--realm', 'staff', '--user', 'erin', ...more];
    const good = ['--level', 'aal1', '--days', '7', '--reason', 'new telephone'];
    await refused(t, env, add('--level', 'phrh', '--days', '7', '--reason', 'no'), /level: /);
    await refused(t, env, add('--level', 'aal1', '--days', '91', '--reason', 'no'), /days: /);
    await refused(t, env, add('--level', 'aal1', '--days', '7', '--reason', ' '), /reason: /);
    await refused(t, env, ['policy', 'exception', 'add', '--realm', 'staff', '--user', 'nobody', ...good], /nobody/);
    const made = await ok(t, env, add(...good));
    t.is(Date.parse(made.until) - Date.parse(made.createdAt), 7 * 86_400_000);
    await refused(t, env, add(...good), /has an exception already/);

    const listed = await ok(t, env, ['policy', 'exception', 'list', '--realm', 'staff']);
    t.like(listed[0], { id: made.id, user: { username: 'erin' }, level: 'aal1', reason: 'new telephone', actor: 'command line' });
    const explained = await ok(t, env, ['policy', 'explain', '--realm', 'staff', '--user', 'erin']);
    t.like(explained.exception, { level: 'aal1', reason: 'new telephone' });
    t.deepEqual(explained.ways, [
      { steps: [{ do: 'prove', factor: 'password' }], outcome: { ok: true, acr: 'aal1', level: 'aal1', amr: ['pwd'], spared: null } },
    ]);

    await ok(t, env, ['policy', 'exception', 'remove', '--realm', 'staff', '--user', 'erin']);
    await refused(t, env, ['policy', 'exception', 'remove', '--realm', 'staff', '--user', 'erin'], /has no exception/);
    t.deepEqual(await ok(t, env, ['policy', 'exception', 'list', '--realm', 'staff']), []);
    const recorded = await ok(t, env, ['audit', 'list', '--realm', 'staff', '--type', 'mfa.exception.*']);
    t.deepEqual(recorded.map((row: { type: string; details: { exception: string } }) => [row.type, row.details.exception]).sort(), [
      ['mfa.exception.granted', made.id],
      ['mfa.exception.revoked', made.id],
    ]);
  });

  engine.test('somebody’s questions at an application are explained: what, why, and what the tokens would say', async (t) => {
    const env = await world(t);
    await ok(t, env, set({ rules: [{ ...realmRule, need: { level: 'aal2', enrolBy: '2099-01-01T00:00:00Z', graceLogins: 2 } }, payroll] }, '--yes'));
    await ok(t, env, ['client', 'create', '--realm', 'staff', '--client-id', 'payroll', '--redirect-uri', 'https://pay.example/callback']);
    const explain = (...more: string[]) => ['policy', 'explain', '--realm', 'staff', '--user', 'erin', ...more];

    const free = await ok(t, env, explain());
    t.like(free, { version: 2, need: { level: 'aal2', secondFactor: true }, client: null, owned: [] });
    t.deepEqual(free.rules[0], {
      id: 'realm',
      why: 'Everybody: at least aal2, setting it up may wait until 2099-01-01 00:00 UTC, setting it up may be put off 2 times.',
    });
    const outcomeOf = (explained: typeof free, ...steps: string[]) =>
      explained.ways.find(
        (way: { steps: { do: string; factor?: string }[] }) => way.steps.map((step) => step.factor ?? step.do).join() === steps.join(),
      )?.outcome;
    t.like(outcomeOf(free, 'password', 'totp'), { acr: 'aal2', amr: ['pwd', 'otp', 'mfa'], spared: null });
    t.like(outcomeOf(free, 'password', 'skip'), { acr: 'aal1', amr: ['pwd'], spared: 'grace' });

    const atPayroll = await ok(t, env, explain('--client', 'payroll'));
    t.deepEqual(
      atPayroll.rules.map((rule: { id: string }) => rule.id),
      ['payroll', 'realm', 'enrol.recent'],
    );
    t.is(outcomeOf(atPayroll, 'password', 'skip'), undefined);
    t.is(outcomeOf(atPayroll, 'password', 'totp'), undefined);
    t.is(outcomeOf(atPayroll, 'password', 'passkey').acr, 'phr');

    const draft = file({ useOwned: false });
    t.is((await ok(t, env, explain('--client', 'payroll', '--draft', draft))).version, 0);
    t.deepEqual((await ok(t, env, explain('--acr', 'phr', '--draft', draft))).rules[0], { id: 'request.acr', why: 'The request asks for phr.' });
    const text = await runHere(explain('--client', 'payroll'), env);
    t.regex(text.stdout, /^User +erin\nOwns +no second factor\nAt +payroll\nNeeds +phr\n/);
    t.regex(text.stdout, /password, set up passkey +acr phr, amr pop hwk user pwd mfa|password, set up passkey +acr phr, amr pwd pop hwk user mfa/);

    await refused(t, env, explain('--client', 'nowhere'), /There is no client "nowhere"/);
    await refused(t, env, explain('--risk', 'bad-mood'), /risk\.0: /);
    t.is((await runHere(explain('--max-age', 'soon'), env)).status, 2);
  });

  engine.test('a draft is tried on the sign-ins that there were', async (t) => {
    const port = String(await freePort());
    const env = await world(t, { PORT: port });
    await ok(t, env, set({ rules: [] }, '--yes'));
    const uri = 'https://app.example/callback';
    const { secret } = await ok(t, env, ['client', 'create', '--realm', 'staff', '--client-id', 'shop', '--first-party', '--redirect-uri', uri]);
    await ok(t, env, ['user', 'create', '--realm', 'staff', '--username', 'alice', '--password-stdin'], { input: 'correct horse battery' });
    const server = startCommand(['serve'], env);
    atEnd(async () => {
      server.process.kill('SIGKILL');
      await server.ended;
    });
    await server.printed('http://localhost');
    const origin = `http://localhost:${port}`;
    const issuer = new URL(`${origin}/realms/staff`);
    const configuration = await client.discovery(issuer, 'shop', undefined, client.ClientSecretBasic(secret), {
      execute: [client.allowInsecureRequests],
    });
    const rp = { configuration, client: { redirectUri: uri, clientId: 'shop', secret } } as unknown as Awaited<ReturnType<typeof relyingParty>>;
    for (const username of ['erin', 'erin', 'alice']) await signIn({ origin }, rp, { username, password: 'correct horse battery' });

    const dryRun = (draft: unknown, ...more: string[]) => ['policy', 'dry-run', '--realm', 'staff', '--file', file(draft), ...more];
    const none = await ok(t, env, dryRun({ rules: [] }));
    t.like(none, {
      signIns: 3,
      askedThen: 0,
      askedNow: 0,
      newlyAsked: 0,
      noLongerAsked: 0,
      newlyBlocked: 0,
      mustEnrol: 0,
      mayEnrol: 0,
      passedOver: 0,
    });

    const all = await ok(t, env, dryRun({ rules: [realmRule] }));
    t.like(all, { signIns: 3, askedThen: 0, askedNow: 3, newlyAsked: 3, mustEnrol: 3, newlyBlocked: 0 });
    t.like(all.rules[0], { id: 'realm', signIns: 3, mustEnrol: 3 });
    t.deepEqual(all.rules[0].examples.map((one: { username: string }) => one.username).sort(), ['alice', 'erin']);

    const later = await ok(t, env, dryRun({ rules: [{ ...realmRule, need: { level: 'aal2', enrolBy: '2099-01-01T00:00:00Z' } }] }));
    t.like(later, { mayEnrol: 3, mustEnrol: 0 });
    const closed = await ok(t, env, dryRun({ rules: [{ id: 'erin', when: { user: ['erin'] }, need: { deny: true } }] }));
    t.like(closed, { newlyBlocked: 2, signIns: 3 });
    t.deepEqual(closed.rules[0].examples.length, 1);

    // Roles are those of today.
    const staffOnly = { rules: [{ id: 'sellers', when: { role: ['seller'] }, need: { level: 'aal2' } }] };
    t.like(await ok(t, env, dryRun(staffOnly)), { mustEnrol: 0 });
    await ok(t, env, ['role', 'create', '--realm', 'staff', '--name', 'seller']);
    await ok(t, env, ['group', 'create', '--realm', 'staff', '--name', 'sales', '--role', 'seller']);
    await ok(t, env, ['group', 'create', '--realm', 'staff', '--parent', '/sales', '--name', 'north']);
    await ok(t, env, ['group', 'add-member', '--realm', 'staff', '--group', '/sales/north', '--user', 'alice']);
    t.like(await ok(t, env, dryRun(staffOnly)), { mustEnrol: 1 });
    t.like(await ok(t, env, dryRun({ rules: [{ id: 'g', when: { group: ['/sales'] }, need: { level: 'aal2' } }] })), { mustEnrol: 1 });

    const text = await runHere(dryRun({ rules: [realmRule] }, '--days', '1'), env);
    t.regex(text.stdout, /^3 sign-ins of the last 1 days\n/);
    t.regex(text.stdout, /\nrealm +3 +3 +0 +0 +3 +0 +(erin, alice|alice, erin)\n/);
    await refused(t, env, dryRun({}, '--days', '0'), /days: /);
    await refused(t, env, dryRun({ rules: [{ ...realmRule, need: {} }] }), /rules\.0\.need: /);
  });
});
