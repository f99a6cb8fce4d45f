/** Roles and groups through the operations that every door uses: what is refused, what is recorded, what a realm has. */
import { randomBytes } from 'node:crypto';
import type { ExecutionContext } from 'ava';
import { createClient } from '../../../src/admin/resources/clients.ts';
import type { Operator } from '../../../src/admin/resources/context.ts';
import {
  addMember,
  allGroups,
  changeGroup,
  createGroup,
  giveGroupRoles,
  removeGroup,
  removeMember,
  takeGroupRoles,
} from '../../../src/admin/resources/groups.ts';
import { createRealm } from '../../../src/admin/resources/realms.ts';
import { removeContained, removeRoleById } from '../../../src/admin/resources/role-changes.ts';
import { allRoles, createRole, effectiveRolesOf, giveRoles, takeRoles } from '../../../src/admin/resources/roles.ts';
import { createUser } from '../../../src/admin/resources/users.ts';
import { AppError } from '../../../src/errors.ts';
import { type Database, openDatabase } from '../../../src/store/database.ts';
import { hasRealmRole, isHeldByUser } from '../../../src/store/effective-roles.ts';
import { groupsOfUser } from '../../../src/store/groups.ts';
import { type RealmRow, realmByName } from '../../../src/store/realms.ts';
import { containedRoles } from '../../../src/store/role-lists.ts';
import { realmRoleId, roleByName } from '../../../src/store/roles.ts';
import { serviceAccountUser, type UserRow } from '../../../src/store/users.ts';
import { forEachEngine, testOnEngines } from '../../support/databases.ts';
import { quickHasher } from '../../support/factors.ts';
import { keyringOn } from '../../support/keyring.ts';
import { contain, roleNamed } from '../../support/roles.ts';

const BY_DEFAULT = ['account/manage-account', 'account/manage-account-links', 'account/view-profile', 'offline_access', 'uma_authorization'];

function operatorOn(db: Database): Operator {
  const keyring = keyringOn(db);
  return { db, keyring, passwords: quickHasher(), actor: 'test', now: Date.UTC(2030, 0, 15) };
}

async function scene(db: Database) {
  const operator = operatorOn(db);
  const realm = await createRealm(operator, { name: `realm-${randomBytes(4).toString('hex')}` });
  const user = await createUser(operator, realm, { username: 'erin' });
  const have = async (someone: UserRow = user) =>
    (await effectiveRolesOf(operator, someone)).map(({ client, name }) => (client === null ? name : `${client}/${name}`)).sort();
  const audited = async (prefix: string) => {
    const rows: { type: string; details: string; subject: string | null }[] = await db
      .knex('audit_events')
      .where({ realm_id: realm.id })
      .where('type', 'like', `${prefix}%`)
      .select('type', 'details', 'subject');
    return rows.map((row) => ({ type: row.type, subject: row.subject, ...JSON.parse(row.details) }));
  };
  const paths = async () => (await Array.fromAsync(allGroups(operator, realm))).map(({ path }) => path);
  const defaults = [...BY_DEFAULT, `default-roles-${realm.name}`].sort();
  return { operator, realm, user, have, audited, paths, defaults, withDefaults: (...more: string[]) => [...defaults, ...more].sort() };
}

async function refused(t: ExecutionContext, status: number, work: Promise<unknown>): Promise<AppError | undefined> {
  const error = await t.throwsAsync(work);
  t.true(error instanceof AppError, String(error?.stack));
  if (!(error instanceof AppError)) return undefined;
  t.is(error.status, status, error.message);
  return error;
}

testOnEngines('a new user and a new service account have what Keycloak gives by default', async (t, db) => {
  const { operator, realm, have, defaults } = await scene(db);
  t.deepEqual(await have(), defaults);
  const { client } = await createClient(operator, realm, { clientId: 'robot', serviceAccount: true });
  const account = await serviceAccountUser(db.knex, realm.id, client.id);
  t.deepEqual(account && (await have(account)), defaults);
  t.false(await isHeldByUser(db.knex, realm.id, 'admin'));
});

testOnEngines('who may administer a realm may do all there is in it', async (t, db) => {
  const { operator, realm, user, have, defaults } = await scene(db);
  await giveRoles(operator, realm, user, [{ client: 'realm-management', name: 'realm-admin' }]);
  const all = (await Array.fromAsync(allRoles(operator, realm, 'realm-management'))).map(({ name }) => `realm-management/${name}`);
  t.is(all.length, 19);
  t.deepEqual(await have(), [...defaults, ...all].sort());
});

testOnEngines('roles are made, given, taken and deleted, and each change is recorded once', async (t, db) => {
  const { operator, realm, user, have, audited, withDefaults, defaults } = await scene(db);
  await createClient(operator, realm, { clientId: 'wiki' });
  await createRole(operator, realm, { name: 'editor', client: 'wiki', description: 'Writes pages' });
  await createRole(operator, realm, { name: 'editor' });
  await giveRoles(operator, realm, user, [{ name: 'editor', client: 'wiki' }]);
  await giveRoles(operator, realm, user, [{ name: 'editor', client: 'wiki' }, { name: 'editor' }]);
  t.deepEqual(await have(), withDefaults('editor', 'wiki/editor'));
  await takeRoles(operator, realm, user, [{ name: 'editor' }]);
  await removeRoleById(operator, realm, await roleNamed(operator, realm, { name: 'editor', client: 'wiki' }));
  t.deepEqual(await have(), defaults);
  t.deepEqual(await audited('role.'), [
    { type: 'role.created', subject: null, role: 'editor', client: 'wiki' },
    { type: 'role.created', subject: null, role: 'editor', client: null },
    { type: 'role.deleted', subject: null, role: 'editor', client: 'wiki' },
  ]);
  const given = await audited('user.role');
  t.deepEqual(
    given.map(({ type, client }) => [type, client]).sort(),
    [
      ['user.role-added', 'wiki'],
      ['user.role-added', null],
      ['user.role-removed', null],
    ].sort(),
  );
  t.true(given.every(({ subject }) => subject === user.id));
});

testOnEngines('what is not there is 404, what is there already 409, and nothing of a refused change stays', async (t, db) => {
  const { operator, realm, user, have, defaults } = await scene(db);
  await createRole(operator, realm, { name: 'seller' });
  t.is((await refused(t, 409, createRole(operator, realm, { name: 'seller' })))?.field, 'name');
  t.is((await refused(t, 400, createRole(operator, realm, { name: ' ' })))?.field, 'name');
  await refused(t, 400, createRole(operator, realm, { name: 'a\u202eb' }));
  await refused(t, 404, createRole(operator, realm, { name: 'seller', client: 'nope' }));
  await refused(t, 404, roleNamed(operator, realm, { name: 'nope' }));
  await refused(t, 409, removeRoleById(operator, realm, await roleNamed(operator, realm, { name: `default-roles-${realm.name}` })));
  await refused(t, 404, giveRoles(operator, realm, user, [{ name: 'seller' }, { name: 'nope' }]));
  await refused(t, 404, takeRoles(operator, realm, user, [{ name: `default-roles-${realm.name}` }, { name: 'seller' }]));
  await refused(t, 404, takeRoles(operator, realm, user, [{ name: 'offline_access' }]));
  t.deepEqual(await have(), defaults);
});

testOnEngines('a role contains others to any depth, and never itself', async (t, db) => {
  const { operator, realm, user, have, audited, withDefaults } = await scene(db);
  const names = ['a', 'b', 'c', 'd'];
  for (const name of names) await createRole(operator, realm, { name });
  const put = (one: string, other: string) => contain(operator, realm, { name: one }, { name: other });
  await put('a', 'b');
  await put('b', 'c');
  await put('b', 'c');
  await put('c', 'd');
  await refused(t, 409, put('a', 'a'));
  await refused(t, 409, put('b', 'a'));
  await refused(t, 409, put('d', 'a'));
  await put('a', 'd');
  await giveRoles(operator, realm, user, [{ name: 'b' }]);
  t.deepEqual(await have(), withDefaults('b', 'c', 'd'));
  const children = [await roleNamed(operator, realm, { name: 'c' })];
  for (const _again of [1, 2]) await removeContained(operator, realm, await roleNamed(operator, realm, { name: 'b' }), children);
  t.deepEqual(await have(), withDefaults('b'));
  await put('c', 'b');
  t.is((await audited('role.composite-added')).length, 5);
  t.is((await audited('role.composite-removed')).length, 1);
});

testOnEngines('of two changes at once that would make a circle, one is refused', async (t, db) => {
  const { operator, realm } = await scene(db);
  for (let round = 0; round < 5; round += 1) {
    const [one, other] = [`one-${round}`, `other-${round}`];
    for (const name of [one, other]) await createRole(operator, realm, { name });
    const results = await Promise.allSettled([
      contain(operator, realm, { name: one }, { name: other }),
      contain(operator, realm, { name: other }, { name: one }),
    ]);
    t.deepEqual(results.map(({ status }) => status).sort(), ['fulfilled', 'rejected']);
  }
  for (const name of ['top', 'side']) await createGroup(operator, realm, { name });
  const moves = await Promise.allSettled([
    changeGroup(operator, realm, '/top', { parent: '/side' }),
    changeGroup(operator, realm, '/side', { parent: '/top' }),
  ]);
  t.deepEqual(moves.map(({ status }) => status).sort(), ['fulfilled', 'rejected']);
});

testOnEngines('a group is a place in a tree, and what is below moves with it', async (t, db) => {
  const { operator, realm, paths, audited } = await scene(db);
  await createGroup(operator, realm, { name: 'sales' });
  await createGroup(operator, realm, { name: 'emea', parent: '/sales' });
  await createGroup(operator, realm, { name: 'Zürich 🏔', parent: '/sales/emea' });
  await createGroup(operator, realm, { name: 'sales', parent: '/sales' });
  await createGroup(operator, realm, { name: 'and/or' });
  await createGroup(operator, realm, { name: 'sales-other' });
  t.deepEqual((await paths()).sort(), ['/and~/or', '/sales', '/sales-other', '/sales/emea', '/sales/emea/Zürich 🏔', '/sales/sales']);

  await changeGroup(operator, realm, '/sales', { name: 'ventes 🎿' });
  const emea = await changeGroup(operator, realm, '/ventes 🎿/emea', { parent: '/and~/or' });
  t.is(emea.path, '/and~/or/emea');
  await changeGroup(operator, realm, '/ventes 🎿/sales', { parent: null });
  t.deepEqual((await paths()).sort(), ['/and~/or', '/and~/or/emea', '/and~/or/emea/Zürich 🏔', '/sales', '/sales-other', '/ventes 🎿']);
  t.is((await changeGroup(operator, realm, '/and~/or/emea', { name: 'world' })).path, '/and~/or/world');
  t.is((await changeGroup(operator, realm, '/and~/or', { name: 'and' })).path, '/and');

  await refused(t, 409, changeGroup(operator, realm, '/and', { parent: '/and' }));
  await refused(t, 409, changeGroup(operator, realm, '/and', { parent: '/and/world/Zürich 🏔' }));
  await refused(t, 409, changeGroup(operator, realm, '/and', { name: 'sales' }));
  await refused(t, 409, createGroup(operator, realm, { name: 'sales' }));
  await refused(t, 404, createGroup(operator, realm, { name: 'x', parent: '/nope' }));
  await refused(t, 404, createGroup(operator, realm, { name: 'x' }, [{ name: 'nope' }]));
  await refused(t, 404, changeGroup(operator, realm, '/nope', { name: 'x' }));
  await refused(t, 404, removeGroup(operator, realm, '/nope'));
  await refused(t, 400, createGroup(operator, realm, { name: 'x~' }));

  await removeGroup(operator, realm, '/and');
  t.deepEqual((await paths()).sort(), ['/sales', '/sales-other', '/ventes 🎿']);
  t.is((await audited('group.moved')).length, 5);
  t.deepEqual(await audited('group.deleted'), [{ type: 'group.deleted', subject: null, path: '/and' }]);
});

testOnEngines('a path stays short enough for its index', async (t, db) => {
  const { operator, realm } = await scene(db);
  const name = '🏔'.repeat(120);
  let parent: string | undefined;
  for (let depth = 0; depth < 4; depth += 1) parent = (await createGroup(operator, realm, { name, ...(parent ? { parent } : {}) })).path;
  await refused(t, 400, createGroup(operator, realm, { name: 'x'.repeat(200), ...(parent ? { parent } : {}) }));
  await createGroup(operator, realm, { name: 'x'.repeat(200) });
  await refused(t, 400, changeGroup(operator, realm, `/${name}`, { parent: `/${'x'.repeat(200)}` }));
});

testOnEngines('members have what their group and all above it were given', async (t, db) => {
  const { operator, realm, user, have, audited, withDefaults, defaults } = await scene(db);
  for (const name of ['seller', 'european', 'reader', 'clerk']) await createRole(operator, realm, { name });
  await contain(operator, realm, { name: 'seller' }, { name: 'reader' });
  await createGroup(operator, realm, { name: 'sales' }, [{ name: 'seller' }]);
  await createGroup(operator, realm, { name: 'emea', parent: '/sales' }, [{ name: 'european' }]);
  await createGroup(operator, realm, { name: 'clerks', parent: '/sales/emea' }, [{ name: 'clerk' }]);
  await addMember(operator, realm, '/sales/emea', user);
  await addMember(operator, realm, '/sales/emea', user);
  t.deepEqual(
    (await groupsOfUser(db.knex, realm.id, user.id)).map(({ path }) => path),
    ['/sales/emea'],
  );
  t.deepEqual(await have(), withDefaults('european', 'reader', 'seller'));
  t.true(await hasRealmRole(db.knex, realm.id, user.id, 'reader'));
  t.true(await isHeldByUser(db.knex, realm.id, 'reader'));
  t.false(await hasRealmRole(db.knex, realm.id, user.id, 'clerk'));

  await changeGroup(operator, realm, '/sales/emea', { parent: null });
  t.deepEqual(await have(), withDefaults('european'));
  await giveGroupRoles(operator, realm, '/emea', [{ name: 'clerk' }]);
  await takeGroupRoles(operator, realm, '/emea', [{ name: 'european' }]);
  t.deepEqual(await have(), withDefaults('clerk'));
  await refused(t, 404, takeGroupRoles(operator, realm, '/emea', [{ name: 'european' }]));
  await refused(t, 404, removeMember(operator, realm, '/sales', user));
  await removeMember(operator, realm, '/emea', user);
  t.deepEqual(await have(), defaults);
  t.deepEqual(
    (await audited('group.member')).map(({ type, subject, path }) => [type, subject, path]),
    [
      ['group.member-added', user.id, '/sales/emea'],
      ['group.member-removed', user.id, '/emea'],
    ],
  );
});

testOnEngines('nothing of one realm is anything in another', async (t, db) => {
  const here = await scene(db);
  const there = await scene(db);
  await createRole(here.operator, here.realm, { name: 'seller' });
  await createGroup(here.operator, here.realm, { name: 'sales' }, [{ name: 'seller' }]);
  await refused(t, 404, giveRoles(there.operator, there.realm, there.user, [{ name: 'seller' }]));
  await refused(t, 404, addMember(there.operator, there.realm, '/sales', there.user));
  // Their user is nobody here, whoever asks.
  const seller = await roleByName(db.knex, here.realm.id, null, 'seller');
  t.truthy(seller);
  await t.throwsAsync(giveRoles(here.operator, here.realm, there.user, [{ name: 'seller' }]));
  await t.throwsAsync(addMember(here.operator, here.realm, '/sales', there.user));
  await giveRoles(here.operator, here.realm, here.user, [{ name: 'seller' }]);
  t.false(await hasRealmRole(db.knex, there.realm.id, here.user.id, 'seller'));
  t.deepEqual(await there.have(), there.defaults);
});

/** What a role contains, by client and name. */
async function contained(db: Database, realm: RealmRow, roleId: string): Promise<string[]> {
  const roles = await containedRoles(db.knex, realm.id, roleId, undefined, { first: 0, max: 1_000 });
  return roles.map(({ client, name }) => [client, name].join('/')).sort();
}

forEachEngine((engine) => {
  engine.test('administrators of the installation manage every realm', async (t) => {
    const config = await engine.settings();
    const db = await openDatabase(config);
    const operator = operatorOn(db);
    const master = await createRealm(operator, { name: 'master' });
    const realm = await createRealm(operator, { name: 'staff' });
    await createClient(operator, realm, { clientId: 'robot', serviceAccount: true });
    const admin = (await realmRoleId(db.knex, master.id, 'admin')) ?? '';
    const root = await createUser(operator, master, { username: 'root', realmRoles: ['admin'] });
    t.true(await isHeldByUser(db.knex, master.id, 'admin'));
    const roles = (await effectiveRolesOf(operator, root)).map(({ client, name }) => `${client}/${name}`);
    for (const one of ['null/create-realm', 'master-realm/manage-users', 'staff-realm/view-clients', 'staff-realm/impersonation'])
      t.true(roles.includes(one), one);
    await refused(t, 409, removeRoleById(operator, master, await roleNamed(operator, master, { name: 'admin' })));

    t.is((await contained(db, master, admin)).length, 1 + 2 * 18);
    t.truthy(await realmByName(db.knex, 'staff'));
    await db.close();
  });
});
