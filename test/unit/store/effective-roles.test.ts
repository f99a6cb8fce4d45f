/** Who has which roles: whatever the roles, groups and memberships, the database counts as a plain walk over them does. */
import { randomUUID } from 'node:crypto';
import { realmSettings } from '../../../src/realms/settings.ts';
import type { Database } from '../../../src/store/database.ts';
import { effectiveRoles, hasRealmRole, isHeldByUser, roleContains } from '../../../src/store/effective-roles.ts';
import { insertRealm } from '../../../src/store/realms.ts';
import { insertUser } from '../../../src/store/users.ts';
import { testOnEngines } from '../../support/databases.ts';
import fc from '../../support/property.ts';

const ROLES = 8;
const GROUPS = 6;
const USERS = 3;
const CLIENTS = 2;

/** Everything by its number. */
interface World {
  /** The client that a role belongs to; null for a realm role. */
  owners: (number | null)[];
  composites: [role: number, child: number][];
  /** A group's parent, which stands before it; null at the top. */
  parents: (number | null)[];
  userRoles: [user: number, role: number][];
  groupRoles: [group: number, role: number][];
  members: [user: number, group: number][];
  /** Roles mapped to the first client, and to the one scope. */
  clientMappings: number[];
  scopeMappings: number[];
  serviceAccount: boolean;
}

const role = fc.nat(ROLES - 1);
const group = fc.nat(GROUPS - 1);
const user = fc.nat(USERS - 1);
const pairs = <A, B>(one: fc.Arbitrary<A>, other: fc.Arbitrary<B>, most: number) =>
  fc.uniqueArray(fc.tuple(one, other), { maxLength: most, selector: (pair) => pair.join() });

/** Composites may form circles here: nothing of ours stores one, and a query must end all the same. */
const world: fc.Arbitrary<World> = fc.record({
  owners: fc.array(fc.option(fc.nat(CLIENTS - 1)), { minLength: ROLES, maxLength: ROLES }),
  composites: pairs(role, role, 14),
  parents: fc.tuple(...Array.from({ length: GROUPS }, (_, index) => (index === 0 ? fc.constant(null) : fc.option(fc.nat(index - 1))))),
  userRoles: pairs(user, role, 4),
  groupRoles: pairs(group, role, 4),
  members: pairs(user, group, 4),
  clientMappings: fc.uniqueArray(role, { maxLength: 2 }),
  scopeMappings: fc.uniqueArray(role, { maxLength: 2 }),
  serviceAccount: fc.boolean(),
});

/** A role and what it contains, walked. */
function contained(composites: World['composites'], roles: Iterable<number>): Set<number> {
  const all = new Set(roles);
  for (const one of all) for (const [parent, child] of composites) if (parent === one) all.add(child);
  return all;
}

function rolesOf(some: World, user: number): Set<number> {
  const groups = new Set(some.members.filter(([member]) => member === user).map(([, group]) => group));
  for (const one of groups) {
    const parent = some.parents[one];
    if (typeof parent === 'number') groups.add(parent);
  }
  return contained(some.composites, [
    ...some.userRoles.filter(([holder]) => holder === user).map(([, role]) => role),
    ...some.groupRoles.filter(([group]) => groups.has(group)).map(([, role]) => role),
  ]);
}

async function store(db: Database, some: World) {
  const realm_id = randomUUID();
  const ids = (count: number) => Array.from({ length: count }, () => randomUUID());
  const [roles, groups, users, clients, [scope = '']] = [ids(ROLES), ids(GROUPS), ids(USERS), ids(CLIENTS), ids(1)];
  const at = (list: string[], index: number): string => list[index] ?? '';
  const base = { id: realm_id, name: realm_id, displayName: '', enabled: true, settings: realmSettings.parse({}), rootSecret: '' };
  await db.transaction(async (trx) => {
    await insertRealm(trx, { ...base, version: 1, createdAt: 0, updatedAt: 0 });
    for (const [index, id] of users.entries()) {
      const names = { username: `u${index}`, email: null, emailVerified: false, firstName: null, lastName: null };
      // The last one may be a service account's.
      const serviceAccountOf = some.serviceAccount && index === USERS - 1 ? at(clients, 0) : null;
      await insertUser(trx, { realmId: realm_id, id, ...names, enabled: true, serviceAccountOf, notBefore: 0, createdAt: 0, updatedAt: 0 });
    }
    const insert = async (table: string, rows: object[]) => rows.length > 0 && trx(table).insert(rows);
    const dated = { realm_id, created_at: 0 };
    await insert(
      'clients',
      clients.map((id, index) => ({ ...dated, updated_at: 0, id, client_id: `c${index}` })),
    );
    await insert('client_scopes', [{ ...dated, id: scope, name: 'scope' }]);
    await insert(
      'roles',
      roles.map((id, index) => ({ ...dated, id, name: `r${index}`, client_id: clients[some.owners[index] ?? -1] ?? null })),
    );
    await insert(
      'groups',
      groups.map((id, index) => ({ ...dated, id, name: id, path: `/${id}`, parent_id: groups[some.parents[index] ?? -1] ?? null })),
    );
    await insert(
      'role_composites',
      some.composites.map(([one, child]) => ({ realm_id, role_id: at(roles, one), child_id: at(roles, child) })),
    );
    await insert(
      'user_roles',
      some.userRoles.map(([one, role]) => ({ realm_id, user_id: at(users, one), role_id: at(roles, role) })),
    );
    await insert(
      'group_roles',
      some.groupRoles.map(([one, role]) => ({ realm_id, group_id: at(groups, one), role_id: at(roles, role) })),
    );
    await insert(
      'user_groups',
      some.members.map(([one, group]) => ({ realm_id, user_id: at(users, one), group_id: at(groups, group) })),
    );
    await insert('scope_mappings', [
      ...some.clientMappings.map((role) => ({ realm_id, id: randomUUID(), client_id: clients[0], scope_id: null, role_id: at(roles, role) })),
      ...some.scopeMappings.map((role) => ({ realm_id, id: randomUUID(), client_id: null, scope_id: scope, role_id: at(roles, role) })),
    ]);
  });
  return { realmId: realm_id, roles, users, clients };
}

const sorted = (names: Iterable<string>): string[] => [...names].sort();

testOnEngines('whatever the roles and groups, a query counts them as a walk does', async (t, db) => {
  await fc.assert(
    fc.asyncProperty(world, async (some) => {
      const { realmId, roles, users, clients } = await store(db, some);
      const named = (index: number): string => {
        const owner = some.owners[index] ?? null;
        return owner === null ? `r${index}` : `c${owner}/r${index}`;
      };
      const all = users.map((_, index) => rolesOf(some, index));
      const passing = (scopes: number[]) =>
        contained(some.composites, [...some.owners.flatMap((owner, index) => (owner === 0 ? [index] : [])), ...some.clientMappings, ...scopes]);
      for (const [index, id] of users.entries()) {
        const have = all[index] ?? new Set();
        const shown = async (within?: Parameters<typeof effectiveRoles>[3]) =>
          sorted((await effectiveRoles(db.knex, realmId, id, within)).map(({ client, name }) => (client === null ? name : `${client}/${name}`)));
        const expected = (scope?: Set<number>) => sorted([...have].filter((one) => scope?.has(one) ?? true).map(named));
        t.deepEqual(await shown(), expected());
        const clientId = clients[0] ?? '';
        t.deepEqual(await shown({ clientId, scopes: ['scope', 'other'] }), expected(passing(some.scopeMappings)));
        t.deepEqual(await shown({ clientId, scopes: [] }), expected(passing([])));
        // One role each is enough of the queries that go the other way.
        t.is(await hasRealmRole(db.knex, realmId, id, `r${index}`), have.has(index) && some.owners[index] === null);
      }
      const people = some.serviceAccount ? all.slice(0, -1) : all;
      t.is(await isHeldByUser(db.knex, realmId, 'r0'), some.owners[0] === null && people.some((have) => have.has(0)));
      t.is(await roleContains(db.knex, realmId, roles[0] ?? '', roles[1] ?? ''), contained(some.composites, [0]).has(1));
    }),
    { numRuns: 60 },
  );
});

testOnEngines('a role of a client that is gone is nobody’s', async (t, db) => {
  const none = { composites: [], groupRoles: [], members: [], clientMappings: [], scopeMappings: [], serviceAccount: false };
  const owners = [0, null, 1, null, null, null, null, null];
  const userRoles: [number, number][] = [0, 1, 2].map((one) => [0, one]);
  const { realmId, users, clients } = await store(db, { ...none, owners, userRoles, parents: Array(GROUPS).fill(null) });
  await db.knex('clients').where({ realm_id: realmId, id: clients[0] }).delete();
  const have = await effectiveRoles(db.knex, realmId, users[0] ?? '');
  t.deepEqual(sorted(have.map(({ client, name }) => `${client}/${name}`)), ['c1/r2', 'null/r1']);
  t.deepEqual(await effectiveRoles(db.knex, randomUUID(), users[0] ?? ''), [], 'in another realm it is nobody');
});
