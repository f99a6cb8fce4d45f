/**
 * Components: what Keycloak's administrators configure by provider. Those that stand for signing keys work
 * (key-components.ts); all others are kept, for whoever manages a realm by a file, with what is secret in them sealed.
 */
import { randomUUID } from 'node:crypto';
import { z } from 'zod';
import { badInput, notFound } from '../../errors.ts';
import {
  type ComponentFilter,
  type ComponentRow,
  componentById,
  componentSeal,
  countComponents,
  deleteComponent,
  listComponents,
  storeComponent,
} from '../../store/components.ts';
import { lockRealm, type RealmRow } from '../../store/realms.ts';
import { audit, type Operator, validated } from './context.ts';
import { createKey, isKeyProvider, KEY_PROVIDER, keyComponent, keyComponents, removeKey, updateKey } from './key-components.ts';

/** Shown in the place of what is secret; sent again, it stays. */
const MASK = '**********';
/** All are shown at once. */
const MOST = 1_000;
const SECRET = /credential$|password|secret|private_?key/i;

const config = z.record(z.string().min(1).max(255), z.array(z.string().max(20_000)).max(200)).refine((values) => Object.keys(values).length <= 200, {
  error: 'must have at most 200 names',
});

const newComponent = z.object({
  name: z.string().max(255).optional(),
  providerId: z.string().min(1).max(255),
  providerType: z.string().min(1).max(255),
  parentId: z.string().min(1).max(255).optional(),
  subType: z.string().max(255).optional(),
  config: config.default({}),
});
export type NewComponent = z.input<typeof newComponent>;
export type ComponentChanges = Partial<NewComponent>;

/** A component as it is shown, without what is secret. */
export type Component = Omit<ComponentRow, 'realmId' | 'secrets' | 'createdAt'>;

export async function findComponents(operator: Operator, realm: RealmRow, filter: ComponentFilter): Promise<Component[]> {
  const stored = await listComponents(operator.db.knex, realm.id, filter, MOST);
  const keys = filter.type === undefined || filter.type === KEY_PROVIDER ? await keyComponents(operator, realm) : [];
  const fits = (one: Component): boolean =>
    (filter.name === undefined || one.name === filter.name) && (filter.parents === undefined || filter.parents.includes(one.parentId));
  return [...keys.filter(fits), ...stored.filter((row) => !isKeyProvider(row)).map(shown)];
}

/** The realm is its own components' parent, by its id or, as in older scripts, by its name. */
export const parentsOf = (realm: RealmRow, parent: string): string[] =>
  parent === realm.id || parent === realm.name ? [realm.id, realm.name] : [parent];

async function requireParent({ db }: Operator, realm: RealmRow, parent: string | undefined): Promise<void> {
  if (parent === undefined || parent === realm.id || parent === realm.name || (await componentById(db.knex, realm.id, parent))) return;
  throw badInput('parentId', 'parentId: there is no such component in this realm');
}

/** @throws AppError 404 */
export async function requireComponent(operator: Operator, realm: RealmRow, id: string): Promise<Component> {
  const key = await keyComponent(operator, realm, id);
  return key ?? shown(await requireStored(operator, realm, id));
}

async function requireStored(operator: Operator, realm: RealmRow, id: string): Promise<ComponentRow> {
  const row = await componentById(operator.db.knex, realm.id, id);
  if (!row || isKeyProvider(row)) throw notFound('Could not find component');
  return row;
}

/** @returns its id. @throws AppError 400 naming the field */
export async function createComponent(operator: Operator, realm: RealmRow, input: NewComponent): Promise<string> {
  const asked = validated(newComponent, input);
  if (isKeyProvider(asked)) return createKey(operator, realm, { ...asked, name: asked.name ?? asked.providerId });
  await requireParent(operator, realm, asked.parentId);
  const row: ComponentRow = {
    realmId: realm.id,
    id: randomUUID(),
    parentId: asked.parentId ?? realm.id,
    name: asked.name ?? asked.providerId,
    providerType: asked.providerType,
    providerId: asked.providerId,
    subType: asked.subType ?? null,
    config: {},
    secrets: null,
    createdAt: operator.now,
  };
  await store(operator, 'component.created', { ...row, ...(await parted(operator, row, asked.config)) });
  return row.id;
}

/** What is not there stays as it is; a config takes the place of the one before, and the mask keeps what is secret. */
export async function updateComponent(operator: Operator, realm: RealmRow, id: string, changes: ComponentChanges): Promise<void> {
  const asked = validated(newComponent.partial(), changes);
  const { config: given } = changes;
  if (await keyComponent(operator, realm, id)) return updateKey(operator, realm, id, { name: asked.name, config: given });
  const before = await requireStored(operator, realm, id);
  if (asked.parentId !== before.parentId) await requireParent(operator, realm, asked.parentId);
  const row: ComponentRow = {
    ...before,
    name: asked.name ?? before.name,
    parentId: asked.parentId ?? before.parentId,
    providerId: asked.providerId ?? before.providerId,
    providerType: asked.providerType ?? before.providerType,
    subType: asked.subType ?? before.subType,
  };
  if (isKeyProvider(row)) throw badInput('providerType', 'providerType: nothing else becomes a key');
  await store(operator, 'component.updated', { ...row, ...(given ? await parted(operator, row, given, before) : {}) });
}

export async function removeComponent(operator: Operator, realm: RealmRow, id: string): Promise<void> {
  if (await keyComponent(operator, realm, id)) return removeKey(operator, realm, id);
  const row = await requireStored(operator, realm, id);
  await operator.db.transaction(async (trx) => {
    if (!(await deleteComponent(trx, realm.id, id))) throw notFound('Could not find component');
    await audit(operator, { realmId: realm.id }, { type: 'component.deleted', details: namesOf(row) }, trx);
  });
}

const namesOf = ({ id, name, providerId }: Component) => ({ component: id, name, provider: providerId });

async function store(operator: Operator, type: 'component.created' | 'component.updated', row: ComponentRow): Promise<void> {
  await operator.db.transaction(async (trx) => {
    await lockRealm(trx, row.realmId);
    if (type === 'component.created' && (await countComponents(trx, row.realmId)) >= MOST)
      throw badInput('providerId', `A realm has at most ${MOST} components.`);
    await storeComponent(trx, row);
    await audit(operator, { realmId: row.realmId }, { type, details: namesOf(row) }, trx);
  });
}

/** A switch such as `validatePasswordPolicy` is none. */
const isSecret = (name: string, values: readonly string[]): boolean =>
  SECRET.test(name) && values.some((value) => value !== 'true' && value !== 'false');

/** What may be seen of a config, with the mask in the place of what is secret, and that sealed. */
async function parted(
  operator: Operator,
  row: { realmId: string; id: string },
  given: Record<string, string[]>,
  before?: ComponentRow,
): Promise<Pick<ComponentRow, 'config' | 'secrets'>> {
  const kept = before?.secrets ? await opened(operator, row, before.secrets) : {};
  const secrets = Object.entries(given).flatMap(([name, values]): [string, string[]][] => {
    if (!isSecret(name, values)) return [];
    if (!values.includes(MASK)) return [[name, values]];
    return kept[name] ? [[name, kept[name]]] : [];
  });
  const masked = secrets.map(([name]): [string, string[]] => [name, [MASK]]);
  return {
    config: Object.fromEntries([...Object.entries(given).filter(([name, values]) => !isSecret(name, values)), ...masked]),
    secrets: secrets.length === 0 ? null : await operator.keyring.seal(componentSeal(row), JSON.stringify(Object.fromEntries(secrets))),
  };
}

const opened = async ({ keyring }: Operator, row: { realmId: string; id: string }, sealed: string): Promise<Record<string, string[]>> =>
  z.record(z.string(), z.array(z.string())).parse(JSON.parse(await keyring.openText(componentSeal(row), sealed)));

function shown({ realmId: _realm, secrets: _sealed, createdAt: _at, ...component }: ComponentRow): Component {
  return component;
}
