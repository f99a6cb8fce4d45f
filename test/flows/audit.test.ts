/** What is recorded where it happens, and what `cardea audit` and `cardea keys` make of it. */
import { randomUUID } from 'node:crypto';
import type { ExecutionContext } from 'ava';
import { parse } from 'csv-parse/sync';
import { openDatabase } from '../../src/store/database.ts';
import {
  afterPassword,
  arena,
  audited,
  begin,
  call,
  codeAt,
  codeExchange,
  codeFrom,
  credentialsOf,
  giveApp,
  inOneStep,
  type Scene,
} from '../support/attack.ts';
import { atEnd } from '../support/cleanup.ts';
import { runHere, settingsFor } from '../support/command.ts';
import { type EngineUnderTest, forEachEngine } from '../support/databases.ts';
import { authorizationRequest, signIn } from '../support/sign-in.ts';
import { until } from '../support/until.ts';

/** The types that were recorded about a user, in their order; of one moment by name. */
async function typesAbout({ server, realm }: Scene, user: { id: string }): Promise<string[]> {
  const rows = await server.db.knex('audit_events').where({ realm_id: realm.id, subject: user.id }).orderBy(['at', 'type']);
  return rows.map((row) => row.type);
}

forEachEngine((engine) => {
  const { scene } = arena(engine);

  engine.test('a sign-in, single sign-on and a step-up, each by its name', async (t) => {
    const stage = await scene({ mfa: 'off' });
    const { server, rp } = stage;
    const user = await server.user(stage.realm);
    const { browser } = await signIn(server, rp, user);
    await browser.visit((await authorizationRequest(rp)).url);
    await browser.visit((await authorizationRequest(rp, { prompt: 'none' })).url);
    t.true(await until(async () => (await audited(stage, 'login.sso', { user: user.id })).length > 1));
    t.deepEqual((await typesAbout(stage, user)).filter((type) => type !== 'user.created').sort(), ['login.ok', 'login.sso', 'login.sso']);
    t.like((await audited(stage, 'login.sso', { user: user.id }))[0], { clientId: rp.client.clientId, ip: '127.0.0.1' });

    const { secret } = await giveApp(server, user);
    const asked = await authorizationRequest(rp, { acr_values: 'aal2' });
    const page = await browser.visit(asked.url);
    t.true(page.html.includes('name="code"'));
    t.deepEqual(JSON.parse((await audited(stage, 'stepup.required', { user: user.id }))[0]?.details ?? '{}'), { acr: ['aal2'] });
    const done = await browser.send(page, { code: codeAt(secret) });
    t.truthy(codeFrom(done, rp));
    t.deepEqual(JSON.parse((await audited(stage, 'stepup.ok', { user: user.id }))[0]?.details ?? '{}'), { acr: 'aal2' });
    t.is((await audited(stage, 'login.ok', { user: user.id })).length, 2);

    // Without a page an application only looks whether the session is enough.
    await browser.visit((await authorizationRequest(rp, { acr_values: 'phrh', prompt: 'none' })).url);
    t.is((await audited(stage, 'stepup.required', { user: user.id })).length, 1);
    const unmet = { id_token: { acr: { essential: true, values: ['phrh'] } } };
    await browser.visit((await authorizationRequest(rp, { claims: JSON.stringify(unmet) })).url);
    t.is((await audited(stage, 'stepup.unmet', { user: user.id })).length, 1);
  });

  inOneStep(engine)('failures, replays, throttling and a reused code', async (t) => {
    const stage = await scene({ mfa: 'optional' });
    const { server, realm, rp } = stage;
    const user = await server.user(realm);
    const { secret } = await giveApp(server, user);
    const first = await begin(stage);
    await first.browser.send(first.page, { username: user.username, password: 'not that one' });
    const { browser, page, request } = await afterPassword(stage, user);
    await browser.send(page, { code: '314159' });
    const answered = await browser.send(page, { code: codeAt(secret) });
    const code = codeFrom(answered, rp) ?? '';
    await call(server, realm, 'token', codeExchange(rp, request, code), credentialsOf(rp));
    await call(server, realm, 'token', codeExchange(rp, request, code), credentialsOf(rp));
    const again = await afterPassword(stage, user);
    await again.browser.send(again.page, { code: codeAt(secret) });
    const types = await typesAbout(stage, user);
    for (const type of ['login.failed', 'mfa.challenge.failed', 'mfa.challenge.ok', 'login.ok', 'token.reuse', 'mfa.replay'])
      t.true(types.includes(type), `${type}: ${types}`);
    const [ok] = await audited(stage, 'mfa.challenge.ok', { user: user.id });
    t.like(ok, { factor: 'totp', clientId: rp.client.clientId });
    t.true(JSON.parse(ok?.details ?? '{}').ms >= 0);
  });
});

/** The command line on a database of its own. */
async function commands(engine: EngineUnderTest) {
  const config = await engine.settings();
  const env = settingsFor(config);
  const db = await openDatabase(config);
  atEnd(() => db.close());
  const run = (...args: string[]) => runHere(args, env);
  const json = async (t: ExecutionContext, ...args: string[]): Promise<unknown> => {
    const ended = await run(...args, '--json');
    t.is(ended.status, 0, ended.stderr);
    return JSON.parse(ended.stdout);
  };
  return { db, run, json };
}

forEachEngine((engine) => {
  engine.test('cardea audit: listed by type, subject and time, exported, checked, and a person taken out', async (t) => {
    const { db, run, json } = await commands(engine);
    await run('realm', 'create', 'staff');
    await run('role', 'create', '--realm', 'staff', '--name', 'seller');
    await run('user', 'create', '--realm', 'staff', '--username', 'erin', '--no-password');
    await run('user', 'add-role', '--realm', 'staff', '--username', 'erin', '--role', 'seller');
    const list = async (...args: string[]): Promise<string[]> => {
      const rows = await json(t, 'audit', 'list', '--realm', 'staff', ...args);
      return Array.isArray(rows) ? rows.map(({ type }) => type) : [];
    };
    t.deepEqual(await list(), ['user.role-added', 'user.created', 'role.created', 'realm.created']);
    t.deepEqual(await list('--type', 'user.*'), ['user.role-added', 'user.created']);
    t.deepEqual(await list('--type', 'user_*'), []);
    t.deepEqual(await list('--type', 'role.created'), ['role.created']);
    t.deepEqual(await list('--subject', 'erin', '--limit', '1'), ['user.role-added']);
    t.is((await list('--since', '1h')).length, 4);
    t.deepEqual(await list('--since', '2099-01-01'), []);
    for (const wrong of [
      ['--since', 'yesterday'],
      ['--limit', '0'],
      ['--since', '2030-13-45'],
      ['--format', 'xml'],
    ])
      t.is((await run('audit', wrong[0] === '--format' ? 'export' : 'list', '--realm', 'staff', ...wrong)).status, 2, wrong.join(' '));

    const lines = (await run('audit', 'export', '--realm', 'staff')).stdout.trim().split('\n');
    t.deepEqual(
      lines.map((line) => JSON.parse(line).row),
      [1, 2, 3, 4],
    );
    const csv = (await run('audit', 'export', '--realm', 'staff', '--format', 'csv')).stdout;
    const records: Record<string, string>[] = parse(csv, { columns: true });
    t.deepEqual(
      records.map(({ type, row }) => `${row} ${type}`),
      ['1 realm.created', '2 role.created', '3 user.created', '4 user.role-added'],
    );
    t.deepEqual(JSON.parse(records[2]?.details ?? ''), { name: 'erin' });

    const holds = await run('audit', 'verify', '--realm', 'staff');
    t.is(holds.status, 0);
    const end = /End: (\S+)/.exec(holds.stdout)?.[1] ?? '';
    t.is((await run('audit', 'verify')).status, 0, 'of all realms');
    t.is((await run('audit', 'forget', '--realm', 'staff', '--subject', 'erin')).stdout, 'Took the person out of 2 rows of realm staff.\n');
    t.false((await run('audit', 'export', '--realm', 'staff')).stdout.includes('erin'));
    t.is((await run('audit', 'verify', '--realm', 'staff', '--known', end)).status, 0, 'the chain holds without the person');

    const { id } = await db.knex('realms').where({ name: 'staff' }).first('id');
    await db.knex('audit_events').where({ realm_id: id, seq: 2 }).update({ details: '{"role":"admin","client":null}' });
    const broken = await run('audit', 'verify', '--realm', 'staff', '--known', end);
    t.is(broken.status, 1);
    t.regex(broken.stdout, /THE CHAIN IS BROKEN.*Row 2 was changed\./s);
    const document = JSON.parse((await run('audit', 'verify', '--json')).stdout);
    t.like(
      document.find(({ realm }: { realm: string }) => realm === 'staff'),
      { ok: false, breaks: [{ row: 2, kind: 'changed' }] },
    );
    t.is((await run('audit', 'verify', '--known', end)).status, 1, 'of which realm?');
    t.is((await run('audit', 'verify', '--realm', 'staff', '--known', 'x')).status, 2);
    t.is((await run('audit', 'list', '--realm', 'nowhere')).status, 1);
  });

  engine.test('what visitors chose does not become a formula, a line or a colour', async (t) => {
    const { db, run } = await commands(engine);
    await run('realm', 'create', 'staff');
    const { id: realm_id } = await db.knex('realms').where({ name: 'staff' }).first('id');
    const agents = ['=HYPERLINK("http://evil.example")', '+1', '-1', '@x', 'a "quoted", one\r\nnext', '\u001b[31mred', '\u202egnp.exe'];
    await db.knex('audit_events').insert(
      agents.map((user_agent, n) => ({
        realm_id,
        id: randomUUID(),
        at: n,
        type: 'login.failed',
        user_agent,
        details: n === 0 ? 'not JSON' : '{}',
      })),
    );
    const csv = (await run('audit', 'export', '--realm', 'staff', '--format', 'csv', '--type', 'login.failed')).stdout;
    const cells = parse(csv, { columns: true, cast: false }).map((record: unknown) => String(Object(record).userAgent));
    t.deepEqual(cells, ['\'=HYPERLINK("http://evil.example")', "'+1", "'-1", "'@x", ...agents.slice(4)]);
    const shown = (await run('audit', 'list', '--realm', 'staff', '--limit', '50')).stdout;
    for (const character of ['\u001b', '\u202e']) t.false(shown.includes(character));
    t.is((await run('audit', 'export', '--realm', 'staff')).status, 0);
  });

  engine.test('cardea keys: the data keys of one realm and of all, and the master key, with what to do next', async (t) => {
    const { run, json } = await commands(engine);
    await run('realm', 'create', 'staff');
    t.is((await run('keys', 'rotate-data')).status, 2);
    t.is((await run('keys', 'rotate-data', '--realm', 'staff', '--all')).status, 2);
    t.is((await run('keys', 'rotate-data', '--realm', 'nowhere')).status, 1);
    t.regex(
      (await run('keys', 'rotate-data', '--realm', 'staff')).stdout,
      /^staff: made data key [-0-9a-f]{36}, sealed 4 values with it\.\n {2}Nothing uses [-0-9a-f]{36} any more\. It is deleted after /,
    );
    const all = await json(t, 'keys', 'rotate-data', '--all', '--grace', '0');
    t.like(all, [
      { realm: 'master', resumed: false, left: 0 },
      { realm: 'staff', resumed: false, left: 0, waiting: [] },
    ]);
    t.like(await json(t, 'keys', 'rotate-master'), { rewrapped: 0, unreadable: {}, removable: [] });
  });
});
