/**
 * The response headers that protect every page of ours. Everything is denied first, and what a page needs is named.
 *
 * There is no inline script and no inline style anywhere. The one exception is oidc-provider's form_post page: it reads
 * this policy, finds `script-src` and appends the hash of its one script, which is why `script-src` is always named
 * and why these headers are set before the request is handed to the library.
 */

export interface SecurityHeaderOptions {
  /** The origin that Cardea is reached at, such as `https://id.example.com`. */
  origin: string;
  /**
   * Where a form post of this page may end besides our own origin, as `formActionOf` gives it. Chromium applies
   * `form-action` to the redirects that follow a post, so the way back to the application has to be named.
   */
  formActions?: readonly string[];
  /**
   * True for the pages of a sign-in and for the protocol's own answers: an application may show them in a popup and
   * must find its window again on the way back. Any Cross-Origin-Opener-Policy but `unsafe-none` cuts that tie
   * (`same-origin-allow-popups` too: it spares the popups that *we* open, not the one that we are in). An opener can
   * learn no more than that the window is there: these pages listen to no message and frame nothing.
   * Our own consoles are never opened that way and keep `same-origin`.
   */
  popups?: boolean;
}

/**
 * The headers of a page that any website may frame: it shows nothing, takes no form, runs our own script alone and talks to us
 * alone. Everything else of ours is framed by nobody.
 */
export function framedPageHeaders({ origin }: Pick<SecurityHeaderOptions, 'origin'>): Record<string, string> {
  const { 'X-Frame-Options': _denied, ...headers } = securityHeaders({ origin, popups: true });
  const policy = ["default-src 'none'", "script-src 'self'", "connect-src 'self'", "form-action 'none'", "base-uri 'none'", 'frame-ancestors *'];
  return { ...headers, 'Content-Security-Policy': policy.join('; ') };
}

/** Schemes that a form must not lead to: whole networks, local content, or script. */
const NO_FORM_TARGET = new Set(['http:', 'https:', 'ws:', 'wss:', 'javascript:', 'data:', 'blob:', 'filesystem:', 'file:', 'about:', 'vbscript:']);

/** Features that no page of ours uses, denied for us and for whatever could ever be framed. */
const DENIED_FEATURES = [
  'accelerometer',
  'autoplay',
  'browsing-topics',
  'camera',
  'display-capture',
  'encrypted-media',
  'fullscreen',
  'geolocation',
  'gyroscope',
  'hid',
  'idle-detection',
  'magnetometer',
  'microphone',
  'midi',
  'payment',
  'picture-in-picture',
  'screen-wake-lock',
  'serial',
  'usb',
  'xr-spatial-tracking',
] as const;

/** A year, in seconds. Subdomains are not ours to decide about. */
const HSTS_MAX_AGE = 31_536_000;

/**
 * Builds the headers of one answer.
 * @throws {TypeError} when a form action is neither an http(s) origin nor a `scheme:`: it would be injected into the policy.
 */
export function securityHeaders(options: SecurityHeaderOptions): Record<string, string> {
  const headers: Record<string, string> = {
    'Content-Security-Policy': options.formActions?.length ? contentSecurityPolicy(options.formActions) : usualPolicy,
    'X-Frame-Options': 'DENY',
    'X-Content-Type-Options': 'nosniff',
    // Not `no-referrer`: a browser then sends `Origin: null` with form posts, and the same-origin check needs it.
    'Referrer-Policy': 'same-origin',
    'Permissions-Policy': permissionsPolicy,
    'Cross-Origin-Opener-Policy': options.popups ? 'unsafe-none' : 'same-origin',
  };
  if (options.origin.startsWith('https://')) headers['Strict-Transport-Security'] = `max-age=${HSTS_MAX_AGE}`;
  return headers;
}

/**
 * The form-action source that covers a validated redirect URI: its origin, or its scheme where it has no origin.
 * Undefined when nothing narrow enough covers it.
 *
 * CSP has no way to write an IPv6 address (CSP3 section 2.3.1; Chromium ignores one), and an app may be at `[::1]` and
 * whatever port it was given (RFC 8252 section 7.3): that port is named, at any host.
 */
export function formActionOf(uri: string): string | undefined {
  if (!URL.canParse(uri)) return undefined;
  const url = new URL(uri);
  if (url.protocol === 'http:' && url.hostname === '[::1]') return `http://*:${url.port || 80}`;
  const source = url.protocol === 'http:' || url.protocol === 'https:' ? url.origin : url.protocol;
  return isFormAction(source) ? source : undefined;
}

const permissionsPolicy = [
  ...DENIED_FEATURES.map((feature) => `${feature}=()`),
  'publickey-credentials-get=(self)',
  'publickey-credentials-create=(self)',
].join(', ');

function contentSecurityPolicy(formActions: readonly string[]): string {
  for (const source of formActions) {
    if (!isFormAction(source)) throw new TypeError(`not a form-action source: ${JSON.stringify(source)}`);
  }
  return [
    "default-src 'none'",
    "script-src 'self'",
    "style-src 'self'",
    "img-src 'self'",
    "font-src 'self'",
    "connect-src 'self'",
    ["form-action 'self'", ...new Set(formActions)].join(' '),
    "frame-ancestors 'none'",
    "base-uri 'none'",
    "object-src 'none'",
  ].join('; ');
}

/** Of all answers but those of some pages: written once. */
const usualPolicy = contentSecurityPolicy([]);

/** An origin exactly as URL serialises it, with a host that CSP's grammar can express, a private-use `scheme:`, or a port in the place of `[::1]`. */
function isFormAction(source: string): boolean {
  if (/^http:\/\/\*:\d{1,5}$/.test(source)) return true;
  if (/^[a-z][a-z0-9+.-]*:$/.test(source)) return !NO_FORM_TARGET.has(source);
  if (!/^https?:\/\/[a-z0-9._-]+(:\d{1,5})?$/.test(source)) return false;
  return URL.canParse(source) && new URL(source).origin === source;
}
