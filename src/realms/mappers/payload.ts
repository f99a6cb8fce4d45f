/**
 * What stands in a token or an answer in the end: what is always said, and mappers' claims behind it, which take nothing of
 * that away. The real ones and the examples of `evaluate-scopes` are put together here.
 */
import type { Said } from './token-claims.ts';

/** The audience of an access token: the usual one, and whom mappers add. */
export function audienceOf(usual: string | readonly string[], added: readonly string[]): string | string[] {
  const first = [usual].flat();
  const others = [...new Set(added)].filter((name) => !first.includes(name)).sort();
  const all = [...first, ...others];
  return all.length === 1 ? (all[0] ?? '') : all;
}

/** What every access token says (RFC 9068 section 2.2, and Keycloak's names beside it). */
export interface AccessTokenSaid {
  sub: string;
  azp: string | undefined;
  /** Undefined for a service account's. */
  sid: string | undefined;
  aud: string | readonly string[];
}

export const accessTokenPayload = (
  registered: Record<string, unknown>,
  { sub, azp, sid, aud }: AccessTokenSaid,
  said: Said,
): Record<string, unknown> => ({
  ...said.claims,
  ...registered,
  sub,
  typ: 'Bearer',
  azp,
  ...(sid === undefined ? {} : { sid }),
  aud: audienceOf(aud, said.audience),
});

/** What an ID token says besides its registered claims, which come behind it. */
export const idTokenClaims = ({ claims }: Said, { sub, azp }: Pick<AccessTokenSaid, 'sub' | 'azp'>): Record<string, unknown> => ({
  ...claims,
  sub,
  typ: 'ID',
  azp,
});

export const userinfoClaims = ({ claims }: Said, sub: string): Record<string, unknown> => ({ ...claims, sub });
