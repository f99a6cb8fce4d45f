/**
 * Everything that `decide` has to know about a user, gathered for every door alike: the sign-in pages, the provider's
 * check, the consoles, and whoever asks what would be asked.
 *
 * One statement a request (store/user-facts.ts), whatever the policy looks at.
 */
import type { Factors } from '../factors/index.ts';
import { enrollableFactors, ownedFactors } from '../factors/owned.ts';
import { rolesNamed } from '../policy/document.ts';
import { clientFloor, type Facts, type FactsClient } from '../policy/policy.ts';
import type { RequestFacts } from '../policy/request.ts';
import { isActionEnabled } from '../realms/keycloak-settings.ts';
import type { RealmContext } from '../realms/registry.ts';
import type { CredentialRow } from '../store/credentials.ts';
import type { Queries } from '../store/rows.ts';
import { userFactsRow } from '../store/user-facts.ts';
import type { UserRow } from '../store/users.ts';
import type { Browser } from './browser.ts';
import { type LookedUp, placeOf } from './devices.ts';
import { isAfterReset } from './resets.ts';

/** A user as a decision sees them. */
export interface KnownUser extends Pick<Facts, 'user' | 'exception' | 'grace' | 'risk'> {
  /** As it is stored; undefined for somebody who is not there. */
  row: UserRow | undefined;
  /** All of the user's, oldest first. */
  credentials: CredentialRow[];
  email: string | null;
  emailVerified: boolean;
  /** What was proved before this time is void. */
  notBefore: number;
  /** What the user is to do at the next sign-in, by Keycloak's names. */
  requiredActions: string[];
  /** The attributes of the client that was asked for. */
  clientAttributes: Record<string, string>;
  /** What is stored of the user at the browser, where one was named. */
  looked: LookedUp | undefined;
}

/** Nobody is known yet, or nobody is there. */
export const NOBODY: KnownUser = {
  user: null,
  row: undefined,
  exception: null,
  grace: { used: 0 },
  risk: [],
  credentials: [],
  email: null,
  emailVerified: false,
  notBefore: 0,
  requiredActions: [],
  clientAttributes: {},
  looked: undefined,
};

type Policed = Pick<RealmContext, 'realm' | 'policy'>;

/**
 * One query; the same for a user who does not exist, of whom nothing is known then.
 * @param of.clientId the application that asks, if its attributes are not at hand
 * @param of.roles that matter besides those that the policy names
 * @param of.browser what it is to the user is asked as well
 */
export async function knownUser(
  knex: Queries,
  on: Policed,
  of: { userId: string; clientId?: string | null; roles?: readonly string[]; browser?: Browser },
  now: number,
): Promise<KnownUser> {
  const { realm, policy } = on;
  const isMaster = realm.name === 'master';
  const roles = [...new Set([...rolesNamed(policy.document), ...(of.roles ?? [])])];
  const { userId, clientId = null, browser } = of;
  const row = await userFactsRow(knex, { realmId: realm.id, isMaster, userId, clientId, roles, at: browser && placeOf(browser) }, now);
  const { user, groups, administrator } = row;
  return {
    user: user ? { id: of.userId, username: user.username, roles: row.roles, groups, administrator } : null,
    row: user,
    exception: row.exception,
    grace: { used: row.graceUsed },
    risk: isAfterReset(row.resetAt, now) ? ['after-reset'] : [],
    credentials: row.credentials,
    email: user?.email ?? null,
    emailVerified: user?.emailVerified ?? false,
    notBefore: user?.notBefore ?? 0,
    requiredActions: row.requiredActions.filter((action) => isActionEnabled(realm.settings, action)),
    clientAttributes: row.client,
    looked: row.seen,
  };
}

/** Keycloak's attributes of a client: the least that it asks of everybody, and what it wishes where a request says nothing. */
const FLOOR = 'minimum.acr.value';
const WISHED = 'default.acr.values';
/** Between the values of one attribute. */
const SEPARATOR = '##';

/** What a client asks by itself. */
export function clientFacts(
  { document }: RealmContext['policy'],
  clientId: string,
  attributes: Readonly<Record<string, string>>,
): { client: FactsClient; wishes: string[] } {
  return {
    client: { clientId, floor: clientFloor(document, attributes[FLOOR]) },
    wishes: (attributes[WISHED] ?? '').split(SEPARATOR).filter(Boolean),
  };
}

/**
 * The facts of a request, but for its time and its proofs.
 * @param circumstances what else is known of this sign-in, this browser or this session
 */
export function factsOf(
  factors: Factors,
  { realm, policy }: Policed,
  known: KnownUser,
  request: RequestFacts & Pick<Facts, 'client'>,
  circumstances: Partial<Pick<Facts, 'device' | 'risk' | 'skipped' | 'impersonatedAt'>> = {},
): Omit<Facts, 'now' | 'proofs'> {
  const enroller = known.user && { email: known.email, administrator: known.user.administrator };
  return {
    policy: policy.document,
    user: known.user,
    exception: known.exception,
    grace: known.grace,
    owned: ownedFactors(factors, realm.settings, known.credentials),
    enrollable: enrollableFactors(factors, realm.settings, enroller, request.actionFactors),
    device: null,
    skipped: false,
    ...circumstances,
    risk: [...known.risk, ...(circumstances.risk ?? [])],
    ...request,
  };
}
