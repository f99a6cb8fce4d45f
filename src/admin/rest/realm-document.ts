/**
 * A realm in Keycloak's words and back: what its fields say, and which settings follow from a representation. Pure; mail
 * (realm-mail.ts) and the policy's names of levels (realm-levels.ts) are put in by realm-representation.ts.
 */
import { badInput } from '../../errors.ts';
import { type RealmSettings, realmSettings } from '../../realms/settings.ts';
import { REALM_FIELDS, type RealmField, refusalOf, sameJson, valueAt, withValueAt } from './realm-fields.ts';
import { KEPT_FIELDS } from './realm-kept.ts';

/** What a representation says; null and what is absent say nothing. */
export type Given = Readonly<Record<string, unknown>>;

/** Every field of a realm's settings. */
export function shownSettings(settings: RealmSettings): Record<string, unknown> {
  const shown: Record<string, unknown> = {};
  for (const field of REALM_FIELDS) shown[field.name] = shownField(settings, field);
  for (const { name, unless } of KEPT_FIELDS) {
    const value = keptValue(settings, name) ?? unless;
    if (value !== undefined) shown[name] = value;
  }
  return shown;
}

/** As it was given, where that still means the same. */
function shownField(settings: RealmSettings, field: RealmField): unknown {
  const value = field.show(valueAt(settings, field.at));
  const given = keptValue(settings, field.name);
  return given !== undefined && sameJson(meaning(field, given), value) ? given : value;
}

function meaning(field: RealmField, given: unknown): unknown {
  try {
    return field.show(field.take(given));
  } catch {
    return undefined;
  }
}

function keptValue({ kept }: RealmSettings, name: string): unknown {
  const text = Object.hasOwn(kept, name) ? kept[name] : undefined;
  if (text === undefined) return undefined;
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/**
 * The settings as a representation wants them.
 * @returns `inert`: names of fields that were changed and have no effect
 * @throws AppError 400 naming the field
 */
export function settingsFrom(settings: RealmSettings, given: Given): { settings: RealmSettings; inert: string[] } {
  const shown = shownSettings(settings);
  const changed = new Set(Object.keys(given).filter((name) => given[name] != null && !sameJson(given[name], shown[name])));
  const fields = REALM_FIELDS.filter(({ name }) => changed.has(name));

  let document: Record<string, unknown> = { ...settings };
  for (const { at, take, name } of fields) document = withValueAt(document, at, take(given[name]));
  for (const field of fields) requireMeant(document, field, given[field.name]);

  const kept = new Map(Object.entries(settings.kept));
  for (const field of fields) {
    const canonical = sameJson(field.show(valueAt(document, field.at)), given[field.name]);
    if (canonical) kept.delete(field.name);
    else kept.set(field.name, JSON.stringify(given[field.name]));
  }
  const inert = KEPT_FIELDS.filter(({ name }) => changed.has(name));
  for (const { name, unless } of inert) {
    if (sameJson(given[name], unless)) kept.delete(name);
    else kept.set(name, JSON.stringify(given[name]));
  }
  const result = realmSettings.safeParse({ ...document, kept: Object.fromEntries(kept) });
  const issue = result.error?.issues[0];
  if (issue) throw refusalOf(issue, changed);
  if (!result.data) throw new Error('What has no issue is parsed.');
  return { settings: result.data, inert: inert.map(({ name }) => name) };
}

/** Two fields of Keycloak's may stand for one setting: they cannot be given two values. */
function requireMeant(document: unknown, field: RealmField, given: unknown): void {
  if (sameJson(field.show(valueAt(document, field.at)), meaning(field, given))) return;
  throw badInput(field.name, `${field.name}: contradicts another field of the same request, and both are one setting here`);
}
