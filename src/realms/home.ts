/** Where an application is at home and what it says of itself, for links on pages of ours. */

/**
 * An http or https address, or null. What is stored may have come from an import and be anything: a browser would run
 * `javascript:` as code of this page.
 */
export const homeOf = (client: { baseUrl: string | null }): string | null => pageAt(client.baseUrl);

function pageAt(address: string | null | undefined): string | null {
  const url = address === null || address === undefined ? null : URL.parse(address);
  return url?.protocol === 'https:' || url?.protocol === 'http:' ? url.href : null;
}

/**
 * Where a browser goes that follows this redirect URI. Null for the user's own machine, where anybody may listen, and for a
 * scheme of an application on a device, which anybody may claim. Names of other letters stand in their ASCII form.
 */
export function hostOfRedirect(redirectUri: unknown): string | null {
  const url = typeof redirectUri === 'string' ? URL.parse(redirectUri) : null;
  const isWeb = url?.protocol === 'https:' || url?.protocol === 'http:';
  return url && isWeb && !OWN_MACHINE.has(url.hostname) ? url.host : null;
}

const OWN_MACHINE: ReadonlySet<string> = new Set(['localhost', '127.0.0.1', '[::1]']);

/** What the pages say of an application. */
export interface AboutClient {
  name: string;
  uri: string | null;
  /** How it deals with its users' data, and on what terms it is used (OpenID Connect Dynamic Client Registration 1.0 section 2). */
  policy: string | null;
  terms: string | null;
}

/** Keycloak's attributes hold the two addresses. */
export const aboutClient = (row: {
  clientId: string;
  name: string | null;
  baseUrl: string | null;
  attributes: Readonly<Record<string, string>>;
}): AboutClient => ({
  name: row.name ?? row.clientId,
  uri: homeOf(row),
  policy: pageAt(row.attributes.policyUri),
  terms: pageAt(row.attributes.tosUri),
});
