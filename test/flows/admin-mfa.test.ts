/** The policy, coverage, exceptions and enrolment passes over REST. */
import { parse } from 'csv-parse/sync';
import { giveRoles } from '../../src/admin/resources/roles.ts';
import { insertCredential } from '../../src/store/credentials.ts';
import { adminWorld, callAdmin } from '../support/admin.ts';
import { giveApp } from '../support/attack.ts';
import type { Cardea } from '../support/cardea.ts';
import { forEachEngine } from '../support/databases.ts';
import { limitedClient, statementsOf } from '../support/keycloak.ts';

const payroll = { id: 'payroll', when: { client: ['payroll'] }, need: { level: 'phr' } };

forEachEngine((engine) => {
  const world = adminWorld(engine);
  const realmOf = async (settings: { dualControl?: boolean } = {}) => {
    const { server, admin } = await world();
    const realm = await server.realm({ mfa: 'off', disabledFactors: [], ...settings });
    const path = `/realms/${realm.name}/mfa`;
    const as =
      (token: string) =>
      (method: string, rest: string, body?: unknown, headers: Record<string, string> = {}) =>
        callAdmin(server, method, `${path}${rest}`, { token, body, headers });
    return {
      server,
      admin,
      realm,
      as,
      call: as(admin.token),
      limited: async (...roles: string[]) => as((await limitedClient(server, realm, roles)).token),
    };
  };
  const withFactor = (server: Cardea, user: { realmId: string; id: string }, factor: string, level: 'phr' | null = null) =>
    insertCredential(server.db.knex, {
      realmId: user.realmId,
      userId: user.id,
      id: crypto.randomUUID(),
      factor,
      label: '',
      secret: '',
      counter: null,
      enabled: true,
      level,
      lookup: null,
      createdAt: 1,
      lastUsedAt: null,
    });

  engine.test('a policy is read with its version and replaced by whoever has seen the newest one', async (t) => {
    const { call } = await realmOf();
    const read = await call('GET', '/policy');
    t.is(read.status, 200);
    t.like(read.body, { version: 1, document: { useOwned: false, rules: [] } });
    t.is(read.headers.get('etag'), '"1"');
    const same = await call('PUT', '/policy', read.body);
    t.like(same.body, { version: 1, changes: [] }, 'what was read changes nothing');

    const document = { ...read.body.document, rules: [payroll] };
    const put = await call('PUT', '/policy', { version: 1, document });
    t.like(put.body, { version: 2, document: { rules: [payroll] } });
    t.is(put.body.changes[0].at, 'rules.payroll');
    t.is((await call('PUT', '/policy', { version: 1, document: read.body.document })).status, 409);
    t.is((await call('PUT', '/policy', { document: read.body.document }, { 'if-match': '"1"' })).status, 409);
    t.is((await call('PUT', '/policy', { document: read.body.document }, { 'if-match': '"2"' })).body.version, 3);
    const missing = await call('PUT', '/policy', { document });
    t.deepEqual([missing.status, missing.body.field], [400, 'version']);

    const wrong = await call('PUT', '/policy', { version: 3, document: { ...document, rules: [{ ...payroll, need: { level: 'aal9' } }] } });
    t.deepEqual([wrong.status, wrong.body.field], [400, 'document.rules.0.need.level']);
    t.is((await call('PUT', '/policy', { version: 3, document: { ...document, useOwnd: true } })).status, 400);

    const history = await call('GET', '/policy/history?max=2');
    t.deepEqual(
      history.body.versions.map(({ version }: { version: number }) => version),
      [3, 2],
    );
    const older = await call('GET', `/policy/history?max=2&after=${history.body.next}`);
    t.like(older.body, { next: null });
    t.is(older.body.versions[0].version, 1);
    t.is((await call('GET', '/policy/history?after=x')).body.field, 'after');
  });

  engine.test('B43 whoever manages a part of the realm asks nothing less of those who manage it', async (t) => {
    const { call, limited } = await realmOf();
    const floor = {
      useOwned: true,
      floors: { administrator: 'aal2' },
      rules: [{ id: 'admins', when: { role: ['realm-management:realm-admin'] }, need: { level: 'phr' } }, payroll],
    };
    t.is((await call('PUT', '/policy', { version: 1, document: floor })).body.version, 2);
    const some = await limited('manage-realm');
    t.is((await some('GET', '/policy')).status, 200);
    const lowered = await some('PUT', '/policy', { version: 2, document: { ...floor, floors: { administrator: 'aal1' } } });
    t.is(lowered.status, 403);
    t.regex(lowered.body.errorMessage, /floors\.administrator/);
    t.is((await some('PUT', '/policy', { version: 2, document: { ...floor, rules: [payroll] } })).status, 403);
    t.is(
      (await some('PUT', '/policy', { version: 2, document: { ...floor, rules: [floor.rules[0]] } })).body.version,
      3,
      'a rule for everybody is theirs',
    );
    t.is(
      (await some('PUT', '/policy', { version: 3, document: { ...floor, floors: { administrator: 'phr' }, rules: [floor.rules[0]] } })).status,
      200,
      'more may be asked',
    );
    const all = await limited('realm-admin');
    t.is((await all('PUT', '/policy', { version: 4, document: { ...floor, floors: { administrator: 'aal1' }, rules: [] } })).status, 200);
    const viewer = await limited('view-realm');
    t.is((await viewer('GET', '/policy')).status, 200);
    t.is((await viewer('PUT', '/policy', { version: 5, document: floor })).status, 403);
  });

  engine.test('B43 in master that is whoever has the role admin: all of master’s own management is a part', async (t) => {
    const { server, admin } = await world();
    const by = async (token: string, method: string, body?: unknown) => callAdmin(server, method, '/realms/master/mfa/policy', { token, body });
    const { token } = await limitedClient(server, admin.master, ['manage-realm', 'manage-users', 'manage-clients']);
    const before = await by(token, 'GET');
    const { version, document } = Object(before.body);
    const asked = { version, document: { ...document, floors: { administrator: 'aal1' } } };
    const refused = await by(token, 'PUT', asked);
    t.is(refused.status, 403, JSON.stringify(refused.body));
    t.regex(JSON.stringify(refused.body), /floors\.administrator.*You have not: admin/);
    t.is((await by(admin.token, 'PUT', asked)).status, 200);
  });

  engine.test('what somebody would be asked is explained, by the policy in force and by a draft', async (t) => {
    const { server, realm, call, limited } = await realmOf();
    const user = await server.user(realm, { username: 'erin' });
    const { clientId } = await server.client(realm, { clientId: 'payroll' });
    const now = await call('GET', `/explain?user=${user.username}&client=${clientId}`);
    t.is(now.status, 200);
    t.like(now.body, { user: { username: 'erin' }, client: 'payroll', need: { level: 'aal1' } });
    const draft = { useOwned: true, rules: [payroll] };
    const then = await call('POST', '/explain', { user: 'erin', client: clientId, draft });
    t.like(then.body, { need: { level: 'phr' }, version: 0 });
    t.true(then.body.rules.some(({ id, why }: { id: string; why: string }) => id === 'payroll' && why.length > 0));
    t.is((await call('GET', '/explain?user=erin&acr=aal2')).body.need.level, 'aal2');
    t.is((await call('GET', '/explain?user=nobody')).status, 404);
    t.is((await call('POST', '/explain', { user: 'erin', risk: ['weather'] })).body.field, 'risk.0');
    t.is((await (await limited('view-users'))('GET', '/explain?user=erin')).status, 200);
    t.is((await (await limited('view-realm'))('GET', '/explain?user=erin')).status, 403);

    const tried = await call('POST', '/dry-run', { draft, days: 7 });
    t.like(tried.body, { days: 7, signIns: 0, rules: [] });
    t.is((await call('POST', '/dry-run', { draft: { rules: [{ id: 'x' }] } })).status, 400);
    t.is((await call('POST', '/dry-run', { draft, days: 0 })).body.field, 'days');
  });

  engine.test('who is protected is listed page by page, filtered, counted, and written for a spreadsheet', async (t) => {
    const { server, realm, admin, call, limited } = await realmOf();
    const made = [];
    for (const username of ['ann', 'bob', 'carl', 'dora', '=1+1']) made.push(await server.user(realm, { username, email: undefined }));
    const [ann, bob, carl, dora] = made;
    if (!ann || !bob || !carl || !dora) return t.fail();
    await withFactor(server, bob, 'totp');
    await withFactor(server, carl, 'passkey');
    await withFactor(server, carl, 'recovery-codes');
    await withFactor(server, dora, 'security-key', 'phr');
    await server.db.knex('mfa_grace').insert({ realm_id: realm.id, user_id: ann.id, used: 2, updated_at: 1 });
    const names = async (query: string): Promise<string[]> =>
      (await call('GET', `/coverage${query}`)).body.users.map((one: { username: string }) => one.username);
    const all = await call('GET', '/coverage');
    t.deepEqual(
      all.body.users.map(({ username, state, oneLeft }: Record<string, unknown>) => [username, state, oneLeft]),
      [
        ['=1+1', 'none', false],
        ['ann', 'grace', false],
        ['bob', 'aal2', true],
        ['carl', 'phr', false],
        ['dora', 'phr', true],
      ],
    );
    for (const state of ['none', 'grace', 'aal2', 'phr'])
      t.deepEqual(
        await names(`?state=${state}`),
        all.body.users.filter((one: { state: string }) => one.state === state).map((one: { username: string }) => one.username),
        state,
      );
    t.deepEqual(await names('?oneLeft=true'), ['bob', 'dora']);
    t.deepEqual(await names('?oneLeft=false'), ['=1+1', 'ann', 'carl']);
    t.deepEqual(await names('?first=1&max=2'), ['ann', 'bob']);
    const page = await call('GET', '/coverage?max=2');
    t.deepEqual(await names(`?max=2&after=${page.body.next}`), ['bob', 'carl']);
    t.deepEqual((await call('GET', '/coverage/count')).body, { none: 1, grace: 1, aal2: 1, phr: 2 });

    const { id: groupId } = (await admin.call('GET', `/realms/${realm.name}/groups`)).body[0] ?? { id: undefined };
    t.is(groupId, undefined);
    await admin.call('POST', `/realms/${realm.name}/groups`, { body: { name: 'sales' } });
    const [group] = (await admin.call('GET', `/realms/${realm.name}/groups`)).body;
    const child = await admin.call('POST', `/realms/${realm.name}/groups/${group.id}/children`, { body: { name: 'north' } });
    await admin.call('PUT', `/realms/${realm.name}/users/${bob.id}/groups/${child.body.id}`);
    t.deepEqual(await names('?group=/sales'), ['bob']);
    t.deepEqual(await names('?group=/sal'), []);
    await giveRoles(server.operator(), realm, carl, [{ name: 'view-users', client: 'realm-management' }]);
    t.deepEqual(await names('?role=realm-management:view-users'), ['carl']);
    t.deepEqual(await names('?role=nothing'), []);
    t.is((await call('GET', '/coverage?state=well')).body.field, 'state');

    const csv = await call('GET', '/coverage?state=none', undefined, { accept: 'text/csv' });
    t.regex(csv.headers.get('content-type') ?? '', /^text\/csv/);
    t.deepEqual(parse(csv.body)[1]?.slice(1), ["'=1+1", 'none', '', '0', 'false']);
    t.is(parse((await call('GET', '/coverage?format=csv')).body).length, 6);
    t.is((await (await limited('view-users'))('GET', '/coverage')).status, 200);
    t.is((await (await limited('view-realm'))('GET', '/coverage')).status, 403);
  });

  engine.serial('a page of the list takes as many statements as one user', async (t) => {
    const { server, realm, call } = await realmOf();
    for (const username of ['ann', 'bob', 'carl']) await withFactor(server, await server.user(realm, { username }), 'totp');
    const one = await statementsOf(server, () => call('GET', '/coverage?max=1'));
    t.is(await statementsOf(server, () => call('GET', '/coverage')), one);
  });

  engine.test('an exception is granted by somebody else, listed and ended', async (t) => {
    const { server, realm, call, limited } = await realmOf();
    const user = await server.user(realm, { username: 'erin' });
    const asked = { user: 'erin', level: 'aal1', days: 7, reason: 'new telephone' };
    const made = await call('POST', '/exceptions', asked);
    t.is(made.status, 201);
    t.true((made.headers.get('location') ?? '').endsWith(`/mfa/exceptions/${user.id}`));
    t.is((await call('POST', '/exceptions', asked)).status, 409);
    t.like((await call('GET', '/exceptions')).body.exceptions[0], { username: 'erin', level: 'aal1', reason: 'new telephone' });
    t.is((await call('POST', '/exceptions', { ...asked, days: 91 })).body.field, 'days');
    t.is((await call('DELETE', '/exceptions/erin')).status, 204);
    t.is((await call('DELETE', '/exceptions/erin')).status, 404);

    const { token, userId } = await limitedClient(server, realm, ['manage-users']);
    const some = (method: string, rest: string, body?: unknown) => callAdmin(server, method, `/realms/${realm.name}/mfa${rest}`, { token, body });
    t.is((await some('POST', '/exceptions', { ...asked, user: userId })).status, 403, 'not oneself');
    const boss = await server.user(realm, { username: 'boss' });
    await giveRoles(server.operator(), realm, boss, [{ name: 'realm-admin', client: 'realm-management' }]);
    t.is((await some('POST', '/exceptions', { ...asked, user: 'boss' })).status, 403, 'nor whoever manages more');
    t.is((await some('POST', '/exceptions', asked)).status, 201);
    t.is((await (await limited('view-users'))('POST', '/exceptions', asked)).status, 403);
  });

  engine.test('C09 a pass is shown once: to whoever asks where one is enough, to whoever approves where two are', async (t) => {
    const { server, realm, call } = await realmOf();
    const user = await server.user(realm, { username: 'erin' });
    const asked = { user: 'erin', reason: 'lost her phone' };
    t.is((await call('POST', '/enrolment-passes', asked)).status, 409, 'nothing is lost');
    await giveApp(server, user);
    const made = await call('POST', '/enrolment-passes', { ...asked, hours: 4 });
    t.is(made.status, 201);
    t.like(made.body, { username: 'erin', standing: 'ready', needsApproval: false });
    t.regex(made.body.code, /^[a-z2-9]{4}(-[a-z2-9]{4}){5}$/);
    const listed = await call('GET', '/enrolment-passes?user=erin');
    t.is(listed.body.passes.length, 1);
    t.false(JSON.stringify(listed.body).includes(made.body.code));
    t.false(JSON.stringify((await call('GET', `/enrolment-passes/${made.body.id}`)).body).includes(made.body.code));
    t.is((await call('POST', `/enrolment-passes/${made.body.id}/approve`)).status, 409);
    t.is((await call('DELETE', `/enrolment-passes/${made.body.id}`)).status, 204);
    t.is((await call('DELETE', `/enrolment-passes/${made.body.id}`)).status, 409);
    t.is((await call('POST', '/enrolment-passes', { ...asked, hours: 100 })).body.field, 'hours');

    const dual = await realmOf({ dualControl: true });
    await giveApp(server, await server.user(dual.realm, { username: 'erin' }));
    const [first, second] = [await dual.limited('manage-users'), await dual.limited('manage-users')];
    const request = await first('POST', '/enrolment-passes', asked);
    t.like(request.body, { standing: 'waiting', needsApproval: true, code: null });
    t.is((await first('POST', `/enrolment-passes/${request.body.id}/approve`)).status, 403, 'one’s own');
    t.is((await call('POST', `/enrolment-passes/${request.body.id}/approve`)).status, 404, 'of another realm');
    const approved = await second('POST', `/enrolment-passes/${request.body.id}/approve`);
    t.regex(approved.body.code, /^[a-z2-9]{4}/);
    t.is((await second('POST', `/enrolment-passes/${request.body.id}/approve`)).status, 409);
    t.is((await dual.limited('view-users').then((view) => view('POST', '/enrolment-passes', asked))).status, 403);
  });

  engine.test('B42 no pass for whoever manages more', async (t) => {
    const { server, realm, limited } = await realmOf();
    const boss = await server.user(realm, { username: 'boss' });
    await giveRoles(server.operator(), realm, boss, [{ name: 'realm-admin', client: 'realm-management' }]);
    await giveApp(server, boss);
    const [some, other, whole] = [await limited('manage-users'), await limited('manage-users'), await limited('realm-admin')];
    const asked = { user: 'boss', reason: 'lost' };
    t.is((await some('POST', '/enrolment-passes', asked)).status, 403);
    const request = await whole('POST', '/enrolment-passes', asked);
    t.is(request.body.code, null, 'an administrator’s is approved by another one');
    t.is((await other('POST', `/enrolment-passes/${request.body.id}/approve`)).status, 403);
    t.is((await other('DELETE', `/enrolment-passes/${request.body.id}`)).status, 403);
    t.regex((await (await limited('realm-admin'))('POST', `/enrolment-passes/${request.body.id}/approve`)).body.code, /^[a-z2-9]{4}/);
  });
});
