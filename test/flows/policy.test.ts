/** A realm's policy at work over HTTP: what is asked of whom, when, and what the tokens and errors say of it. */
import type { ExecutionContext } from 'ava';
import * as client from 'openid-client';
import { addMember, createGroup } from '../../src/admin/resources/groups.ts';
import { changePolicy } from '../../src/admin/resources/policy.ts';
import { addException, removeException } from '../../src/admin/resources/policy-exceptions.ts';
import { createRole, giveRoles } from '../../src/admin/resources/roles.ts';
import { createFactors } from '../../src/factors/index.ts';
import type { PolicyInput } from '../../src/policy/document.ts';
import { recordedInputs } from '../../src/policy/replay.ts';
import { auditEvents } from '../../src/store/audit.ts';
import type { RealmRow } from '../../src/store/realms.ts';
import { formsOf, type Page } from '../support/agent.ts';
import { codeAt, giveApp, parallel } from '../support/attack.ts';
import { type Cardea, startCardea } from '../support/cardea.ts';
import { forEachEngine } from '../support/databases.ts';
import { authorizationRequest, Browser, codeOf, exchange, keyOf, type RelyingParty, type Request, relyingParty } from '../support/sign-in.ts';

interface Someone {
  id: string;
  username: string;
  password: string;
}

interface Walk {
  browser: Browser;
  /** What was asked, in order. */
  asked: string[];
  /** The last page, or the redirect to the application. */
  page: Page;
  request: Request;
}

/** Answers every page, with one app; `skip` puts off what may be put off. */
async function walk(
  rp: RelyingParty,
  user: Someone,
  options: { browser: Browser; parameters?: Record<string, string>; secret?: string; step?: number; skip?: boolean },
): Promise<Walk> {
  const { browser } = options;
  const request = await authorizationRequest(rp, options.parameters);
  const asked: string[] = [];
  let page = await browser.visit(request.url);
  let { secret = '' } = options;
  for (let pages = 0; pages < 8 && page.status < 300; pages += 1) {
    const form = formsOf(page)[0];
    if (!form) break;
    if (options.skip && page.html.includes('value="skip"')) {
      asked.push('skip');
      page = await browser.send(page, { do: 'skip' });
    } else if (form.names.includes('username') && !form.fields.username) {
      asked.push('username');
      page = await browser.send(page, { username: user.username, password: user.password });
    } else if (form.names.includes('password')) {
      asked.push('password');
      page = await browser.send(page, { password: user.password });
    } else if (form.names.includes('label')) {
      asked.push('enrol');
      secret = keyOf(page);
      page = await browser.send(page, { code: codeOf(secret) });
    } else if (form.names.includes('code')) {
      asked.push('code');
      page = await browser.send(page, { code: codeAt(secret, options.step) });
    } else break;
  }
  return { browser, asked, page, request };
}

const claimsOf = async (rp: RelyingParty, { request, page }: Walk) => (await exchange(rp, request, page)).claims();
/** The error that the application is told; null when it got a code. */
const errorOf = ({ page }: Walk): string | null =>
  new URL(page.headers.get('location') ?? 'https://app.example/no-redirect?error=none').searchParams.get('error');

forEachEngine((engine) => {
  let shared: Promise<Cardea> | undefined;
  const cardea = () => {
    shared ??= engine.database().then((db) => startCardea(db));
    return shared;
  };

  async function world(policy: PolicyInput, options: { attributes?: Record<string, string>; clientId?: string } = {}) {
    const server = await cardea();
    const realm = await server.realm();
    const write = (document: PolicyInput) => changePolicy({ ...server.operator(), factors: createFactors() }, realm, document);
    await write(policy);
    const made = await server.client(realm, options.clientId ? { clientId: options.clientId } : {});
    if (options.attributes) {
      const of = { realm_id: realm.id, client_id: made.clientId };
      await server.db
        .knex('clients')
        .where(of)
        .update({ attributes: JSON.stringify(options.attributes) });
      await server.db.changes.announce(`client:${realm.id}`);
    }
    const rp = await relyingParty(server, realm, made);
    const user = await server.user(realm);
    return { server, realm, rp, user, write, browser: () => new Browser(server.origin) };
  }
  const at = (ms: number): string => new Date(Date.now() + ms).toISOString();
  const withApp = async (server: Cardea, user: Parameters<typeof giveApp>[1]) => (await giveApp(server, user)).secret;

  engine.test('an enrolment is put off as often as the rule says; the session that began so goes on, the token says aal1', async (t) => {
    const rules = [{ id: 'realm', when: {}, need: { level: 'aal2' as const, enrolBy: at(86_400_000), graceLogins: 2 } }];
    const { rp, user, browser, server, realm } = await world({ rules });
    const first = await walk(rp, user, { browser: browser(), skip: true });
    t.deepEqual(first.asked, ['username', 'skip']);
    t.like(await claimsOf(rp, first), { acr: 'aal1', amr: ['pwd'] });
    // Single sign-on in that session asks and counts nothing, however often.
    for (let again = 0; again < 3; again += 1) {
      const sso = await walk(rp, user, { browser: first.browser, skip: true });
      t.deepEqual(sso.asked, []);
      t.is((await claimsOf(rp, sso))?.acr, 'aal1');
    }
    // The application that asks for more gets more, and nobody puts that off.
    const raised = await walk(rp, user, { browser: first.browser, skip: true, parameters: { acr_values: 'aal2' } });
    t.deepEqual(raised.asked, ['enrol']);
    t.like(await claimsOf(rp, raised), { acr: 'aal2', amr: ['pwd', 'otp', 'mfa'] });

    const other = await server.user(realm);
    t.deepEqual((await walk(rp, other, { browser: browser(), skip: true })).asked, ['username', 'skip']);
    t.deepEqual((await walk(rp, other, { browser: browser(), skip: true })).asked, ['username', 'skip']);
    t.deepEqual((await walk(rp, other, { browser: browser(), skip: true })).asked, ['username', 'enrol'], 'twice, and no more');
  });

  engine.test('of many who put the last one off at the same moment, one does', async (t) => {
    const { rp, user, browser, server } = await world({ rules: [{ id: 'realm', when: {}, need: { level: 'aal2', graceLogins: 1 } }] });
    const pages = await parallel(6, async () => {
      const own = browser();
      const page = await own.visit((await authorizationRequest(rp)).url);
      return { own, page: await own.send(page, { username: user.username, password: user.password }) };
    });
    const answers = await Promise.all(pages.map(({ own, page }) => own.send(page, { do: 'skip' })));
    t.is(answers.filter((page) => page.headers.get('location')?.startsWith('https://app.example/')).length, 1);
    t.is(answers.filter((page) => page.html.includes('name="code"')).length, 5, 'the others set it up after all');
    t.is((await server.db.knex('mfa_grace').where({ user_id: user.id }).first('used')).used, 1);
  });

  engine.test('a deadline that has come is no grace', async (t) => {
    const { rp, user, browser, write } = await world({ rules: [{ id: 'realm', when: {}, need: { level: 'aal2', enrolBy: at(86_400_000) } }] });
    const session = await walk(rp, user, { browser: browser(), skip: true });
    t.is((await claimsOf(rp, session))?.acr, 'aal1');
    await write({ rules: [{ id: 'realm', when: {}, need: { level: 'aal2', enrolBy: at(-1_000) } }] });
    t.deepEqual((await walk(rp, user, { browser: session.browser, skip: true })).asked, ['enrol'], 'nor for the session that began with it');
  });

  engine.test('rules by role, group and user hold for whoever they name, at once', async (t) => {
    const need = { level: 'aal2' as const };
    const { rp, server, realm, browser, user } = await world({
      useOwned: false,
      rules: [
        { id: 'sellers', when: { role: ['seller'] }, need },
        { id: 'north', when: { group: ['/sales'] }, need },
        { id: 'erin', when: { user: ['Erin'] }, need },
      ],
    });
    const operator = server.operator();
    await createRole(operator, realm, { name: 'seller' });
    await createGroup(operator, realm, { name: 'sales' });
    await createGroup(operator, realm, { name: 'north', parent: '/sales' });
    const asked = async (someone: Someone) => (await walk(rp, someone, { browser: browser() })).asked;
    const [seller, northerner, erin] = [await server.user(realm), await server.user(realm), await server.user(realm, { username: 'erin' })];
    t.deepEqual(await asked(seller), ['username']);
    await giveRoles(operator, realm, seller, [{ name: 'seller' }]);
    await addMember(operator, realm, '/sales/north', northerner);
    for (const someone of [seller, northerner, erin]) t.deepEqual(await asked(someone), ['username', 'enrol']);
    t.deepEqual(await asked(user), ['username']);
  });

  engine.test('administrators need a second factor where nobody else does, and put nothing off', async (t) => {
    const grace = { id: 'realm', when: {}, need: { level: 'aal2' as const, enrolBy: at(86_400_000) } };
    const { rp, server, realm, browser, user, write } = await world({ useOwned: false });
    const administrator = await server.user(realm);
    await giveRoles(server.operator(), realm, administrator, [{ client: 'realm-management', name: 'view-users' }]);
    t.deepEqual((await walk(rp, administrator, { browser: browser(), skip: true })).asked, ['username', 'enrol']);
    t.deepEqual((await walk(rp, user, { browser: browser(), skip: true })).asked, ['username']);
    const another = await server.user(realm);
    await giveRoles(server.operator(), realm, another, [{ client: 'realm-management', name: 'realm-admin' }]);
    await write({ rules: [grace] });
    t.deepEqual((await walk(rp, another, { browser: browser(), skip: true })).asked, ['username', 'enrol']);
    t.deepEqual((await walk(rp, user, { browser: browser(), skip: true })).asked, ['username', 'skip']);
  });

  engine.test('a client’s floor holds without being asked, and under an exception', async (t) => {
    const { rp, server, realm, user, browser } = await world({ useOwned: false }, { attributes: { 'minimum.acr.value': 'aal2' } });
    const secret = await withApp(server, user);
    const plain = await relyingParty(server, realm, await server.client(realm));
    const exception = await addException(server.operator(), user, { level: 'aal1', days: 7, reason: 'new telephone' });
    const first = await walk(rp, user, { browser: browser(), secret });
    t.deepEqual(first.asked, ['username', 'code']);
    t.is((await claimsOf(rp, first))?.acr, 'aal2');
    const elsewhere = await walk(plain, user, { browser: browser(), secret });
    t.deepEqual(elsewhere.asked, ['username']);
    t.is((await claimsOf(plain, elsewhere))?.acr, 'aal1');
    // That session comes to the strict client: only what is missing is asked.
    const raised = await walk(rp, user, { browser: elsewhere.browser, secret, step: 1 });
    t.deepEqual(raised.asked, ['code']);
    t.truthy(exception.id);
  });

  engine.test('an exception lowers what rules ask until it is taken back', async (t) => {
    const { rp, server, user, browser } = await world({ rules: [{ id: 'realm', when: {}, need: { level: 'aal2' } }] });
    const secret = await withApp(server, user);
    await addException(server.operator(), user, { level: 'aal1', days: 7, reason: 'new telephone' });
    const excepted = await walk(rp, user, { browser: browser(), secret });
    t.deepEqual(excepted.asked, ['username']);
    t.is((await claimsOf(rp, excepted))?.acr, 'aal1');
    await removeException(server.operator(), user);
    t.deepEqual((await walk(rp, user, { browser: excepted.browser, secret })).asked, ['code'], 'also in the session that it let in');
  });

  engine.test('what a client wishes by default is asked where a request names nothing, under the realm’s own names', async (t) => {
    const { rp, server, user, browser } = await world(
      { useOwned: false, acr: { gold: 'aal2', silver: 'aal1' } },
      { attributes: { 'default.acr.values': 'gold##silver' } },
    );
    const secret = await withApp(server, user);
    const wished = await walk(rp, user, { browser: browser(), secret });
    // Any one of them satisfies: the weaker one is enough.
    t.deepEqual(wished.asked, ['username']);
    t.is((await claimsOf(rp, wished))?.acr, 'silver');
    const asked = await walk(rp, user, { browser: wished.browser, secret, parameters: { acr_values: 'platinum gold' } });
    t.deepEqual(asked.asked, ['code']);
    t.is((await claimsOf(rp, asked))?.acr, 'gold');
    const named = await walk(rp, user, { browser: asked.browser, parameters: { acr_values: 'aal1' } });
    t.deepEqual([named.asked, (await claimsOf(rp, named))?.acr], [[], 'aal1'], 'a request that names something is asked no wishes');
  });

  engine.test('step-up by claims: essential or not, and an error where it cannot be reached', async (t) => {
    const { rp, server, user, browser } = await world({ useOwned: false });
    const secret = await withApp(server, user);
    const claims = (acr: object) => ({ claims: JSON.stringify({ id_token: { acr } }) });
    const one = await walk(rp, user, { browser: browser(), secret, parameters: claims({ essential: true, values: ['aal2', 'phr'] }) });
    t.deepEqual(one.asked, ['username', 'code']);
    t.is((await claimsOf(rp, one))?.acr, 'aal2');
    const again = await walk(rp, user, { browser: one.browser, parameters: claims({ essential: true, value: 'aal2' }) });
    t.deepEqual(again.asked, []);
    const wish = await walk(rp, user, { browser: one.browser, parameters: claims({ values: ['urn:unknown'] }) });
    t.deepEqual([wish.asked, errorOf(wish)], [[], null]);
    for (const acr of [
      { essential: true, value: 'urn:unknown' },
      { essential: true, value: 'phrh' },
    ]) {
      const unmet = await walk(rp, user, { browser: one.browser, parameters: claims(acr) });
      t.is(errorOf(unmet), 'unmet_authentication_requirements', JSON.stringify(acr));
    }
    const quiet = await walk(rp, user, { browser: one.browser, parameters: { ...claims({ essential: true, value: 'phr' }), prompt: 'none' } });
    t.is(errorOf(quiet), 'unmet_authentication_requirements');
  });

  engine.test('a rule’s maxAge asks what is stale again, once, and not what is fresh', async (t) => {
    const { rp, server, user, browser, write, realm } = await world({ useOwned: true }, { clientId: 'payroll' });
    const secret = await withApp(server, user);
    const session = await walk(rp, user, { browser: browser(), secret });
    await claimsOf(rp, session);
    await write({ rules: [{ id: 'payroll', when: { client: ['payroll'] }, need: { maxAge: 300 } }] });
    t.deepEqual((await walk(rp, user, { browser: session.browser })).asked, [], 'five minutes have not passed');
    const aged = await server.db.knex('sessions').where({ realm_id: realm.id, user_id: user.id }).first('id', 'proofs');
    const older = JSON.parse(aged.proofs).map((proof: { factor: string; at: number }) => ({
      ...proof,
      at: proof.at - (proof.factor === 'totp' ? 0 : 3_600_000),
    }));
    await server.db
      .knex('sessions')
      .where({ realm_id: realm.id, id: aged.id })
      .update({ proofs: JSON.stringify(older) });
    const again = await walk(rp, user, { browser: session.browser, secret, step: 1 });
    t.deepEqual(again.asked, ['password'], 'the code is fresh');
    t.true(Date.now() / 1000 - Number((await claimsOf(rp, again))?.auth_time) < 300);
    await write({ rules: [{ id: 'payroll', when: { client: ['payroll'] }, need: { maxAge: 0 } }] });
    const zero = await walk(rp, user, { browser: session.browser, secret, step: 1 });
    t.deepEqual(zero.asked, ['password', 'code'], 'a maxAge of nothing asks each time, and ends');
    t.is(errorOf(zero), null);
  });

  engine.test('our own consoles send nobody round in circles: not who has put something off, nor who has to be fresh', async (t) => {
    const { user, browser, server, realm } = await world({
      rules: [
        { id: 'realm', when: {}, need: { level: 'aal2', graceLogins: 1 } },
        { id: 'fresh', when: { client: ['account-console'] }, need: { maxAge: 0 } },
      ],
    });
    const own = browser();
    const account = `${server.origin}/realms/${realm.name}/account`;
    let page = await own.visit(account);
    page = await own.send(page, { username: user.username, password: user.password });
    page = await own.send(page, { do: 'skip' });
    t.is(page.url, account);
    t.is(page.status, 200);
    for (let again = 0; again < 2; again += 1) t.is((await own.visit(account)).url, account);
    // Six minutes later it asks anew, and again once.
    const { proofs, id } = await server.db.knex('sessions').where({ user_id: user.id }).first('id', 'proofs');
    const older = JSON.parse(proofs).map((proof: { at: number }) => ({ ...proof, at: proof.at - 360_000 }));
    await server.db
      .knex('sessions')
      .where({ id })
      .update({ proofs: JSON.stringify(older) });
    page = await own.visit(account);
    t.regex(page.url, /\/login\//);
    page = await own.send(page, { password: user.password });
    t.is(page.url, account);
  });

  engine.test('a client that nobody may use says so to the application, before anything is asked', async (t) => {
    const { rp, user, browser } = await world(
      { rules: [{ id: 'closed', when: { client: ['closed'] }, need: { deny: true } }] },
      { clientId: 'closed' },
    );
    const denied = await walk(rp, user, { browser: browser() });
    t.deepEqual(denied.asked, []);
    t.is(errorOf(denied), 'unmet_authentication_requirements');
  });

  engine.test('each sign-in keeps what it was decided from, and nothing that names anybody', async (t) => {
    const { rp, server, realm, user, browser } = await world({ acr: { gold: 'aal2' } });
    const secret = await withApp(server, user);
    await claimsOf(rp, await walk(rp, user, { browser: browser(), secret, parameters: { acr_values: 'gold' } }));
    const [row] = await auditEvents(server.db.knex, realm.id, { type: 'login.ok', limit: 1 });
    const { inputs } = JSON.parse(row?.details ?? '{}');
    const read = recordedInputs.parse(inputs);
    t.like(read, { v: 1, policy: 2, acr: ['gold'], owned: [{ f: 'totp' }], groups: [], roles: [] });
    t.deepEqual(
      read.proofs.map((proof) => proof.f),
      ['password', 'totp'],
    );
    t.false(row?.details.includes(user.username));
    t.true((row?.details.length ?? 0) < 1_500, String(row?.details.length));
  });

  engine.test('a decision costs one statement about the user, whatever the policy names', async (t) => {
    const need = { level: 'aal2' as const };
    const { rp, server, user, browser } = await world({
      rules: [
        { id: 'a', when: { role: ['one', 'two', 'shop:three'] }, need },
        { id: 'b', when: { group: ['/sales'] }, need },
      ],
    });
    const session = await walk(rp, user, { browser: browser() });
    await claimsOf(rp, session);
    const seen: string[] = [];
    // The database is shared with the other tests.
    const count = ({ sql, bindings }: { sql: string; bindings?: unknown[] }) => {
      if (bindings?.includes(user.id)) seen.push(sql);
    };
    server.db.knex.on('query', count);
    const sso = await walk(rp, user, { browser: session.browser });
    server.db.knex.off('query', count);
    t.deepEqual(sso.asked, []);
    t.is(seen.filter((sql) => /mfa_exceptions/.test(sql)).length, 1);
    t.is(seen.filter((sql) => /from .credentials. /.test(sql)).length, 1, 'and it reads the credentials too');
  });

  engine.test('the policy that is asked for by two nodes is the newest', async (t: ExecutionContext) => {
    const server = await cardea();
    const other = await startCardea(await engine.database(), { CARDEA_ORIGIN: server.origin });
    const realm: RealmRow = await server.realm({ mfa: 'off' });
    const user = await server.user(realm);
    const metadata = await fetch(`${other.url}/realms/${realm.name}`);
    t.is(metadata.status, 200);
    const rp = await relyingParty(server, realm, await server.client(realm));
    await client.fetchUserInfo(rp.configuration, 'nothing', client.skipSubjectCheck).catch(() => undefined);
    t.deepEqual((await walk(rp, user, { browser: new Browser(server.origin) })).asked, ['username']);
    const changed = { rules: [{ id: 'realm', when: {}, need: { level: 'aal2' as const } }] };
    await changePolicy({ ...other.operator(), factors: createFactors() }, realm, changed);
    t.deepEqual((await walk(rp, user, { browser: new Browser(server.origin) })).asked, ['username', 'enrol']);
  });
});
