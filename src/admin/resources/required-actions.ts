/**
 * What users can be asked to do at their next sign-in (Keycloak's required actions), as a realm has it: which are asked
 * for at all, which every new user is asked for, and in what order they are shown. Kept with the realm's settings.
 */
import { AppError, badInput, conflict, notFound } from '../../errors.ts';
import { DELETE_CREDENTIAL } from '../../policy/wish.ts';
import { isActionEnabled } from '../../realms/keycloak-settings.ts';
import type { RealmSettings } from '../../realms/settings.ts';
import type { RealmRow } from '../../store/realms.ts';
import type { Operator } from './context.ts';
import { updateRealmSettings } from './realm-settings.ts';
import { REQUIRED_ACTIONS } from './users.ts';

export interface ShownAction {
  alias: string;
  name: string;
  enabled: boolean;
  defaultAction: boolean;
  priority: number;
  config: Record<string, string>;
}

/** As Keycloak has them in a new realm; those that we have no page for are off. */
const KNOWN: readonly { alias: string; name: string; priority: number; config?: Record<string, string> }[] = [
  { alias: 'CONFIGURE_TOTP', name: 'Configure OTP', priority: 10 },
  { alias: 'TERMS_AND_CONDITIONS', name: 'Terms and Conditions', priority: 20 },
  { alias: 'UPDATE_PASSWORD', name: 'Update Password', priority: 30, config: { max_auth_age: '300' } },
  { alias: 'UPDATE_PROFILE', name: 'Update Profile', priority: 40 },
  { alias: 'VERIFY_EMAIL', name: 'Verify Email', priority: 50 },
  { alias: 'delete_account', name: 'Delete Account', priority: 60 },
  { alias: 'UPDATE_EMAIL', name: 'Update Email', priority: 70 },
  { alias: 'webauthn-register', name: 'Webauthn Register', priority: 70 },
  { alias: 'webauthn-register-passwordless', name: 'Webauthn Register Passwordless', priority: 80 },
  { alias: 'VERIFY_PROFILE', name: 'Verify Profile', priority: 90 },
  { alias: 'delete_credential', name: 'Delete Credential', priority: 100 },
  { alias: 'CONFIGURE_RECOVERY_AUTHN_CODES', name: 'Recovery Authentication Codes', priority: 120 },
  { alias: 'update_user_locale', name: 'Update User Locale', priority: 1_000 },
];

const hasPage = (alias: string): boolean => REQUIRED_ACTIONS.some((action) => action === alias);

/** Nobody is required to, but an application may ask for it (`kc_action`). */
const isDone = (alias: string): boolean => hasPage(alias) || alias === DELETE_CREDENTIAL;

function shown({ requiredActions }: RealmSettings, known: (typeof KNOWN)[number]): ShownAction & { registered: boolean } {
  const { alias } = known;
  const said = Object.hasOwn(requiredActions, alias) ? requiredActions[alias] : undefined;
  return {
    alias,
    name: said?.name ?? known.name,
    registered: said?.registered ?? true,
    // One that was taken out of the list is shown as it would come back.
    enabled: isDone(alias) && isActionEnabled({ requiredActions: said ? { [alias]: { ...said, registered: true } } : {} }, alias),
    defaultAction: said?.defaultAction ?? false,
    priority: said?.priority ?? known.priority,
    config: { ...known.config, ...said?.config },
  };
}

const all = ({ settings }: RealmRow) =>
  KNOWN.map((known) => shown(settings, known)).sort((a, b) => a.priority - b.priority || (a.alias < b.alias ? -1 : 1));

export const requiredActionsOf = (realm: RealmRow): ShownAction[] => all(realm).filter(({ registered }) => registered);
export const unregisteredActionsOf = (realm: RealmRow): ShownAction[] => all(realm).filter(({ registered }) => !registered);

/** @throws AppError 404 when the realm has none of this alias */
export function requiredActionOf(realm: RealmRow, alias: string): ShownAction {
  const found = requiredActionsOf(realm).find((one) => one.alias === alias);
  if (!found) throw notFound('Failed to find required action');
  return found;
}

export type ActionChanges = Partial<Pick<ShownAction, 'name' | 'enabled' | 'defaultAction' | 'priority' | 'config'>>;

/**
 * Changes what is given; the rest stays.
 * @throws AppError 404 when there is none, 501 for switching on what there is no page for
 */
export async function changeRequiredAction(operator: Operator, realm: RealmRow, alias: string, changes: ActionChanges): Promise<void> {
  const before = requiredActionOf(realm, alias);
  if ((!isDone(alias) && changes.enabled === true) || (!hasPage(alias) && changes.defaultAction === true))
    throw new AppError({ code: 'not_implemented', status: 501, message: `There is no page for ${alias}: nobody can be asked to do it.` });
  const { name = before.name, enabled = before.enabled, defaultAction = before.defaultAction, priority = before.priority, config } = changes;
  const after = { name, enabled, defaultAction, priority, ...(config === undefined ? {} : { config: inPlaceOf(realm, alias, config) }) };
  await updateRealmSettings(operator, realm, { requiredActions: { [alias]: after } });
}

/** Takes it out of the list: nobody is asked any more. */
export async function removeRequiredAction(operator: Operator, realm: RealmRow, alias: string): Promise<void> {
  requiredActionOf(realm, alias);
  await updateRealmSettings(operator, realm, { requiredActions: { [alias]: { registered: false } } });
}

/** Puts one back that was taken out, behind all others. */
export async function registerRequiredAction(operator: Operator, realm: RealmRow, alias: string, name: string | undefined): Promise<void> {
  const known = all(realm).find((one) => one.alias === alias);
  if (!known) throw badInput('providerId', `providerId: there is no required action "${alias}"`);
  if (known.registered) throw conflict(`Required action "${alias}" is registered already.`, 'providerId');
  const priority = Math.max(...requiredActionsOf(realm).map((one) => one.priority), 0) + 1;
  const back = { registered: true, enabled: isDone(alias), defaultAction: false, priority, ...(name === undefined ? {} : { name }) };
  await updateRealmSettings(operator, realm, { requiredActions: { [alias]: back } });
}

/** Changes places with the one before it, or behind it; the first and the last stay where they are. */
export async function moveRequiredAction(operator: Operator, realm: RealmRow, alias: string, to: 'before' | 'behind'): Promise<void> {
  const action = requiredActionOf(realm, alias);
  const list = requiredActionsOf(realm);
  const other = list[list.findIndex((one) => one.alias === alias) + (to === 'before' ? -1 : 1)];
  if (!other) return;
  // Two of the same priority would stay where they are.
  const [first, second] = to === 'before' ? [other, action] : [action, other];
  const behind = Math.max(second.priority, first.priority + 1);
  await updateRealmSettings(operator, realm, {
    requiredActions: { [second.alias]: { priority: first.priority }, [first.alias]: { priority: behind } },
  });
}

/** Puts this configuration in the place of its own; null for as it comes. */
export async function configureRequiredAction(
  operator: Operator,
  realm: RealmRow,
  alias: string,
  config: Record<string, string> | null,
): Promise<void> {
  requiredActionOf(realm, alias);
  await updateRealmSettings(operator, realm, { requiredActions: { [alias]: { config: config && inPlaceOf(realm, alias, config) } } });
}

/** A patch merges; what is not there any more is said to be gone. */
function inPlaceOf({ settings }: RealmRow, alias: string, config: Record<string, string>): Record<string, string | null> {
  const before = Object.hasOwn(settings.requiredActions, alias) ? settings.requiredActions[alias]?.config : undefined;
  return { ...Object.fromEntries(Object.keys(before ?? {}).map((name) => [name, null])), ...config };
}

/** Which settings it has, by name with what they are unless said otherwise. */
export const configOfAction = (alias: string): Record<string, string> => KNOWN.find((known) => known.alias === alias)?.config ?? {};
