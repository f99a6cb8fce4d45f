/**
 * The gate: sign-in for sites that know nothing of OpenID Connect. Their proxy asks it about every request (forward
 * authentication) and lets through what it answers 200 to.
 *
 *     browser ─► proxy of the site ── GET gate/auth ──► 200, and who it is        ─► the site
 *                                                   └─► 401, and where to sign in ─► /.cardea/start ─► the realm's sign-in
 *                                                   └─► 403                          /.cardea/callback ◄────────┘
 *
 * `/.cardea/start`, `callback` and `sign-out` of the protected host are the gate's, passed on by the proxy, so that the
 * session's cookie is set there and on no other host. Each host is a relying party with a client of its own. Of its
 * session only the hash of the cookie is stored; on every request the provider's session behind it has to be alive, the
 * user switched on, and the same `decide` as everywhere says whether what was proved is enough for that path.
 *
 * The proxy says by headers which host and which path it is asked for. Whoever sends such headers straight to us gains
 * nothing: they are believed only for hosts of this realm's gates; the answer tells nobody but the owner of a cookie of
 * that host anything, and nothing acts on it; and what `start` and `callback` set lands on the host that the browser
 * really talks to, where it opens nothing.
 */
import type Koa from 'koa';
import type { Factors } from '../factors/index.ts';
import type { CodeFlow, Party } from '../http/code-flow.ts';
import type { CookieJar } from '../http/login-state.ts';
import type { RealmContext } from '../realms/registry.ts';
import type { Database } from '../store/database.ts';
import type { GateRow } from '../store/gates.ts';

export interface GateDeps {
  db: Database;
  factors: Factors;
  flow: CodeFlow;
  /** Ours, as the settings have it. */
  origin: string;
  render(ctx: Koa.Context, view: string, model: object, status?: number): Promise<void>;
  now(): number;
  log: { warn(details: object, message: string): void };
}

/** One request of the gate. */
export interface GateRequest extends GateDeps {
  ctx: Koa.Context;
  realm: RealmContext;
  at: number;
}

/** What of the protected host is the gate's. */
export const OWN_PATH = '/.cardea';

/** Where the browser is sent to sign in, on the protected host. */
export const START = `${OWN_PATH}/start`;

export const partyOf = ({ clientId, origin }: Pick<GateRow, 'clientId' | 'origin'>): Party => ({
  clientId,
  redirectUri: `${origin}${OWN_PATH}/callback`,
});

/**
 * The session's cookie. Where the host is reached by https its name has the browser see to it that no neighbouring host and
 * no plain connection has set it (RFC 6265bis section 4.1.3.2).
 */
export const sessionCookie = (origin: string): string => (origin.startsWith('https:') ? '__Host-cardea_gate' : 'cardea_gate');

/** The cookies of a gate on its own host: what was sealed for one gate opens for no other. */
export function jarOf({ ctx, realm }: GateRequest, { id, origin }: Pick<GateRow, 'id' | 'origin'>): CookieJar {
  const secure = origin.startsWith('https:');
  // The host says whether people come by https; our own may differ.
  ctx.cookies.secure = secure;
  return { ctx, realm, owner: id, prefix: sessionCookie(origin), path: '/', secure };
}
