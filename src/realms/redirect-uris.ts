/**
 * Which redirect URIs a client may use: our own matcher, for redirect and post-logout redirect URIs alike. The library
 * only knows exact comparison, and Keycloak's clients bring patterns.
 *
 * A registered value is one of
 *  - an exact URI, compared character by character (RFC 9700 section 2.1): https, http, or an app's own scheme;
 *  - `https://app.example/path*`, Keycloak's trailing star: this origin, a path that begins so, any query;
 *  - `http://localhost:*` and a path: any port of localhost, the rest exact;
 *  - `/cb` or `/app/*`, which stand behind the client's root URL, as in Keycloak.
 * Whatever is none of these matches nothing, also when it was stored.
 *
 * The star is where open redirects come from, so below it only what every parser reads alike is let through: a URI that
 * is already in the form in which a browser would write it, without anything a server might decode into another path.
 */

export interface RedirectOptions {
  /** What a relative pattern stands behind: an http or https URL. */
  rootUrl?: string | null;
}

export interface MatchOptions extends RedirectOptions {
  /**
   * For native apps, that is public clients: `http://127.0.0.1/cb` and `http://[::1]/cb`, registered without a port,
   * match any port, because the app takes the one that the system gives it (RFC 8252 section 7.3).
   */
  anyLoopbackPort?: boolean;
}

type Pattern =
  | { kind: 'exact'; uri: string }
  | { kind: 'prefix'; origin: string; path: string }
  | { kind: 'localhost'; rest: string }
  | { kind: 'none'; problem: string };

/** Longer ones do not survive all browsers and proxies, and nobody needs them. */
const MAX_LENGTH = 2_000;
/** The characters of RFC 3986, without `#`: no whitespace, control, quote or backslash, and nothing beyond ASCII. */
const URI_CHARACTERS = /^[A-Za-z0-9\-._~:/?[\]@!$&'()*+,;=%]+$/;
/** What a browser or a phone does itself when it is sent there: running text as code, opening files, making calls. */
const DANGEROUS_SCHEMES = new Set(
  'about blob chrome content data facetime file filesystem ftp intent jar javascript livescript mailto mhtml mocha resource sms tel vbscript view-source ws wss'.split(
    ' ',
  ),
);
/** A plain name, IPv4 or IPv6 address. URL would let through `;`, `,`, `'` and `*`, which mean something in a CSP. */
const PLAIN_HOST = /^(?:[a-z0-9](?:[a-z0-9._-]*[a-z0-9])?\.?|\[[0-9a-f:.]+\])$/;
/**
 * Encoded forms that a server may decode into a control character, dot, slash, backslash, semicolon, or into another
 * encoded form.
 */
const ENCODED_TRICKS = /%(?:[01][0-9a-f]|2[5ef]|3b|5c|7f)/i;

/**
 * What a client's relative addresses stand behind: its root URL, in which exported realms name us by a placeholder, or our own
 * origin.
 */
export const rootOf = ({ rootUrl }: { rootUrl: string | null }, origin: string): string =>
  rootUrl?.replace(/^\$\{auth(?:Base|Admin)Url\}/, origin) ?? origin;

/**
 * Whether `asked` may be redirected to.
 * @param registered the client's redirect URIs or patterns
 * @param asked as the request says it, not normalised
 */
export function redirectUriAllowed(registered: readonly string[], asked: string, options: MatchOptions = {}): boolean {
  if (explainUri(asked) !== undefined) return false;
  const portless = options.anyLoopbackPort === true ? withoutLoopbackPort(asked) : undefined;
  return registered.some((text) => {
    const pattern = parsePattern(text, options);
    return matches(pattern, asked) || (portless !== undefined && matches(pattern, portless));
  });
}

/**
 * Why a value may not be registered, as a sentence for whoever registers it.
 * @returns undefined when it may
 */
export function validRedirectUri(pattern: string, options: RedirectOptions = {}): string | undefined {
  const parsed = parsePattern(pattern, options);
  return parsed.kind === 'none' ? parsed.problem : undefined;
}

function matches(pattern: Pattern, asked: string): boolean {
  if (pattern.kind === 'exact') return pattern.uri === asked;
  if (pattern.kind === 'localhost') {
    const [, port, rest] = /^http:\/\/localhost(?::([1-9]\d{0,4}))?((?:[/?].*)?)$/.exec(asked) ?? [];
    return rest === pattern.rest && Number(port ?? 80) <= 65_535;
  }
  if (pattern.kind === 'prefix') {
    const [, origin, path = ''] = /^([a-z]+:\/\/[^/?]+)(\/[^?]*)?/.exec(asked) ?? [];
    if (origin !== pattern.origin || !isCanonical(asked) || explainPath(path) !== undefined) return false;
    // As in Keycloak, `/app/*` also means `/app` itself.
    return path.startsWith(pattern.path) || (pattern.path.endsWith('/') && path === pattern.path.slice(0, -1));
  }
  return false;
}

function parsePattern(text: string, { rootUrl }: RedirectOptions): Pattern {
  const none = (problem: string): Pattern => ({ kind: 'none', problem });
  if (text === '*') return none('A star alone would send codes to any address. Name the addresses of the application.');
  const absolute = text.startsWith('/') ? behindRoot(text, rootUrl) : { uri: text };
  if ('problem' in absolute) return none(absolute.problem);
  const { uri } = absolute;

  const localhost = /^http:\/\/localhost:\*((?:[/?][^*]*)?)$/.exec(uri);
  const star = uri.indexOf('*');
  const stem = localhost !== null ? uri.replace(':*', '') : uri.endsWith('*') ? uri.slice(0, -1) : uri;
  const problem = explainUri(stem);
  if (problem !== undefined) return none(problem);
  if (localhost !== null) return { kind: 'localhost', rest: localhost[1] ?? '' };
  if (star === -1) return { kind: 'exact', uri };
  if (star !== uri.length - 1) return none('A star may only stand at the very end, or in place of the port in http://localhost:*/…');

  const url = new URL(stem);
  const path = /^https?:\/\/[^/?]+(\/[^?]*)$/i.exec(stem)?.[1];
  if (!isWeb(url.protocol)) return none('A star may only stand in an http or https address; write the addresses of an app in full.');
  if (path === undefined) return none('A star may only stand in the path, behind the slash that ends the host, and not in the query.');
  const trick =
    explainPath(path) ??
    (url.pathname === path ? undefined : 'The path before a star must be written as a browser writes it, without . or .. in it.');
  return trick === undefined ? { kind: 'prefix', origin: url.origin, path } : none(trick);
}

function behindRoot(path: string, rootUrl: string | null | undefined): { uri: string } | { problem: string } {
  if (path.startsWith('//')) return { problem: 'An address that begins with two slashes leaves its host open. Write it with https.' };
  if (rootUrl === undefined || rootUrl === null || rootUrl === '')
    return { problem: 'A relative address needs the root URL of the client. Set it, or write the address in full.' };
  const problem = explainUri(rootUrl);
  if (problem !== undefined || !/^https?:/i.test(rootUrl) || /[?*]/.test(rootUrl)) {
    return { problem: 'A relative address needs a root URL that is an http or https address without query.' };
  }
  return { uri: rootUrl.replace(/\/$/, '') + path };
}

/** Why nobody may be sent to this URI, however it was registered. */
function explainUri(uri: string): string | undefined {
  if (uri === '') return 'The address is empty.';
  if (uri.length > MAX_LENGTH) return `The address is longer than ${MAX_LENGTH} characters.`;
  if (uri.includes('#')) return 'The address may not have a fragment (the part behind #).';
  if (!URI_CHARACTERS.test(uri))
    return 'The address holds a space, a backslash or another character that no URI has. Write such characters percent-encoded, and a host in its xn-- form.';
  if (/%(?![0-9a-f]{2})/i.test(uri)) return 'The address holds a % that is not followed by two hexadecimal digits.';
  const url = URL.parse(uri);
  if (url === null) return 'This is not an absolute address such as https://app.example/callback.';
  if (DANGEROUS_SCHEMES.has(url.protocol.slice(0, -1))) return `Addresses with ${url.protocol} are never redirected to.`;
  const authority = /^[a-z][a-z0-9+.-]*:\/\/([^/?]*)/i.exec(uri)?.[1];
  if (authority?.includes('@') || url.username !== '' || url.password !== '')
    return 'The address may not hold a user name or password (an @ before the host).';
  if (!isWeb(url.protocol)) return undefined;
  if (authority === undefined || authority === '') return 'An http or https address names its host behind two slashes.';
  if (!PLAIN_HOST.test(url.hostname)) return 'The host of the address is not a plain name.';
  return undefined;
}

/** Why a path may not stand below a star. */
function explainPath(path: string): string | undefined {
  if (path.includes('//')) return 'The path may not hold two slashes in a row.';
  if (path.includes('@')) return 'The path may not hold an @ when it is matched by a star.';
  if (ENCODED_TRICKS.test(path) || !isDecodable(path))
    return 'The path may not hold encoded slashes, dots, semicolons or control characters when it is matched by a star.';
  // Some servers drop `;…` from a segment before they resolve the dots.
  if (path.split('/').some((segment) => /^\.{1,2}(?:;|$)/.test(segment))) return 'The path may not hold . or .. as a part of its own.';
  return undefined;
}

/** The URI is as a browser would write it: nothing was lower-cased, resolved, cut or re-encoded by parsing. */
function isCanonical(uri: string): boolean {
  const { href, pathname } = new URL(uri);
  if (href === uri) return true;
  // An empty path is the one form that is written with a slash added.
  return pathname === '/' && /^https?:\/\/[^/?]+(?:\?|$)/.test(uri) && href === uri.replace(/(?=\?)|$/, '/');
}

/** The same URI without its port, when it is one of RFC 8252's loopback addresses with one. */
function withoutLoopbackPort(uri: string): string | undefined {
  const [, host, port, rest] = /^(http:\/\/(?:127\.0\.0\.1|\[::1\])):([1-9]\d{0,4})((?:[/?].*)?)$/.exec(uri) ?? [];
  return host === undefined || rest === undefined || Number(port) > 65_535 ? undefined : host + rest;
}

const isWeb = (protocol: string): boolean => protocol === 'https:' || protocol === 'http:';

/** False for overlong and broken UTF-8, which lenient decoders turn into dots and slashes. */
function isDecodable(path: string): boolean {
  try {
    decodeURIComponent(path);
    return true;
  } catch {
    return false;
  }
}

const OWN_MACHINES: ReadonlySet<string> = new Set(['127.0.0.1', '[::1]', 'localhost']);

/** Whether an address is on the machine of whoever opens it, which is everybody's own. */
export const isOwnMachine = ({ hostname }: URL): boolean => OWN_MACHINES.has(hostname);

/**
 * Whether tokens may be sent with the answer to an address that a client registered by itself: written out, by https, and to no machine that
 * is everybody's own, unless the client is on a device (OpenID Connect Dynamic Client Registration 1.0 section 2, `application_type`).
 */
export function takesTokens(uri: string, type: 'web' | 'native'): boolean {
  const url = URL.parse(uri);
  if (!url || uri.includes('*')) return false;
  return type === 'native' ? url.protocol !== 'http:' || isOwnMachine(url) : url.protocol === 'https:' && !isOwnMachine(url);
}
