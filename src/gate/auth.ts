/**
 * `GET /realms/{realm}/gate/auth`: what a proxy asks for every request of a site.
 *
 *     200  X-Auth-Request-User and so on; none of them for a path that is everybody's
 *     401  WWW-Authenticate, with `acr_values` where more has to be shown (RFC 9470 section 3), and X-Cardea-Start for
 *          somebody who looks at a page: where on the site to send them
 *     403  signed in, but not allowed; no such gate; a path that cannot be read in one way
 *
 * With `?redirect` the answer is for the browser itself, for Traefik and Caddy pass it on: 302 in the place of a 401 for
 * somebody who looks at a page; and a 200 has every header, empty where there is nothing to say, for Caddy writes the name of
 * its placeholder where one is missing. With `?path=x-forwarded-uri` the path is read from that header, for they set no other.
 */
import { sha256 } from '../crypto/codes.ts';
import { gateNeed } from '../policy/gate-rules.ts';
import { gateStanding } from '../store/gate-sessions.ts';
import type { GateRow } from '../store/gates.ts';
import { type Identity, type Verdict, verdictOf } from './check.ts';
import { type GateRequest, START, sessionCookie } from './room.ts';
import { isNavigation, originAsked, pathAsked, targetAsked } from './site.ts';
import { stopped } from './stopped.ts';

/** More than this in one header, and a proxy with its usual buffers answers 502. */
const MAX_LIST = 2_000;

/** Answers the question of a proxy, whether a request may pass: 2xx with who asks, 401 or a redirect to the sign-in, 403 where nothing would help. */
export async function answerProxy(request: GateRequest): Promise<void> {
  const { ctx, db, realm, at } = request;
  const isForBrowser = ctx.query.redirect !== undefined;
  const origin = originAsked(ctx.req);
  const path = pathAsked(ctx.req, { fromTarget: ctx.query.path === 'x-forwarded-uri' });
  if (origin === undefined || path === undefined) return say(request, 403);
  const cookie = ctx.cookies.get(sessionCookie(origin));
  const standing = await gateStanding(db.knex, { realmId: realm.realm.id, origin }, { cookie: cookie ? sha256(cookie) : '' }, at);
  if (!standing) return say(request, 403);
  const { gate } = standing;
  const verdict = await verdictOf(request, standing, gateNeed(gate.rules, path));
  if (verdict.let === 'in') {
    if (isForBrowser) ctx.set(NOTHING);
    if (verdict.who) tell(request, gate, verdict.who);
    return say(request, 200);
  }
  const isPage = isNavigation(ctx.req);
  if (verdict.let === 'nobody') return isForBrowser && isPage ? send(request, stopped(request, gate, 'denied')) : say(request, 403);
  const start = startOf(targetAsked(ctx.req, path), verdict);
  if (isForBrowser && isPage) return send(request, `${gate.origin}${start}`);
  ctx.set('WWW-Authenticate', challengeOf(gate, verdict));
  if (isPage) ctx.set('X-Cardea-Start', start);
  say(request, 401);
}

type SignIn = Extract<Verdict, { let: 'sign-in' }>;

function startOf(target: string, { level }: SignIn): string {
  const query = new URLSearchParams({ rd: target, ...(level === null ? {} : { acr: level }) });
  return `${START}?${query}`;
}

function challengeOf({ origin }: GateRow, { more, level }: SignIn): string {
  const values = level === null ? '' : `, acr_values="${level}"`;
  return `Bearer realm="${new URL(origin).host}"${more ? `, error="insufficient_user_authentication"${values}` : values}`;
}

const NOTHING = Object.fromEntries(
  ['User', 'Preferred-Username', 'Email', 'Groups', 'Roles', 'Acr', 'Amr'].map((name) => [`X-Auth-Request-${name}`, '']),
);

function tell({ ctx }: GateRequest, gate: GateRow, who: Identity): void {
  const groups = who.groups.map(inHeader).join(',');
  // Part of a list would be a wrong one; the groups that the rules ask about are few.
  const named = new Set(gate.rules.flatMap((rule) => rule.groups ?? []));
  const fitting =
    groups.length <= MAX_LIST
      ? groups
      : who.groups
          .filter((group) => named.has(group))
          .map(inHeader)
          .join(',');
  ctx.set({
    'X-Auth-Request-User': who.id,
    'X-Auth-Request-Preferred-Username': inHeader(who.username),
    ...(who.email === null ? {} : { 'X-Auth-Request-Email': inHeader(who.email) }),
    'X-Auth-Request-Groups': fitting,
    'X-Auth-Request-Roles': who.roles.map(inHeader).join(','),
    'X-Auth-Request-Acr': inHeader(who.acr),
    'X-Auth-Request-Amr': who.amr.map(inHeader).join(','),
  });
}

/** Visible ASCII, with everything else percent-encoded as UTF-8; so are `%`, and `,` which separates the entries of a list. */
const inHeader = (text: string): string => text.toWellFormed().replace(/[^\x21-\x24\x26-\x2b\x2d-\x7e]/gu, encodeURIComponent);

function send({ ctx }: GateRequest, location: string): void {
  ctx.status = 302;
  ctx.redirect(location);
}

/** An answer without words: a proxy has its own. */
function say({ ctx }: GateRequest, status: number): void {
  ctx.status = status;
  ctx.body = '';
}
