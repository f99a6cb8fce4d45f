/** What an authorization request asks of the sign-in, read from its parameters. Pure. */
import type { Facts } from './policy.ts';
import { ENROL_FRESH_MS } from './policy.ts';

export type RequestFacts = Pick<Facts, 'requested' | 'action' | 'actionFreshSince'>;

/** Authorization request parameters as strings, such as oidc-provider keeps them in an interaction. */
export type RequestParams = Readonly<Record<string, unknown>>;

const text = (value: unknown): string | undefined => (typeof value === 'string' && value !== '' ? value : undefined);
const words = (value: unknown): string[] => text(value)?.split(' ').filter(Boolean) ?? [];

/**
 * @param startedAt when the sign-in began, or now for a request that needs none: `max_age` and `prompt=login` count from it
 */
export function requestFacts(params: RequestParams, startedAt: number): RequestFacts {
  const claim = acrClaim(params.claims);
  const acr = claim.values.length > 0 ? claim.values : words(params.acr_values);
  const maxAge = ageOf(params.max_age);
  const since = [...(words(params.prompt).includes('login') ? [startedAt] : []), ...(maxAge === undefined ? [] : [startedAt - maxAge * 1000])];
  return {
    requested: { acr, essential: claim.essential, ...(since.length > 0 ? { freshSince: Math.max(...since) } : {}) },
    // Keycloak's application-initiated actions: the only one here enrols an authenticator app.
    ...(params.kc_action === 'CONFIGURE_TOTP' ? { action: 'enrol', actionFreshSince: startedAt - ENROL_FRESH_MS } : {}),
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
