/** What a browser shows of itself in a realm, and the two cookies that it does it with. */

/** The part of a request that this reads and writes; rooms hand in their own context. */
export interface BrowserRequest {
  cookies: {
    get(name: string, options?: { signed: boolean }): string | undefined;
    set(name: string, value: string | null, options: CookieOptions): unknown;
  };
  ip: string;
  get(header: string): string;
}

interface CookieOptions {
  path: string;
  httpOnly: boolean;
  sameSite: 'lax';
  secure: boolean;
  signed: boolean;
  overwrite: boolean;
  maxAge?: number;
}

/** A trusted device of one user, and the token of its series. */
export interface Series {
  /** The id of the device. */
  id: string;
  token: string;
}

export interface Browser {
  realm: { id: string; rootSecret: Buffer };
  /** By which it is known; null for one that never signed in here. */
  token: string | null;
  /** One for each of its users who trust it. */
  series: readonly Series[];
  ip: string | null;
  userAgent: string | null;
}

/** What knows no cookies, such as a command line. */
export const noBrowser = (realm: Browser['realm']): Browser => ({ realm, token: null, series: [], ip: null, userAgent: null });

/** No browser keeps a cookie for longer than 400 days (RFC 6265bis section 5.5). */
const KEPT_MS = 400 * 86_400_000;
/** A family at one machine. */
const MOST_SERIES = 4;
const TOKEN = /^[A-Za-z0-9_-]{43}$/;
const SERIES = /^([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})\.([A-Za-z0-9_-]{43})$/;

/**
 * @param origin ours: where it is https, the browser itself sees to it that no neighbouring host and no plain connection
 *   has set the cookies (RFC 6265bis section 4.1.3.2)
 */
export function browserOf(request: BrowserRequest, realm: { id: string; rootSecret: Buffer }, origin: string): Browser {
  const names = namesOf(realm.id, origin);
  const token = request.cookies.get(names.device, { signed: false }) ?? '';
  const series = (request.cookies.get(names.trust, { signed: false }) ?? '').slice(0, 1_000).split('~');
  return {
    realm: { id: realm.id, rootSecret: realm.rootSecret },
    token: TOKEN.test(token) ? token : null,
    series: series.flatMap((text) => seriesOf(text)).slice(0, MOST_SERIES),
    ip: request.ip || null,
    userAgent: request.get('user-agent') || null,
  };
}

/** Lets the browser keep what it is known by, for another 400 days. */
export function keepToken(request: BrowserRequest, browser: Browser, origin: string, token: string): void {
  set(request, namesOf(browser.realm.id, origin).device, token, origin);
}

/** Lets the browser keep the newest token of a series, beside those of its other users. */
export function keepSeries(request: BrowserRequest, browser: Browser, origin: string, series: Series): void {
  const all = [series, ...browser.series.filter(({ id }) => id !== series.id)].slice(0, MOST_SERIES);
  set(request, namesOf(browser.realm.id, origin).trust, all.map(({ id, token }) => `${id}.${token}`).join('~'), origin);
}

function seriesOf(text: string): Series[] {
  const [, id, token] = SERIES.exec(text) ?? [];
  return id === undefined || token === undefined ? [] : [{ id, token }];
}

function namesOf(realmId: string, origin: string): { device: string; trust: string } {
  const prefix = origin.startsWith('https:') ? '__Host-' : '';
  return { device: `${prefix}cardea_device_${realmId}`, trust: `${prefix}cardea_trust_${realmId}` };
}

function set(request: BrowserRequest, name: string, value: string, origin: string): void {
  request.cookies.set(name, value, {
    // Also where there is no prefix that asks for it: the consoles stand beside the realms.
    path: '/',
    httpOnly: true,
    sameSite: 'lax',
    secure: origin.startsWith('https:'),
    signed: false,
    overwrite: true,
    maxAge: KEPT_MS,
  });
}
