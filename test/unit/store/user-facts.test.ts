/** What a decision has to know of a user: one statement, the same on both engines. */
import { randomBytes, randomUUID } from 'node:crypto';
import { createClient } from '../../../src/admin/resources/clients.ts';
import type { Operator } from '../../../src/admin/resources/context.ts';
import { addMember, createGroup, giveGroupRoles } from '../../../src/admin/resources/groups.ts';
import { addException } from '../../../src/admin/resources/policy-exceptions.ts';
import { createRealm } from '../../../src/admin/resources/realms.ts';
import { createRole, giveRoles } from '../../../src/admin/resources/roles.ts';
import { createUser } from '../../../src/admin/resources/users.ts';
import type { Database } from '../../../src/store/database.ts';
import { insertDevice, noteNetwork } from '../../../src/store/devices.ts';
import { membershipsOf } from '../../../src/store/memberships.ts';
import { insertPolicy, policiesInForce, policyInForce, spendGrace } from '../../../src/store/policies.ts';
import type { RealmRow } from '../../../src/store/realms.ts';
import { userFactsRow } from '../../../src/store/user-facts.ts';
import type { UserRow } from '../../../src/store/users.ts';
import { forEachEngine, testOnEngines } from '../../support/databases.ts';
import { quickHasher } from '../../support/factors.ts';
import { keyringOn } from '../../support/keyring.ts';
import { policyWith } from '../../support/policies.ts';
import { contain } from '../../support/roles.ts';
import { realmRow, userRow } from '../../support/rows.ts';

const NOW = Date.UTC(2030, 0, 15);
const operatorOn = (db: Database): Operator => ({ db, keyring: keyringOn(db), passwords: quickHasher(), actor: 'test', now: NOW });

async function scene(db: Database, name = `realm-${randomBytes(4).toString('hex')}`) {
  const operator = operatorOn(db);
  const realm = await createRealm(operator, { name });
  const user = await createUser(operator, realm, { username: 'Erin', email: 'erin@example.com', password: 'correct horse battery' });
  return { operator, realm, user };
}

const factsOf = (db: Database, realm: RealmRow, user: UserRow, roles: string[] = [], clientId: string | null = null) =>
  userFactsRow(db.knex, { realmId: realm.id, isMaster: realm.name === 'master', userId: user.id, roles, clientId }, NOW);

testOnEngines('somebody with a password and nothing else', async (t, db) => {
  const { realm, user } = await scene(db);
  const facts = await factsOf(db, realm, user);
  t.deepEqual(
    facts.credentials.map(({ factor, enabled, userId, realmId }) => ({ factor, enabled, userId, realmId })),
    [{ factor: 'password', enabled: true, userId: user.id, realmId: realm.id }],
  );
  t.deepEqual(
    { ...facts, credentials: [] },
    {
      credentials: [],
      user,
      roles: [],
      groups: [],
      administrator: false,
      exception: null,
      graceUsed: 0,
      requiredActions: [],
      resetAt: null,
      client: {},
      seen: undefined,
    },
  );
});

testOnEngines('nobody has nothing', async (t, db) => {
  const { realm } = await scene(db);
  const facts = await userFactsRow(
    db.knex,
    { realmId: realm.id, isMaster: true, userId: randomUUID(), roles: ['admin', 'a:b'], clientId: 'nowhere' },
    NOW,
  );
  t.deepEqual(facts, {
    credentials: [],
    user: undefined,
    roles: [],
    groups: [],
    administrator: false,
    exception: null,
    graceUsed: 0,
    requiredActions: [],
    resetAt: null,
    client: {},
    seen: undefined,
  });
});

testOnEngines('what a browser is to the user comes with the rest, and each thing once', async (t, db) => {
  const { realm, user } = await scene(db);
  const at = { browser: 'a browser', ids: [randomUUID()], network: '192.0.2.0/24' };
  const [ofBrowser, byId] = [randomUUID(), at.ids[0] ?? ''];
  const facts = () => userFactsRow(db.knex, { realmId: realm.id, isMaster: false, userId: user.id, roles: [], at }, NOW);
  t.deepEqual((await facts()).seen, { devices: [], networkIsKnown: false, hasHistory: false, count: 0 });
  for (const [id, browser] of [
    [ofBrowser, 'a browser'],
    [byId, 'another'],
    [randomUUID(), 'a third'],
  ] as const) {
    const times = { firstSeenAt: NOW, lastSeenAt: NOW, confirmedAt: null };
    await insertDevice(db.knex, { realmId: realm.id, id, userId: user.id, browser, ...times, lastFactor: null, userAgent: null, ip: null });
  }
  await noteNetwork(db.knex, { realmId: realm.id, userId: user.id, network: '192.0.2.0/24', now: NOW, everyMs: 0 });
  const { seen, credentials, user: row } = await facts();
  t.deepEqual(seen?.devices.map(({ id }) => id).sort(), [ofBrowser, byId].sort());
  t.deepEqual({ ...seen, devices: [] }, { devices: [], networkIsKnown: true, hasHistory: true, count: 3 });
  t.is(credentials.length, 1);
  t.deepEqual(row, user);
  const nobody = await userFactsRow(db.knex, { realmId: realm.id, isMaster: false, userId: randomUUID(), roles: [], at }, NOW);
  t.deepEqual(nobody.seen, { devices: [], networkIsKnown: false, hasHistory: false, count: 0 });
});

testOnEngines('roles that were asked for, however they come; groups with all above; a client’s attributes', async (t, db) => {
  const { operator, realm, user } = await scene(db);
  await createClient(operator, realm, { clientId: 'urn:shop', redirectUris: ['https://shop.example/'] });
  for (const name of ['seller', 'buyer', 'trader', 'a:b']) await createRole(operator, realm, { name });
  await createRole(operator, realm, { client: 'urn:shop', name: 'clerk' });
  await contain(operator, realm, { name: 'trader' }, { name: 'seller' });
  await contain(operator, realm, { name: 'seller' }, { client: 'urn:shop', name: 'clerk' });
  await createGroup(operator, realm, { name: 'sales' });
  await createGroup(operator, realm, { name: 'north', parent: '/sales' });
  await createGroup(operator, realm, { name: 'it' });
  await giveGroupRoles(operator, realm, '/sales', [{ name: 'trader' }]);
  await giveRoles(operator, realm, user, [{ name: 'a:b' }]);
  await addMember(operator, realm, '/sales/north', user);

  const asked = ['seller', 'buyer', 'urn:shop:clerk', 'urn:shop:nothing', 'a:b', 'nobody'];
  const facts = await factsOf(db, realm, user, asked, 'urn:shop');
  t.deepEqual(facts.roles.sort(), ['a:b', 'seller', 'urn:shop:clerk']);
  t.deepEqual(facts.groups.sort(), ['/sales', '/sales/north']);
  t.false(facts.administrator);
  await db.knex('clients').where({ realm_id: realm.id, client_id: 'urn:shop' }).update({ attributes: '{"minimum.acr.value":"phr"}' });
  t.deepEqual((await factsOf(db, realm, user, [], 'urn:shop')).client, { 'minimum.acr.value': 'phr' });

  const other = await createUser(operator, realm, { username: 'alice' });
  const many = await membershipsOf(db.knex, realm.id, [user.id, other.id, randomUUID()], asked);
  t.deepEqual(many.get(other.id), { username: 'alice', roles: [], groups: [] });
  t.deepEqual(many.get(user.id)?.roles.sort(), facts.roles);
  t.deepEqual(many.get(user.id)?.groups.sort(), facts.groups);
  t.is(many.size, 2);
});

testOnEngines('who manages a realm administers it, by any way', async (t, db) => {
  const { operator, realm } = await scene(db);
  const made = async (name: string, give: (user: UserRow) => Promise<void>): Promise<boolean> => {
    const user = await createUser(operator, realm, { username: name });
    await give(user);
    return (await factsOf(db, realm, user)).administrator;
  };
  const management = (name: string) => ({ client: 'realm-management', name });
  t.true(await made('by-role', (user) => giveRoles(operator, realm, user, [management('view-users')])));
  t.true(await made('by-composite', (user) => giveRoles(operator, realm, user, [management('realm-admin')])));
  await createRole(operator, realm, { name: 'boss' });
  await createRole(operator, realm, { name: 'chief' });
  await contain(operator, realm, { name: 'chief' }, { name: 'boss' });
  await contain(operator, realm, { name: 'boss' }, management('query-users'));
  t.true(await made('by-two-composites', (user) => giveRoles(operator, realm, user, [{ name: 'chief' }])));
  await createGroup(operator, realm, { name: 'bosses' }, [{ name: 'chief' }]);
  await createGroup(operator, realm, { name: 'deputies', parent: '/bosses' });
  t.true(await made('by-group', (user) => addMember(operator, realm, '/bosses/deputies', user)));
  t.false(await made('by-nothing', async () => undefined));
  // Names that mean something in master mean nothing here.
  await createRole(operator, realm, { name: 'admin' });
  t.false(await made('by-name', (user) => giveRoles(operator, realm, user, [{ name: 'admin' }])));
});

forEachEngine((engine) => {
  engine.test('in master whoever manages the installation, makes realms, or manages one of them', async (t) => {
    const db = await engine.open({ empty: true });
    await db.migrate();
    const { operator, realm: master } = await scene(db, 'master');
    await createRealm(operator, { name: 'staff' });
    const made = async (name: string, role: Parameters<typeof giveRoles>[3][number]): Promise<boolean> => {
      const user = await createUser(operator, master, { username: name });
      await giveRoles(operator, master, user, [role]);
      return (await factsOf(db, master, user)).administrator;
    };
    t.true(await made('a', { name: 'admin' }));
    t.true(await made('b', { name: 'create-realm' }));
    t.true(await made('c', { client: 'staff-realm', name: 'view-events' }));
    t.true(await made('d', { client: 'master-realm', name: 'view-events' }));
    t.true(await made('e', { client: 'realm-management', name: 'view-events' }));
    t.false(await made('f', { client: 'account', name: 'view-groups' }));
    // A role below one that administers is found all the same when a rule asks for it.
    const user = await createUser(operator, master, { username: 'g' });
    await giveRoles(operator, master, user, [{ name: 'admin' }]);
    t.deepEqual((await factsOf(db, master, user, ['staff-realm:manage-users'])).roles, ['staff-realm:manage-users']);
  });
});

testOnEngines('an exception counts while it lasts, and another takes its place only then', async (t, db) => {
  const { operator, realm, user } = await scene(db);
  const made = await addException(operator, user, { level: 'aal1', days: 1, reason: 'new telephone' });
  t.deepEqual((await factsOf(db, realm, user)).exception, { id: made.id, level: 'aal1', until: NOW + 86_400_000, reason: 'new telephone' });
  await t.throwsAsync(addException(operator, user, { level: 'aal1', days: 1, reason: 'again' }), { message: /already/ });
  const later = { ...operator, now: NOW + 86_400_000 };
  t.is((await userFactsRow(db.knex, { realmId: realm.id, isMaster: false, userId: user.id, roles: [] }, later.now)).exception, null);
  const next = await addException(later, user, { level: 'aal2', days: 2, reason: 'again' });
  t.not(next.id, made.id);
  t.is((await factsOf(db, realm, user)).exception?.id, next.id);
});

testOnEngines('an enrolment is put off as often as is allowed, and of many at once no more', async (t, db) => {
  const realmId = await realmRow(db, NOW);
  const user = await userRow(db, realmId, NOW);
  const whom = { realmId, userId: user.id };
  t.false(await spendGrace(db.knex, whom, 0, NOW));
  const won = await Promise.all(Array.from({ length: 20 }, () => spendGrace(db.knex, whom, 3, NOW)));
  t.is(won.filter(Boolean).length, 3);
  t.false(await spendGrace(db.knex, whom, 3, NOW));
  t.true(await spendGrace(db.knex, whom, null, NOW), 'a deadline alone is no number');
  t.is((await userFactsRow(db.knex, { realmId, isMaster: false, userId: user.id, roles: [] }, NOW)).graceUsed, 4);
});

testOnEngines('the newest version of a policy is in force, and no version is written twice', async (t, db) => {
  const [one, other] = [await realmRow(db, NOW), await realmRow(db, NOW)];
  t.like(await policyInForce(db.knex, one), { version: 0, document: { rules: [{ need: { level: 'aal2' } }] } }, 'whoever has none asks everybody');
  const version = (number: number, useOwned: boolean) =>
    insertPolicy(db.knex, { realmId: one, version: number, document: policyWith({ useOwned }), actor: 'test', createdAt: NOW });
  t.true(await version(1, true));
  t.true(await version(2, false));
  t.false(await version(2, true));
  t.like(await policyInForce(db.knex, one), { version: 2, document: { useOwned: false } });
  const all = await policiesInForce(db.knex, [one, other]);
  t.is(all(one).version, 2);
  t.is(all(other).version, 0);
});
