/** A · D: the password grant is no shorter way in: the same counters, codes that are used once, and nothing told of anybody. */
import { randomUUID } from 'node:crypto';
import { someAddress, throttling } from '../support/addresses.ts';
import {
  afterPassword,
  arena,
  at,
  audited,
  basic,
  begin,
  call,
  codeAt,
  giveApp,
  inOneStep,
  parallel,
  type Scene,
  type TestUser,
  tally,
  wrongCodes,
} from '../support/attack.ts';
import { forEachEngine } from '../support/databases.ts';
import { claimsOf, passwordGrant, textOf } from '../support/password-grant.ts';
import { codeOf } from '../support/sign-in.ts';

const STEP_MS = 30_000;

forEachEngine((engine) => {
  const { scene, nodes } = arena(engine, { CARDEA_TRUST_PROXY: '1' });
  const withinAStep = inOneStep(engine);

  const appOwner = async (stage: Scene) => {
    const user = await stage.server.user(stage.realm);
    const { secret } = await giveApp(stage.server, user);
    return { user, secret };
  };
  const grant = ({ server, realm }: Scene, { username, password }: Pick<TestUser, 'username' | 'password'>, more: Record<string, string> = {}) =>
    passwordGrant(server, realm, { username, password, ...more });

  withinAStep('A01 a code that was used on a page is worth nothing here, and the other way round', async (t) => {
    const stage = await scene({ mfa: 'optional' });
    const first = await appOwner(stage);
    const code = codeAt(first.secret);
    const underway = await afterPassword(stage, first.user);
    await underway.browser.send(underway.page, { code });
    t.is((await grant(stage, first.user, { totp: code })).status, 401);
    t.is((await audited(stage, 'mfa.replay', { user: first.user.id })).length, 1);

    const second = await appOwner(stage);
    const used = codeAt(second.secret);
    t.is((await grant(stage, second.user, { totp: used })).status, 200);
    const page = await afterPassword(stage, second.user);
    t.is((await page.browser.send(page.page, { code: used })).status, 400);
  });

  withinAStep('A05 of one code sent many times at once, to all processes, one brings tokens', async (t) => {
    const stage = await scene({ mfa: 'optional' });
    const servers = await nodes();
    const { user, secret } = await appOwner(stage);
    const totp = codeAt(secret);
    const answers = await parallel(20, (index) =>
      passwordGrant(servers[index % servers.length] ?? stage.server, stage.realm, { username: user.username, password: user.password, totp }),
    );
    t.is(tally(answers)[200], 1, JSON.stringify(tally(answers)));
    t.is((await stage.server.db.knex('sessions').where({ realm_id: stage.realm.id, user_id: user.id })).length, 1);
  });

  engine.test('A12 ten wrong codes bring a pause in which the right one is not looked at, wherever they were tried', async (t) => {
    const stage = await scene({ mfa: 'optional' });
    const { user, secret } = await appOwner(stage);
    for (const totp of wrongCodes(secret, 9)) t.is((await grant(stage, user, { totp })).status, 401);
    const page = await afterPassword(stage, user);
    await page.browser.send(page.page, { code: wrongCodes(secret, 10).at(-1) ?? '' });
    const paused = await grant(stage, user, { totp: codeAt(secret) });
    t.is(paused.status, 429, JSON.stringify(paused.body));
    t.truthy(paused.headers.get('retry-after'));
    t.is((await audited(stage, 'mfa.challenge.throttled', { user: user.id })).length, 1);
  });

  engine.test('A06 wrong passwords are counted with those of the pages, and many at once let no more through', async (t) => {
    const stage = await scene({ mfa: 'off' });
    const user = await stage.server.user(stage.realm);
    const answers = await parallel(40, () => grant(stage, { username: user.username, password: 'a guess' }));
    const { 401: compared = 0, 429: refused = 0 } = tally(answers);
    t.true(compared <= 10 && compared + refused === 40, JSON.stringify(tally(answers)));
    const right = await grant(stage, user);
    t.is(right.status, 429, 'the right password is not compared either');
    t.like(right.body, { error: 'temporarily_unavailable' });
    const page = await begin(stage);
    t.is((await page.browser.send(page.page, { username: user.username, password: user.password })).status, 429, 'nor on a page');
    const other = await stage.server.user(stage.realm);
    t.is((await grant(stage, other)).status, 200, 'everybody else, at the same client, is not paused');
  });

  engine.test('A09 one address guesses at many names until it is paused, and is told the same of names that nobody has', async (t) => {
    const stage = await scene({ mfa: 'off', throttling: throttling({ address: { failures: 20, within: 3_600 } }) });
    const user = await stage.server.user(stage.realm);
    const ip = someAddress();
    const guess = (username: string) => passwordGrant(stage.server, stage.realm, { username, password: 'a guess' }, { 'x-forwarded-for': ip });
    const real = await guess(user.username);
    const unknown = await guess(`nobody-${randomUUID()}`);
    t.is(real.status, 401);
    t.deepEqual([real.status, real.body], [unknown.status, unknown.body]);
    const names = [...real.headers.keys()].sort();
    t.deepEqual([...unknown.headers.keys()].sort(), names);
    for (let count = 0; count < 18; count += 1) await guess(`nobody-${count}`);
    t.is((await guess('nobody-at-last')).status, 429);
  });

  engine.serial('D01 a name that nobody has costs the same verification as one that somebody has', async (t) => {
    const stage = await scene({ mfa: 'off' });
    const user = await stage.server.user(stage.realm);
    const off = await stage.server.user(stage.realm, { enabled: false });
    const cost = async (username: string) => {
      const before = stage.server.verifications();
      await grant(stage, { username, password: 'a guess' });
      return stage.server.verifications() - before;
    };
    for (const name of [user.username, off.username, `nobody-${randomUUID()}`, 'a name'.repeat(60)]) t.is(await cost(name), 1, name);
  });

  engine.test('A27 what was guessed of a user is no failure of the client', async (t) => {
    const stage = await scene({ mfa: 'off', throttling: throttling({ client: { failures: 5, within: 3_600 } }) });
    const { server, realm } = stage;
    const client = await server.client(realm);
    await server.db.knex('clients').where({ realm_id: realm.id, id: client.row.id }).update({ direct_access: true });
    const headers = basic(client);
    for (let count = 0; count < 8; count += 1)
      t.is((await passwordGrant(server, realm, { username: `nobody-${count}`, password: 'a guess' }, headers)).status, 401);
    const user = await server.user(realm);
    t.is((await passwordGrant(server, realm, { username: user.username, password: user.password }, headers)).status, 200);
  });

  engine.serial('A02 a code of before is no good in the next step, and the newest is', async (t) => {
    // Of its own: what is cached of it was read in the next step.
    const stage = await scene({ mfa: 'optional', accessCodeLifespanLogin: 1_700 });
    const { user, secret } = await appOwner(stage);
    const next = (Math.floor(Date.now() / STEP_MS) + 1) * STEP_MS;
    const used = codeOf(secret, () => (next - STEP_MS) / 1_000);
    const right = await grant(stage, user, { totp: used });
    t.like(claimsOf(right), { acr: 'aal2' });
    // The beginning of the next step, so that it lasts as long as this takes.
    await at(next + 1_000 - Date.now(), async () => {
      t.is((await grant(stage, user, { totp: used })).status, 401);
      t.is((await grant(stage, user, { totp: codeAt(secret) })).status, 200);
    });
  });

  engine.test('A28 its refresh tokens end with the session, with the password, and with the user', async (t) => {
    const stage = await scene({ mfa: 'off' });
    const { server, realm } = stage;
    const user = await server.user(realm);
    const refreshed = (refresh: string) =>
      call(server, realm, 'token', { grant_type: 'refresh_token', client_id: 'admin-cli', refresh_token: refresh });
    const tokens = await grant(stage, user);
    await server.db.knex('users').where({ realm_id: realm.id, id: user.id }).update({ enabled: false });
    t.is((await refreshed(textOf(tokens, 'refresh_token'))).status, 400);
    await server.db.knex('users').where({ realm_id: realm.id, id: user.id }).update({ enabled: true });
    const others = await grant(stage, user);
    const session = await server.db
      .knex('session_clients')
      .where({ realm_id: realm.id, sid: String(claimsOf(others).sid) })
      .first('session_id');
    await server.db.knex('sessions').where({ realm_id: realm.id, id: session.session_id }).update({ ended_at: Date.now() });
    t.is((await refreshed(textOf(others, 'refresh_token'))).status, 400);
  });
});
