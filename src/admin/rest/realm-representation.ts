/** Keycloak's RealmRepresentation: what is shown of a realm, and what is taken. */
import { z } from 'zod';
import type { MailAccount } from '../../config/delivery.ts';
import { badInput } from '../../errors.ts';
import type { PolicyDocument } from '../../policy/document.ts';
import { cibaProblem } from '../../realms/ciba.ts';
import type { RealmSettings } from '../../realms/settings.ts';
import { policyInForce } from '../../store/policies.ts';
import type { RealmRow } from '../../store/realms.ts';
import { mailAccountAt, ownMail, plannedAccount, plannedRemoval } from '../resources/delivery.ts';
import type { FactorOperator } from '../resources/factor-operator.ts';
import type { RealmChange } from '../resources/realm-changes.ts';
import { defaultRoleName } from '../resources/realm-defaults.ts';
import type { Outbound } from './operation.ts';
import { settingsFrom, shownSettings } from './realm-document.ts';
import { REALM_FIELDS, sameJson } from './realm-fields.ts';
import { KEPT_FIELDS } from './realm-kept.ts';
import { LEVELS_ATTRIBUTE, levelsFrom, shownLevels } from './realm-levels.ts';
import { mailFrom, namesServer, requireReachable, shownMail, smtpServer, withoutPassword } from './realm-mail.ts';

const fields = [...REALM_FIELDS, ...KEPT_FIELDS];

export const realmRepresentation = z.object({
  id: z.string().optional(),
  realm: z.string(),
  displayName: z.string().optional(),
  enabled: z.boolean().optional(),
  ...Object.fromEntries(fields.map(({ name, schema }) => [name, schema.optional()])),
  smtpServer: smtpServer.optional(),
  attributes: z.record(z.string(), z.string()).optional(),
  defaultRole: z.looseObject({ id: z.string(), name: z.string() }).optional(),
});
type Represented = z.input<typeof realmRepresentation>;

const attribute = z.union([z.string(), z.number(), z.boolean(), z.null()]);

/** What is not there stays as it is; null is not there. */
export const realmIn = z.object({
  id: z.string().max(255).nullish(),
  realm: z.string().max(255).nullish(),
  displayName: z.string().max(200).nullish(),
  enabled: z.boolean().nullish(),
  ...Object.fromEntries(fields.map(({ name, schema }) => [name, schema.nullish()])),
  smtpServer: smtpServer.nullish(),
  attributes: z.record(z.string().max(255), attribute).nullish(),
  // What a representation shows and nobody changes here.
  defaultRole: z.unknown().optional(),
});
export type RealmIn = z.output<typeof realmIn>;

export interface RealmState {
  realm: RealmRow;
  /** The realm's own names of levels. */
  acr: PolicyDocument['acr'];
  mail: MailAccount | undefined;
  defaultRole: string | undefined;
}

/** Everything about a realm. @param state without `mail` for lists, which do not open accounts */
export function representedRealm({ realm, acr, mail, defaultRole }: RealmState): Represented {
  const { settings } = realm;
  const name = defaultRoleName(realm.name);
  return {
    ...briefRealm(realm),
    ...shownSettings(settings),
    attributes: shownAttributes(settings, acr),
    smtpServer: shownMail(mail, settings.kept.smtpServer),
    ...(defaultRole === undefined
      ? {}
      : { defaultRole: { id: defaultRole, name, description: '', composite: true, clientRole: false, containerId: realm.id } }),
  };
}

export const briefRealm = (realm: RealmRow): Represented => ({
  id: realm.id,
  realm: realm.name,
  displayName: shownName(realm),
  enabled: realm.enabled,
});

/** A realm without a name for people is called by its name; whoever said that it has none reads so. */
const shownName = ({ name, displayName, settings }: RealmRow): string =>
  displayName === name && settings.kept.displayName !== undefined ? '' : displayName;

function shownAttributes({ attributes }: RealmSettings, acr: PolicyDocument['acr']): Record<string, string> {
  const { [LEVELS_ATTRIBUTE]: given, ...others } = attributes;
  const levels = shownLevels(acr, given);
  return levels === undefined ? others : { ...others, [LEVELS_ATTRIBUTE]: levels };
}

/** What has to be known of a realm before it is shown whole or changed. */
export async function stateOf(operator: FactorOperator, realm: RealmRow, defaultRole?: string): Promise<RealmState> {
  const { document } = await policyInForce(operator.db.knex, realm.id);
  const mail = realm.settings.channels.mail === 'realm' ? await ownMail(operator, realm) : undefined;
  return { realm, acr: document.acr, mail, defaultRole };
}

/**
 * What a representation changes of a realm.
 * @returns with `inert`, the names of fields that are kept and have no effect
 * @throws AppError 400 naming the field
 */
export async function changeFrom(
  operator: FactorOperator,
  state: RealmState,
  body: RealmIn,
  { allow }: Pick<Outbound, 'allow'>,
): Promise<RealmChange & { inert: string[] }> {
  const { realm } = state;
  const { inert, settings } = settingsFrom(realm.settings, body);
  const levels = changedLevels(state, body.attributes);
  const mail = await changedMail(operator, state, body, allow);
  const attributes = body.attributes == null ? settings.attributes : attributesFrom(settings.attributes, body.attributes);
  checkCiba(body.attributes, attributes);
  const kept = { ...settings.kept };
  if (body.displayName != null) delete kept.displayName;
  if (body.displayName?.trim() === '') kept.displayName = '""';
  if (mail) delete kept.smtpServer;
  if (mail?.written) kept.smtpServer = JSON.stringify(mail.written);
  return {
    displayName: body.displayName == null ? realm.displayName : body.displayName.trim() || realm.name,
    enabled: body.enabled ?? realm.enabled,
    settings: bounded({ ...settings, attributes, kept }),
    acr: levels,
    mail: mail?.planned,
    inert,
  };
}

/** As in Keycloak, attributes take the place of those before; the names of levels go only when it is said. */
function attributesFrom(before: RealmSettings['attributes'], given: NonNullable<RealmIn['attributes']>): Record<string, string> {
  const levels = before[LEVELS_ATTRIBUTE];
  const named = Object.entries(given).flatMap(([name, value]): [string, string][] => (value === null ? [] : [[name, String(value)]]));
  return { ...(levels === undefined ? {} : { [LEVELS_ATTRIBUTE]: levels }), ...Object.fromEntries(named) };
}

/** @throws AppError 400 on an attribute that is given, would have an effect, and cannot have this one */
function checkCiba(given: RealmIn['attributes'], attributes: RealmSettings['attributes']): void {
  const problem = given == null ? undefined : cibaProblem(attributes);
  if (problem) throw badInput(`attributes.${problem.name}`, `attributes.${problem.name}: ${problem.says}`);
}

const MOST_CHARACTERS = 130_000;

function bounded(settings: RealmSettings): RealmSettings {
  const length = JSON.stringify([settings.attributes, settings.kept]).length;
  if (length > MOST_CHARACTERS) throw badInput('attributes', `attributes: are longer than ${MOST_CHARACTERS} characters, with what else is kept`);
  return settings;
}

function changedLevels({ realm, acr }: RealmState, given: RealmIn['attributes']): PolicyDocument['acr'] | undefined {
  const text = given?.[LEVELS_ATTRIBUTE];
  if (text == null || text === shownAttributes(realm.settings, acr)[LEVELS_ATTRIBUTE]) return undefined;
  return levelsFrom(String(text));
}

async function changedMail(operator: FactorOperator, { realm, mail }: RealmState, { smtpServer: given }: RealmIn, allow: Outbound['allow']) {
  if (given == null || sameJson(given, shownMail(mail, realm.settings.kept.smtpServer))) return undefined;
  if (!namesServer(given)) return mail && { planned: plannedRemoval(realm, 'mail') };
  const account = mailFrom(given, mail);
  requireReachable(account, allow);
  return { planned: await plannedAccount(operator, realm, 'mail', { account, at: mailAccountAt(account) }), written: withoutPassword(given) };
}
