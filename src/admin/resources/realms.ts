/** Realms: created whole, with their keys, scopes, roles and built-in clients, or not at all. */
import { randomBytes, randomUUID } from 'node:crypto';
import { z } from 'zod';
import { conflict } from '../../errors.ts';
import { nameOf, policyOf, SHORTHANDS, type Shorthand } from '../../policy/document.ts';
import { ALGORITHMS } from '../../realms/algorithms.ts';
import { CLAIM_PROTOCOL, DEFAULT_MAPPERS } from '../../realms/mappers/defaults.ts';
import { checkRealmName } from '../../realms/names.ts';
import { realmSettings } from '../../realms/settings.ts';
import { sealedSigningKey } from '../../realms/signing-keys.ts';
import { assignRealmScopes, insertClient, insertClientScopes } from '../../store/clients.ts';
import { insertDataKey } from '../../store/data-keys.ts';
import { isUniqueViolation } from '../../store/database.ts';
import { insertPolicy, policiesInForce } from '../../store/policies.ts';
import { insertProtocolMappers } from '../../store/protocol-mappers.ts';
import { insertRealm, listRealms, type RealmRow, realmById, realmByName, realmNameTaken, rootSecretSeal, touchRealm } from '../../store/realms.ts';
import { assignRoles, insertComposites, insertRoles, realmRoleId } from '../../store/roles.ts';
import type { Queries } from '../../store/rows.ts';
import { insertSigningKey } from '../../store/signing-keys.ts';
import { builtInClient } from './clients.ts';
import { audit, type Operator, validated } from './context.ts';
import {
  CLIENT_SCOPES,
  DEFAULT_ROLE_CONTAINS,
  type DefaultClient,
  defaultClients,
  defaultRealmRoles,
  defaultRoleName,
  managementClientIn,
} from './realm-defaults.ts';

const newRealm = z.object({
  name: z.string(),
  /** Made when none is given, or one that is none. Keycloak's realms may have any short text. */
  id: z
    .string()
    .regex(/^[A-Za-z0-9][A-Za-z0-9._-]{0,35}$/)
    .optional()
    .catch(undefined),
  displayName: z.string().trim().min(1).max(200).optional(),
  settings: realmSettings.partial().default({}),
  /** Who proves a second factor: nobody, whoever owns one, everybody. The rest of the policy is written afterwards. */
  mfa: z.enum(SHORTHANDS).default('optional'),
  enabled: z.boolean().default(true),
  /** A user of master who is to manage it. */
  manager: z.string().optional(),
});
export type NewRealm = z.input<typeof newRealm>;

/** Makes a realm. 400 for a name that may not be, 409 for one that is taken. */
export async function createRealm(operator: Operator, input: NewRealm): Promise<RealmRow> {
  const { name, displayName, settings, mfa, ...asked } = validated(newRealm, input);
  checkRealmName(name);
  const { db, keyring, now } = operator;
  if (await realmNameTaken(db.knex, name)) throw conflict(`There is a realm named "${name}" already.`, 'name');

  // Keys are made and sealed before the transaction opens: SQLite has one connection, and it must not wait for us.
  const id = asked.id ?? randomUUID();
  if (asked.id !== undefined && (await realmById(db.knex, id))) throw conflict(`There is a realm with the id "${id}" already.`, 'id');
  const { row: dataKey } = await keyring.mint(id, now);
  const signingKeys = await Promise.all(ALGORITHMS.map((algorithm) => sealedSigningKey(operator, id, algorithm, { publishAt: now, signFrom: now })));
  const realm: RealmRow = {
    id,
    name,
    displayName: displayName ?? name,
    enabled: asked.enabled,
    settings: realmSettings.parse(settings),
    rootSecret: await keyring.seal(rootSecretSeal(id), randomBytes(32)),
    version: 1,
    createdAt: now,
    updatedAt: now,
  };

  try {
    await db.transaction(async (trx) => {
      await insertRealm(trx, realm);
      await insertDataKey(trx, dataKey);
      for (const key of signingKeys) await insertSigningKey(trx, key);
      await insertPolicy(trx, { realmId: id, version: 1, document: policyOf(mfa), actor: operator.actor, createdAt: now });
      const management = await insertDefaults(trx, realm, now);
      if (asked.manager !== undefined) await assignRoles(trx, management.realmId, asked.manager, management.roles);
      await audit(operator, { realmId: id }, { type: 'realm.created', details: { name } }, trx);
      await db.changes.announce(`realm-name:${name}`, trx);
    });
  } catch (error) {
    if (isUniqueViolation(error)) throw conflict(`There is a realm named "${name}" already.`, 'name');
    throw error;
  } finally {
    keyring.forget(id);
  }
  return realm;
}

/** Every realm with the name of its policy. */
export async function* allRealms(operator: Pick<Operator, 'db'>): AsyncGenerator<RealmRow & { mfa: Shorthand | 'custom' }> {
  for await (const { realms, policies } of pagesOfRealms(operator)) {
    for (const realm of realms) yield { ...realm, mfa: nameOf(policies(realm.id).document) };
  }
}

/** Every realm by name, page by page, with the policies that are in force. */
export async function* pagesOfRealms({
  db,
}: Pick<Operator, 'db'>): AsyncGenerator<{ realms: RealmRow[]; policies: Awaited<ReturnType<typeof policiesInForce>> }> {
  const limit = 200;
  for (let after: string | undefined; ; ) {
    const realms = await listRealms(db.knex, { after, limit });
    const ids = realms.map((realm) => realm.id);
    yield { realms, policies: await policiesInForce(db.knex, ids) };
    if (realms.length < limit) return;
    after = realms.at(-1)?.name;
  }
}

/** @returns the roles in master that manage it */
async function insertDefaults(trx: Queries, realm: RealmRow, now: number): Promise<{ realmId: string; roles: string[] }> {
  const scopes = CLIENT_SCOPES.map((scope) => ({
    realmId: realm.id,
    id: randomUUID(),
    name: scope.name,
    description: scope.description,
    protocol: scope.protocol ?? CLAIM_PROTOCOL,
    attributes: { 'include.in.token.scope': String(scope.shown) },
    realmAssignment: scope.assignment,
    createdAt: now,
  }));
  await insertClientScopes(trx, scopes);
  await insertProtocolMappers(
    trx,
    scopes.flatMap(({ id, name }) =>
      (DEFAULT_MAPPERS[name] ?? []).map((mapper) => ({
        ...{ realmId: realm.id, id: randomUUID(), parent: { scope: id }, protocol: CLAIM_PROTOCOL },
        ...{ name: mapper.name, mapper: mapper.mapper, config: { ...mapper.config } },
      })),
    ),
  );
  const realmRoles = await insertNamedRoles(trx, { realmId: realm.id, clientId: null }, defaultRealmRoles(realm.name), now);
  const clientRoles = new Map<string, Map<string, string>>();
  for (const client of defaultClients(realm.name)) clientRoles.set(client.clientId, await insertDefaultClient(trx, realm.id, client, now));
  const contained = [...idsOf(realmRoles, DEFAULT_ROLE_CONTAINS.realm), ...idsOf(clientRoles.get('account'), DEFAULT_ROLE_CONTAINS.account)];
  await insertComposites(trx, realm.id, idOf(realmRoles, defaultRoleName(realm.name)), contained);
  if (realm.name === 'master') await insertComposites(trx, realm.id, idOf(realmRoles, 'admin'), [idOf(realmRoles, 'create-realm')]);

  const master = realm.name === 'master' ? realm : await realmByName(trx, 'master');
  if (!master) return { realmId: realm.id, roles: [] };
  const management = await insertDefaultClient(trx, master.id, managementClientIn(realm.name), now);
  // Administrators of the installation manage every realm.
  const admin = await realmRoleId(trx, master.id, 'admin');
  if (admin !== undefined) await insertComposites(trx, master.id, admin, [...management.values()]);
  await touchRealm(trx, master.id, now);
  return { realmId: master.id, roles: [...management.values()] };
}

/** @returns the ids of its roles, by name */
async function insertDefaultClient(trx: Queries, realmId: string, client: DefaultClient, now: number): Promise<Map<string, string>> {
  const row = builtInClient(realmId, client, now);
  await insertClient(trx, row);
  await assignRealmScopes(trx, realmId, row.id);
  const roles = await insertNamedRoles(trx, { realmId, clientId: row.id }, client.roles, now);
  for (const [name, contained] of Object.entries(client.composites)) await insertComposites(trx, realmId, idOf(roles, name), idsOf(roles, contained));
  return roles;
}

/** @returns their ids, by name */
async function insertNamedRoles(
  trx: Queries,
  owner: { realmId: string; clientId: string | null },
  names: readonly string[],
  now: number,
): Promise<Map<string, string>> {
  const ids = new Map(names.map((name) => [name, randomUUID()]));
  await insertRoles(
    trx,
    [...ids].map(([name, id]) => ({ ...owner, id, name, description: null, createdAt: now })),
  );
  return ids;
}

function idOf(roles: ReadonlyMap<string, string> | undefined, name: string): string {
  const id = roles?.get(name);
  if (id === undefined) throw new Error(`There is no default role ${name}.`);
  return id;
}

const idsOf = (roles: ReadonlyMap<string, string> | undefined, names: readonly string[]): string[] => names.map((name) => idOf(roles, name));
