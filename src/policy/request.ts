/** What an authorization request asks of the sign-in, read from its parameters. Pure. */
import type { Facts } from './policy.ts';
import { ENROL_FRESH_MS } from './policy.ts';

export type RequestFacts = Pick<Facts, 'requested' | 'startedAt' | 'action' | 'actionFactors' | 'actionFreshSince'>;

/** Authorization request parameters as strings, such as oidc-provider keeps them in an interaction. */
export type RequestParams = Readonly<Record<string, unknown>>;

/** Keycloak's application-initiated actions that add a factor; of the others see wish.ts. */
const ACTION_FACTORS: ReadonlyMap<string, string> = new Map([
  ['CONFIGURE_TOTP', 'totp'],
  ['webauthn-register', 'security-key'],
  ['webauthn-register-passwordless', 'passkey'],
  ['CONFIGURE_RECOVERY_AUTHN_CODES', 'recovery-codes'],
]);

/** Ours, for any factor: also for those that Keycloak has no name for. */
const OWN_ACTION = /^enrol:([a-z][a-z0-9-]*)$/;
export const ownActionToEnrol = (factor: string): string => `enrol:${factor}`;

/** The `kc_action` that asks to enrol a factor. */
export function actionToEnrol(factor: string): string {
  for (const [action, id] of ACTION_FACTORS) if (id === factor) return action;
  return ownActionToEnrol(factor);
}

/** The factor that an action enrols; undefined for another action. */
export const actionFactor = (action = ''): string | undefined => ACTION_FACTORS.get(action) ?? OWN_ACTION.exec(action)?.[1];

/** Keycloak's parameter of an enrolment: nothing is asked of whoever has one already. */
const UNLESS_OWNED = /^(.+):skip_if_exists$/;

/** The enrolment that a request asks for; undefined for whatever else it asks for. */
export function askedEnrolment(asked = ''): { action: string; factor: string; unlessOwned: boolean } | undefined {
  const bare = UNLESS_OWNED.exec(asked)?.[1];
  const action = bare ?? asked;
  const factor = actionFactor(action);
  return factor === undefined ? undefined : { action, factor, unlessOwned: bare !== undefined };
}

const text = (value: unknown): string | undefined => (typeof value === 'string' && value !== '' ? value : undefined);
const words = (value: unknown): string[] => text(value)?.split(' ').filter(Boolean) ?? [];

/**
 * @param startedAt when the sign-in began, or now for a request that needs none: `max_age` and `prompt=login` count from it
 * @param wishes the acr values that the client has by default, where the request names none
 */
export function requestFacts(params: RequestParams, startedAt: number, wishes: readonly string[] = []): RequestFacts {
  const claim = acrClaim(params.claims);
  const named = claim.values.length > 0 ? claim.values : words(params.acr_values);
  const maxAge = ageOf(params.max_age);
  const since = [...(words(params.prompt).includes('login') ? [startedAt] : []), ...(maxAge === undefined ? [] : [startedAt - maxAge * 1000])];
  const factor = askedEnrolment(text(params.kc_action))?.factor;
  return {
    requested: {
      acr: named.length > 0 ? named : wishes,
      essential: named.length > 0 && claim.essential,
      ...(since.length > 0 ? { freshSince: Math.max(...since) } : {}),
    },
    startedAt,
    ...(factor === undefined ? {} : { action: 'enrol', actionFactors: [factor], actionFreshSince: startedAt - ENROL_FRESH_MS }),
  };
}

function ageOf(value: unknown): number | undefined {
  if (typeof value === 'number') return value;
  return typeof value === 'string' && /^\d+$/.test(value) ? Number(value) : undefined;
}

/** `claims.id_token.acr` (OpenID Connect Core 1.0 section 5.5.1.1); the library has checked that it is JSON. */
function acrClaim(claims: unknown): { values: string[]; essential: boolean } {
  const none = { values: [], essential: false };
  if (typeof claims !== 'string') return none;
  const parsed: unknown = JSON.parse(claims);
  const acr = member(member(parsed, 'id_token'), 'acr');
  if (acr === undefined || acr === null) return none;
  const value = member(acr, 'value');
  const values = member(acr, 'values');
  const listed = [...(typeof value === 'string' ? [value] : []), ...(Array.isArray(values) ? values.filter((one) => typeof one === 'string') : [])];
  return { values: listed, essential: member(acr, 'essential') === true };
}

function member(value: unknown, name: string): unknown {
  return typeof value === 'object' && value !== null && Object.hasOwn(value, name) ? Reflect.get(value, name) : undefined;
}
