/**
 * Where a client's request objects may be fetched from (`request_uris`, OpenID Connect Core 1.0 section 6.2, RFC 9101 section
 * 5.2): Keycloak's attribute `request.uris`. They are compared as redirect URIs are, stars of administrators included.
 *
 * Behind an address may stand the digest of what is there, as its fragment: it says which of several states is meant, and is
 * no part of what is compared.
 */
import type { ClientRow } from '../store/clients.ts';
import { redirectUriAllowed, validRedirectUri } from './redirect-uris.ts';

export const REQUEST_URIS = 'request.uris';
const SEPARATOR = '##';
export const MOST_REQUEST_URIS = 50;
/** OpenID Connect Core 1.0 section 6.2. */
export const LONGEST_REQUEST_URI = 512;

/** An address, and the base64url of the SHA-256 of what is there; undefined where something else stands behind it. */
export function partsOfRequestUri(uri: string): { address: string; digest: string | undefined } | undefined {
  const [, address, digest] = /^([^#]+)(?:#([\w-]{43}))?$/.exec(uri) ?? [];
  return address === undefined ? undefined : { address, digest };
}

/** The addresses in the attribute's text. */
export const listedRequestUris = (text: string): string[] => text.split(SEPARATOR);

/**
 * Why an address may not be registered, but for whether it may be fetched.
 * @returns undefined when it may
 */
export function requestUriProblem(uri: string): string | undefined {
  if (uri.length > LONGEST_REQUEST_URI) return `must not be longer than ${LONGEST_REQUEST_URI} characters`;
  const parts = partsOfRequestUri(uri);
  if (!parts) return 'must have nothing behind a # but the base64url of the SHA-256 of what is there';
  return validRedirectUri(parts.address);
}

/** Whether a client has registered that address. @param address without a fragment */
export function isRequestUriOf({ attributes }: Pick<ClientRow, 'attributes'>, address: string): boolean {
  const text = attributes[REQUEST_URIS];
  if (text === undefined) return false;
  const registered = listedRequestUris(text).flatMap((uri) => partsOfRequestUri(uri)?.address ?? []);
  return redirectUriAllowed(registered, address);
}
