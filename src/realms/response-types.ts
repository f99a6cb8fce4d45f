/**
 * What a client may ask to be answered with (OAuth 2.0 Multiple Response Type Encoding Practices, OpenID Connect Core 1.0
 * sections 3.2 and 3.3), by Keycloak's switches: `standardFlowEnabled` for codes, `implicitFlowEnabled` for tokens with the
 * answer, both for both at once.
 *
 * Tokens in addresses end in histories and logs (RFC 9700 section 2.1.2): new clients get codes alone, unless somebody says so.
 */
import type { ClientRow } from '../store/clients.ts';
import { BOUND } from './client-credentials.ts';

/** The words of each in the order of the alphabet, as the library compares them. `token` alone would be about nobody. */
export const RESPONSE_TYPES = ['code', 'id_token', 'id_token token', 'code id_token', 'code id_token token', 'code token'] as const;
export type ResponseType = (typeof RESPONSE_TYPES)[number];

export const CODE = 'code' satisfies ResponseType;

/** @returns none for a client that nobody signs in to */
export function responseTypesOf({ standardFlow, kept, attributes, redirectUris }: ClientRow): ResponseType[] {
  if (kept.bearerOnly || redirectUris.length === 0) return [];
  // A token in an address is bound to nothing.
  const isBound = [BOUND, 'dpop.bound.access.tokens'].some((attribute) => attributes[attribute] === 'true');
  return RESPONSE_TYPES.filter((type) => {
    const words = type.split(' ');
    if (words.includes('token') && isBound) return false;
    return (standardFlow || !words.includes(CODE)) && (kept.implicitFlowEnabled || type === CODE);
  });
}

/** Whether some answer has tokens in it. */
export const hasImplicit = (types: readonly string[]): boolean => types.some((type) => type !== CODE);
