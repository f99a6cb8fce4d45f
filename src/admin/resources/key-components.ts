/**
 * Signing keys as Keycloak's components: each key is one, by its kid. A new one is a new key; `priority`, `active` and
 * `enabled` say which of them signs, and that becomes times in the keys' rows (realms/keys.ts), which every node follows.
 *
 * Of the keys of an algorithm that are enabled and active the one with the highest priority signs, and of several the
 * newest; not before it was published for as long as applications may keep what they have fetched.
 */
import { badInput, notFound, notOffered } from '../../errors.ts';
import type { Algorithm } from '../../realms/algorithms.ts';
import { keyUses, PUBLISH_AHEAD_MS } from '../../realms/keys.ts';
import { sealedSigningKey } from '../../realms/signing-keys.ts';
import { type ComponentRow, deleteComponent, listComponents, storeComponent } from '../../store/components.ts';
import { lockRealm, type RealmRow, touchRealm } from '../../store/realms.ts';
import type { Transaction } from '../../store/rows.ts';
import { deleteSigningKey, insertSigningKey, type SigningKeyRow, signingKeys, updateSigningKeyTimes } from '../../store/signing-keys.ts';
import type { Component } from './components.ts';
import { audit, type Operator } from './context.ts';

export const KEY_PROVIDER = 'org.keycloak.keys.KeyProvider';
const MOST_KEYS = 50;
const FIRST_PRIORITY = 100;

/** Providers that work: the algorithm of each. */
const GENERATED: Readonly<Record<string, Algorithm>> = { 'rsa-generated': 'RS256', 'ecdsa-generated': 'ES256', 'eddsa-generated': 'EdDSA' };
/** Kept, and never used: tokens here are signed by key pairs, and nothing is encrypted for a realm. */
const WITHOUT_USE = ['aes-generated', 'hmac-generated', 'rsa-enc-generated', 'ecdh-generated'];

/** Whether a component stands for a signing key. */
export const isKeyProvider = ({ providerType, providerId }: { providerType: string; providerId: string }): boolean =>
  providerType === KEY_PROVIDER && !WITHOUT_USE.includes(providerId);

interface KeyOfRealm {
  row: SigningKeyRow;
  component: Component;
  createdAt: number;
}

export const keyComponents = async (operator: Operator, realm: RealmRow): Promise<Component[]> =>
  (await keysOf(operator.db.knex, operator.now, realm)).map(({ component }) => component);

export const keyComponent = async (operator: Operator, realm: RealmRow, id: string): Promise<Component | undefined> =>
  (await keyComponents(operator, realm)).find((one) => one.id === id);

/**
 * Those that are not gone, or were switched off and may be switched on again.
 * @param id of one that may have been switched on
 */
async function keysOf(knex: Operator['db']['knex'], now: number, realm: Pick<RealmRow, 'id'>, id?: string): Promise<KeyOfRealm[]> {
  const rows = await signingKeys(knex, realm.id);
  const uses = keyUses(rows, now);
  const stored = new Map((await listComponents(knex, realm.id, { type: KEY_PROVIDER }, MOST_KEYS * 2)).map((row) => [row.id, row]));
  return rows.flatMap((row) => {
    const own = stored.get(row.id);
    if (uses.get(row.id) === 'gone' && !(own && (isOff(own) || row.id === id))) return [];
    return [{ row, component: own ? componentOf(own) : builtIn(realm, row), createdAt: row.createdAt }];
  });
}

const componentOf = ({ realmId: _realm, secrets: _none, createdAt: _at, ...component }: ComponentRow): Component => component;

/** A key that nobody has said anything of: one that its realm came with, or that a rotation has made. */
function builtIn(realm: Pick<RealmRow, 'id'>, { id, algorithm }: SigningKeyRow): Component {
  const providerId = Object.entries(GENERATED).find(([, made]) => made === algorithm)?.[0] ?? algorithm;
  return { id, parentId: realm.id, name: providerId, providerType: KEY_PROVIDER, providerId, subType: null, config: configOf(providerId, {}) };
}

const DEFAULTS: Readonly<Record<string, Record<string, string[]>>> = {
  'rsa-generated': { algorithm: ['RS256'], keySize: ['2048'] },
  'ecdsa-generated': { ecdsaEllipticCurveKey: ['P-256'] },
  'eddsa-generated': { eddsaEllipticCurveKey: ['Ed25519'] },
};

const configOf = (providerId: string, given: Record<string, string[]>): Record<string, string[]> => ({
  priority: [String(FIRST_PRIORITY)],
  enabled: ['true'],
  active: ['true'],
  ...DEFAULTS[providerId],
  ...given,
});

const flagOf = ({ config }: { config: Record<string, string[]> }, name: string): boolean => config[name]?.[0] !== 'false';
const isOff = (component: { config: Record<string, string[]> }): boolean => !flagOf(component, 'enabled');
const priorityOf = ({ config }: { config: Record<string, string[]> }): number => Number(config.priority?.[0] ?? FIRST_PRIORITY);

/** Makes a key. @returns its id, the kid */
export async function createKey(
  operator: Operator,
  realm: RealmRow,
  asked: { name: string; providerId: string; config: Record<string, string[]> },
): Promise<string> {
  const algorithm = GENERATED[asked.providerId];
  if (!algorithm) throw notOffered(`providerId: keys are made by ${Object.keys(GENERATED).join(', ')} only; none is brought along.`);
  checkConfig(asked.providerId, asked.config);
  const { now } = operator;
  const row = await sealedSigningKey(operator, realm.id, algorithm, { publishAt: now, signFrom: 0 });
  const component: ComponentRow = {
    realmId: realm.id,
    ...{ id: row.id, parentId: realm.id, name: asked.name, providerType: KEY_PROVIDER, providerId: asked.providerId, subType: null },
    ...{ config: configOf(asked.providerId, asked.config), secrets: null, createdAt: now },
  };
  await changeKeys(operator, realm, 'component.created', component, async (trx) => {
    if ((await signingKeys(trx, realm.id)).length >= MOST_KEYS) throw badInput('providerId', `A realm has at most ${MOST_KEYS} keys.`);
    await insertSigningKey(trx, row);
    await storeComponent(trx, component);
  });
  return row.id;
}

export async function updateKey(
  operator: Operator,
  realm: RealmRow,
  id: string,
  changes: { name?: string | undefined; config?: Record<string, string[]> | undefined },
): Promise<void> {
  const before = (await keysOf(operator.db.knex, operator.now, realm)).find(({ component }) => component.id === id);
  if (!before) throw notFound('Could not find component');
  if (changes.config) checkConfig(before.component.providerId, changes.config);
  const component: ComponentRow = {
    realmId: realm.id,
    ...before.component,
    name: changes.name ?? before.component.name,
    config: changes.config ? configOf(before.component.providerId, changes.config) : before.component.config,
    ...{ secrets: null, createdAt: before.createdAt },
  };
  await changeKeys(operator, realm, 'component.updated', component, (trx) => storeComponent(trx, component));
}

/** What it signed does not verify any longer, at once. */
export async function removeKey(operator: Operator, realm: RealmRow, id: string): Promise<void> {
  const component = await keyComponent(operator, realm, id);
  if (!component) throw notFound('Could not find component');
  const row = { realmId: realm.id, ...component, secrets: null, createdAt: operator.now };
  await changeKeys(operator, realm, 'component.deleted', row, async (trx) => {
    if (!(await deleteSigningKey(trx, realm.id, id))) throw notFound('Could not find component');
    await deleteComponent(trx, realm.id, id);
  });
}

function checkConfig(providerId: string, config: Record<string, string[]>): void {
  const wrong = (name: string, message: string): never => {
    throw badInput(`config.${name}`, `config.${name}: ${message}`);
  };
  for (const [name, only] of Object.entries(DEFAULTS[providerId] ?? {})) {
    const [given = only[0]] = config[name] ?? [];
    if (given !== only[0]) wrong(name, `has to be ${only[0]} here`);
  }
  for (const name of ['enabled', 'active']) if (!['true', 'false', undefined].includes(config[name]?.[0])) wrong(name, 'has to be true or false');
  if (config.priority?.[0] !== undefined && !/^-?\d{1,9}$/.test(config.priority[0])) wrong('priority', 'has to be a whole number');
}

async function changeKeys(
  operator: Operator,
  realm: RealmRow,
  type: 'component.created' | 'component.updated' | 'component.deleted',
  component: ComponentRow,
  change: (trx: Transaction) => Promise<void>,
): Promise<void> {
  const { db, now } = operator;
  await db.transaction(async (trx) => {
    await lockRealm(trx, realm.id);
    const before = await signingKeys(trx, realm.id);
    await change(trx);
    const keys = await keysOf(trx, now, realm, component.id);
    const used = new Set([...before, ...keys.map(({ row }) => row)].map(({ algorithm }) => algorithm));
    for (const algorithm of used) {
      for (const key of newTimes(algorithm, keys, now)) await updateSigningKeyTimes(trx, key);
    }
    await touchRealm(trx, realm.id, now);
    const details = { component: component.id, name: component.name, provider: component.providerId };
    await audit(operator, { realmId: realm.id }, { type, details }, trx);
    await db.changes.announce(`realm:${realm.id}`, trx);
  });
}

/** The keys of an algorithm whose times are other than before. */
function newTimes(algorithm: Algorithm, keys: readonly KeyOfRealm[], now: number): SigningKeyRow[] {
  const mine = keys.filter(({ row }) => row.algorithm === algorithm);
  const timed = mine.map((key) => ({ ...key, row: switched(key, now) }));
  // One that a rotation has given an end is on its way out.
  const candidates = timed.filter(({ row, component }) => row.retireAt === null && flagOf(component, 'active'));
  const winner = candidates.sort((a, b) => priorityOf(b.component) - priorityOf(a.component) || b.createdAt - a.createdAt)[0];
  if (!winner) throw badInput('config.active', `config.active: the realm would have no key to sign with ${algorithm}`);
  const after = timed.map(({ row }) => (row.id !== winner.row.id && row.signFrom > now ? { ...row, signFrom: 0 } : row));
  const latest = Math.max(0, ...after.filter(({ id }) => id !== winner.row.id).map(({ signFrom }) => signFrom));
  const signFrom = winner.row.signFrom > latest ? winner.row.signFrom : Math.max(now, latest + 1, winner.row.publishAt + PUBLISH_AHEAD_MS);
  const wanted = after.map((row) => (row.id === winner.row.id ? { ...row, signFrom } : row));
  return wanted.filter((row) => !mine.some((key) => sameTimes(key.row, row)));
}

/** Switched off it is published no longer; switched on again it is like a new one. */
function switched({ row, component }: KeyOfRealm, now: number): SigningKeyRow {
  if (isOff(component)) return row.retireAt !== null && row.retireAt <= now ? row : { ...row, retireAt: now, signFrom: 0 };
  return row.retireAt !== null && row.retireAt <= now ? { ...row, retireAt: null, publishAt: now, signFrom: 0 } : row;
}

const sameTimes = (one: SigningKeyRow, other: SigningKeyRow): boolean =>
  one.id === other.id && one.publishAt === other.publishAt && one.signFrom === other.signFrom && one.retireAt === other.retireAt;
