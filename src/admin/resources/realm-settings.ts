/**
 * A realm's settings, changed: the document is merged with what is to be other, read through the schema of
 * realms/settings.ts, and stored if nobody else changed it meanwhile. Every node hears of it.
 */
import type { AuditEvent, PolicyChange } from '../../audit/event.ts';
import { badInput, conflict } from '../../errors.ts';
import { type RealmSettings, realmSettings } from '../../realms/settings.ts';
import { type RealmRow, updateRealmSettings as storeSettings } from '../../store/realms.ts';
import type { Transaction } from '../../store/rows.ts';
import { audit, type Operator, validated } from './context.ts';

/**
 * What is to be other, shaped like the settings: sections are merged, lists and values are replaced, and null goes back to
 * the default.
 */
export interface SettingsPatch {
  readonly [key: string]: unknown;
}

/** One difference between two documents; `from` or `to` is absent where there was, or is, nothing. */
export type SettingChange = PolicyChange;

/** What else belongs to a change: an event of its own, and rows that change in the same transaction. */
export interface AlongWith {
  event: AuditEvent;
  /** Whatever has to be sealed or hashed was before. */
  within?: (trx: Transaction) => Promise<void>;
}

/**
 * Changes a realm's settings.
 * @returns the realm as it is now, and what is other than before
 * @throws AppError 400 naming the first field that is wrong or unknown, 409 when somebody else changed them in this moment
 */
export async function updateRealmSettings(
  operator: Operator,
  realm: RealmRow,
  patch: SettingsPatch,
  along?: AlongWith,
): Promise<{ realm: RealmRow; changes: SettingChange[] }> {
  const merged = validated(realmSettings, mergedWith(realm.settings, patch));
  const unknown = unknownIn(patch, merged, realm.settings);
  if (unknown !== undefined) throw badInput(unknown, 'There is no such setting.');
  const changes = settingDifferences(realm.settings, merged);
  if (changes.length === 0) return { realm, changes };

  const { db, now } = operator;
  await db.transaction(async (trx) => {
    if (!(await storeSettings(trx, realm, merged, now)))
      throw conflict(`Somebody else has changed the settings of realm "${realm.name}" in this moment. Look at them, and try again.`);
    await along?.within?.(trx);
    if (along) await audit(operator, { realmId: realm.id }, along.event, trx);
    await audit(operator, { realmId: realm.id }, { type: 'realm.updated', details: { changes } }, trx);
    await db.changes.announce(`realm:${realm.id}`, trx);
  });
  return { realm: { ...realm, settings: merged, version: realm.version + 1, updatedAt: now }, changes };
}

/** The settings as `totp.digits` and the like, in the order of the schema. Lists and what has no fixed keys are values. */
export function flatSettings(settings: RealmSettings): [name: string, value: unknown][] {
  return [...flat(settings, '')];
}

function* flat(value: unknown, name: string): Generator<[string, unknown]> {
  if (!isSection(value) || (name !== '' && Object.keys(value).length === 0)) yield [name, value];
  else for (const [key, inner] of Object.entries(value)) yield* flat(inner, name === '' ? key : `${name}.${key}`);
}

function mergedWith(settings: unknown, patch: SettingsPatch): Record<string, unknown> {
  const merged = new Map(Object.entries(isSection(settings) ? settings : {}));
  for (const [key, value] of Object.entries(patch)) {
    if (value === null) merged.delete(key);
    else merged.set(key, isSection(value) ? mergedWith(merged.get(key), value) : value);
  }
  return Object.fromEntries(merged);
}

/** The first name of the patch that the schema did not take over, which drops what it does not know. */
function unknownIn(patch: SettingsPatch, merged: unknown, before: unknown, within = ''): string | undefined {
  for (const [key, value] of Object.entries(patch)) {
    const name = within === '' ? key : `${within}.${key}`;
    const [inner, earlier] = [merged, before].map((one) => (isSection(one) && Object.hasOwn(one, key) ? one[key] : undefined));
    if (inner === undefined && earlier === undefined) return name;
    const found = isSection(value) ? unknownIn(value, inner, earlier, name) : undefined;
    if (found !== undefined) return found;
  }
  return undefined;
}

/** What is other in a realm's settings than it was. */
export function settingDifferences(before: RealmSettings, after: RealmSettings): SettingChange[] {
  const [was, is] = [new Map(flatSettings(before)), new Map(flatSettings(after))];
  return [...new Set([...was.keys(), ...is.keys()])]
    .map((at) => ({ at, from: was.get(at), to: is.get(at) }))
    .filter(({ from, to }) => JSON.stringify(from) !== JSON.stringify(to));
}

const isSection = (value: unknown): value is Record<string, unknown> => typeof value === 'object' && value !== null && !Array.isArray(value);
