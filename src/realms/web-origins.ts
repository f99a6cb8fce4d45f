/** Where pages of a client may call from (Keycloak's web origins). */

interface Registered {
  webOrigins: string[];
  redirectUris: string[];
  /** What relative redirect URIs stand behind. */
  rootUrl?: string | null;
}

/** The origin of an http(s) address; undefined where there is none that a page could have. */
function originOf(uri: string, root?: string): string | undefined {
  if (!URL.canParse(uri, root)) return undefined;
  const { origin } = new URL(uri, root);
  return /^https?:/.test(origin) ? origin : undefined;
}

const redirectOrigins = ({ redirectUris, rootUrl }: Registered): string[] =>
  redirectUris.flatMap((uri) => originOf(uri, uri.startsWith('/') ? (rootUrl ?? undefined) : undefined) ?? []);

/** The origins of a client, as browsers write them; `+` stands for those of the redirect URIs, and `*` for itself. */
export function webOriginsOf(row: Registered): string[] {
  return [...new Set(row.webOrigins.flatMap((one) => (one === '+' ? redirectOrigins(row) : one === '*' ? one : (originOf(one) ?? []))))];
}

/**
 * How pages of an origin may call: `named` is one that the client has registered; `any` is every other one of a client that
 * has registered `*`. Undefined when it may not.
 *
 * `*` names nobody, and nobody gets an answer to a request with credentials by it. But where users are sent back to gets
 * their codes, and is named by that: what works at Keycloak with `*` works here.
 */
export function accessFrom(row: Registered, origin: string): 'named' | 'any' | undefined {
  const origins = webOriginsOf(row);
  const open = origins.includes('*');
  if (origin !== '*' && origins.includes(origin)) return 'named';
  if (open && redirectOrigins(row).includes(origin)) return 'named';
  return open ? 'any' : undefined;
}
