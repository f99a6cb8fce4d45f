/** Two processes on one database: what ends at the one is refused at the other at its very next request, whoever ended it. */
import type { ExecutionContext } from 'ava';
import { changePolicy } from '../../src/admin/resources/policy.ts';
import { giveRoles } from '../../src/admin/resources/roles.ts';
import { createFactors } from '../../src/factors/index.ts';
import { openDatabase } from '../../src/store/database.ts';
import { basic, call, cookiesFor, getFrom, postTo } from '../support/attack.ts';
import { startBalancer } from '../support/balancer.ts';
import { type Cardea, startCardea } from '../support/cardea.ts';
import { atEnd } from '../support/cleanup.ts';
import { runHere, settingsFor } from '../support/command.ts';
import { type EngineUnderTest, forEachEngine } from '../support/databases.ts';
import { ask, cookiesFor as cookiesOfSite, open, startSite } from '../support/gate.ts';
import { authorizationRequest, Browser, openid, relyingParty, signIn } from '../support/sign-in.ts';

async function start(engine: EngineUnderTest) {
  const balancer = await startBalancer();
  const settings = await engine.settings();
  const node = async () => {
    const db = await openDatabase(settings);
    atEnd(() => db.close());
    return startCardea(db, { CARDEA_ORIGIN: balancer.origin });
  };
  const [one, two] = [await node(), await node()];
  balancer.nodes.push(one, two);
  const operator = { ...one.operator(), factors: createFactors() };
  const realm = await one.realm({ mfa: 'off' });
  await changePolicy(operator, realm, { floors: { administrator: 'aal1' } });
  const app = await one.client(realm);
  const scripts = await one.client(realm, { directAccess: true });
  const boss = await one.user(realm);
  await giveRoles(one.operator(), realm, boss, [{ name: 'realm-admin', client: 'realm-management' }]);
  const site = await startSite(one, realm);
  return { one, two, realm, app, scripts, boss, site, origin: balancer.origin, env: settingsFor(settings), rp: await relyingParty(one, realm, app) };
}

type World = Awaited<ReturnType<typeof start>>;

/** An administrator of the realm with one session, which is at everything that a session can be at. */
async function everywhere({ one, realm, rp, site, origin }: World) {
  const user = await one.user(realm);
  await giveRoles(one.operator(), realm, user, [{ name: 'view-users', client: 'realm-management' }]);
  const browser = new Browser(origin);
  const { tokens } = await signIn(one, rp, user, { browser });
  const page = await browser.visit(`${origin}/realms/${realm.name}/account/sessions`);
  if (page.status !== 200) throw new Error(`no account console: ${page.status}`);
  await open(browser, `${site.origin}/`, user);
  const [row] = await one.db.knex('sessions').where({ realm_id: realm.id, user_id: user.id }).whereNull('ended_at');
  return { user, browser, tokens, id: String(row.id) };
}

/** What a process says to everything that hangs on the session; the refresh comes last, for it is used up. */
async function answers({ realm, app, rp, site, origin }: World, node: Cardea, held: Awaited<ReturnType<typeof everywhere>>) {
  const { browser, tokens } = held;
  const bearer = { authorization: `Bearer ${tokens.access_token}` };
  const silent = await getFrom(node, browser, (await authorizationRequest(rp, { prompt: 'none' })).url);
  const console = await getFrom(node, browser, `${origin}/realms/${realm.name}/account/sessions`);
  const gate = await ask(node, realm, { origin: site.origin, path: '/', cookie: cookiesOfSite(browser, site.hostname) });
  const introspected = await call(node, realm, 'token/introspect', { token: tokens.access_token }, basic(app));
  return {
    userinfo: (await fetch(`${node.url}/realms/${realm.name}/protocol/openid-connect/userinfo`, { headers: bearer })).status === 200,
    introspection: introspected.body.active === true,
    rest: (await fetch(`${node.url}/admin/realms/${realm.name}/users`, { headers: bearer })).status === 200,
    sso: silent.headers.get('location')?.includes('code=') === true,
    account: console.status === 200,
    gate: gate.statusCode === 200,
    refresh:
      (await call(node, realm, 'token', { grant_type: 'refresh_token', refresh_token: tokens.refresh_token ?? '' }, basic(app))).status === 200,
  };
}

const ALL = { userinfo: true, introspection: true, rest: true, sso: true, account: true, gate: true, refresh: true };
const NONE = { userinfo: false, introspection: false, rest: false, sso: false, account: false, gate: false, refresh: false };

forEachEngine((engine) => {
  let started: Promise<World> | undefined;
  const world = () => {
    started ??= start(engine);
    return started;
  };
  type Ending = (on: World, held: Awaited<ReturnType<typeof everywhere>>, t: ExecutionContext) => Promise<unknown>;
  const token = async ({ one, realm, scripts, boss }: World): Promise<string> => {
    const sent = { grant_type: 'password', username: boss.username, password: boss.password };
    const { body } = await call(one, realm, 'token', sent, basic(scripts));
    return String(body.access_token);
  };
  const rest = async (on: World, method: string, path: string): Promise<number> =>
    (await fetch(`${on.one.url}/admin/realms/${on.realm.name}${path}`, { method, headers: { authorization: `Bearer ${await token(on)}` } })).status;
  const inAccount = async ({ one, rp, realm, origin }: World, held: Awaited<ReturnType<typeof everywhere>>, path: string, fields = {}) => {
    const { browser } = await signIn(one, rp, held.user);
    const base = `${origin}/realms/${realm.name}/account`;
    await browser.visit(`${base}/sessions`);
    return (await postTo(one, browser, `${base}${path}`, fields)).status;
  };

  const endings: Record<string, Ending> = {
    'its user, on the page of sessions': async (on, held, t) => t.is(await inAccount(on, held, `/sessions/${held.id}/end`), 303),
    'its user, who signs out everywhere else': async (on, held, t) => t.is(await inAccount(on, held, '/sign-out-elsewhere'), 303),
    'its user, who signs out everywhere': async (on, held, t) => t.is(await inAccount(on, held, '/sign-out-everywhere', { offline: 'on' }), 200),
    'its user, at the application': async (on, held, t) => {
      const { origin, realm, one, app } = on;
      const url = `${origin}/realms/${realm.name}/protocol/openid-connect/logout?${new URLSearchParams({
        ...{ id_token_hint: held.tokens.id_token ?? '', client_id: app.clientId },
      })}`;
      t.is((await getFrom(one, held.browser, url)).status, 303);
    },
    'an administrator, by its id': async (on, held, t) => t.is(await rest(on, 'DELETE', `/sessions/${held.id}`), 204),
    'an administrator, who signs the user out': async (on, held, t) => t.is(await rest(on, 'POST', `/users/${held.user.id}/logout`), 204),
    'an administrator, who signs everybody out': async (on, _held, t) => t.is(await rest(on, 'POST', '/logout-all'), 200),
    'the command line': async ({ env, realm }, held, t) =>
      t.is((await runHere(['session', 'revoke', '--realm', realm.name, held.id], env)).status, 0),
    'the command line, for a user': async ({ env, realm }, held, t) =>
      t.is((await runHere(['user', 'logout', '--realm', realm.name, held.user.username], env)).status, 0),
  };
  for (const [who, ending] of Object.entries(endings)) {
    engine.serial(`a session is refused by every process at once when it was ended by ${who}`, async (t) => {
      const on = await world();
      const held = await everywhere(on);
      const before = await answers(on, on.two, held);
      t.deepEqual(before, ALL);
      const fresh = await signIn(on.one, on.rp, held.user, { browser: held.browser });
      const again = { ...held, tokens: fresh.tokens };
      await ending(on, again, t);
      t.deepEqual(await answers(on, on.two, again), NONE);
      t.deepEqual(await answers(on, on.one, again), NONE);
    });
  }

  engine.serial('offline access ends at every process at once, on the page of its user and over REST', async (t) => {
    const on = await world();
    const { one, two, rp, realm, app, origin } = on;
    const refreshes = async (refresh: string | undefined) =>
      (await call(two, realm, 'token', { grant_type: 'refresh_token', refresh_token: refresh ?? '' }, basic(app))).status;
    const user = await one.user(realm);
    const away = async () => (await signIn(one, rp, user, { parameters: { scope: 'openid offline_access' } })).tokens;
    const first = await away();
    t.is(await refreshes(first.refresh_token), 200);
    const { browser } = await signIn(one, rp, user);
    const base = `${origin}/realms/${realm.name}/account`;
    await browser.visit(`${base}/sessions`);
    t.is((await postTo(one, browser, `${base}/applications/${app.row.id}/end-away`, {})).status, 303);
    t.is(await refreshes(first.refresh_token), 400);
    t.false((await openid.tokenIntrospection(rp.configuration, first.access_token)).active);

    const second = await away();
    const [row] = await one.db.knex('session_clients').where({ realm_id: realm.id, client_id: app.row.id, offline: true });
    t.is(await refreshes(second.refresh_token), 200);
    t.is(await rest(on, 'DELETE', `/sessions/${row.session_id}?isOffline=true`), 204);
    t.is(await refreshes(second.refresh_token), 400);
    t.true(cookiesFor(browser, base).length > 0);
  });
});
