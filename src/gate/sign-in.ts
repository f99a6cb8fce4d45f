/**
 * Signing in and out at a protected host: what its proxy passes on of `/.cardea`. Only here cookies are set, on that host.
 *
 * `start` writes nothing down: what it remembers is sealed in the browser, and the realm's own sign-in, to which it leads,
 * bounds what one address may begin. An exchange is counted by its address until it has succeeded.
 */
import { randomToken, sha256 } from '../crypto/codes.ts';
import { forbidden, notFound } from '../errors.ts';
import { sameOrigin } from '../http/csrf.ts';
import { setCookie, takeLoginState } from '../http/login-state.ts';
import { redirectTo } from '../http/redirect.ts';
import { say } from '../languages/messages.ts';
import { isLevel, type Level, strongest } from '../policy/assurance.ts';
import { type GateNeed, gateNeed } from '../policy/gate-rules.ts';
import { recentTrust } from '../sessions/standing-trust.ts';
import { Throttle } from '../sessions/throttle.ts';
import { deleteGateSession, type GateStanding, gateStanding, insertGateSession } from '../store/gate-sessions.ts';
import { type GateRow, gateByOrigin } from '../store/gates.ts';
import { type Verdict, verdictOf } from './check.ts';
import { type GateRequest, jarOf, partyOf, sessionCookie } from './room.ts';
import { originAsked, ownTarget } from './site.ts';
import { reasonOf, stopped } from './stopped.ts';

/** `?rd=` is a path of the host, `?acr=` a level to ask for; neither can lower what the rules ask of that path. */
export async function start(request: GateRequest): Promise<void> {
  const { ctx, flow, at } = request;
  const gate = await gateAsked(request);
  const to = ownTarget(one(ctx.query.rd));
  const level = levelFor(gate, to, one(ctx.query.acr));
  const parameters: Record<string, string> = level === null ? {} : { acr_values: level };
  redirectTo(ctx, await flow.begin(jarOf(request, gate), partyOf(gate), { returnTo: to?.target ?? '/', parameters, now: at }));
}

/** Takes the answer of a sign-in. A new cookie with every one; the one of before is worth nothing from then on. */
export async function callback(request: GateRequest): Promise<void> {
  const { ctx, flow, db, realm, at, log } = request;
  const gate = await gateAsked(request);
  const jar = jarOf(request, gate);
  const state = one(ctx.query.state);
  const kept = state === undefined ? undefined : takeLoginState(jar, state, at);
  if (!kept) return redirectTo(ctx, stopped(request, gate, 'not-begun'));
  const counted = await new Throttle(db, { ...realm.realm, rootSecret: realm.rootSecret }, { ip: ctx.ip, log }).door(kept.state, at);
  const exchanged = await counted.comparing(() => flow.exchange(jar, partyOf(gate), ctx.search, kept));
  if (!exchanged.ok) {
    const reason = reasonOf(exchanged.error);
    if (reason === 'unfit') log.warn({ err: exchanged.cause, realm: realm.realm.name, gate: gate.origin }, 'a sign-in to a gate was refused');
    // Whoever changes their mind has tried nothing.
    await (reason === 'used' || reason === 'unfit' ? counted.failed() : counted.undone());
    return redirectTo(ctx, stopped(request, gate, reason));
  }
  await counted.succeeded();
  const { sid, userId, idToken } = exchanged;
  const standing = await gateStanding(db.knex, { realmId: realm.realm.id, origin: gate.origin }, { sid, userId }, at);
  if (!standing?.signedIn) return redirectTo(ctx, stopped(request, gate, 'ended'));
  const to = ownTarget(kept.returnTo);
  const { verdict, deviceId } = await arrival(request, standing, needOf(gate, to), kept.startedAt);
  // The check on the way in would send the browser here again, and again.
  if (verdict.let === 'sign-in') return redirectTo(ctx, stopped(request, gate, 'too-weak'));
  await replaceSession(request, gate, standing.signedIn, { sid, userId, idToken, deviceId });
  redirectTo(ctx, `${gate.origin}${to?.target ?? '/'}`);
}

/** Ends the session at this host and sends the browser to end the provider's, and with it those of all other sites. */
export async function signOut(request: GateRequest): Promise<void> {
  const { ctx, flow, db, realm } = request;
  const gate = await gateAsked(request);
  // A link of the site's own page, or an address that was typed; no other site may sign anybody out.
  const isTyped = ctx.method === 'GET' && ctx.get('sec-fetch-site') === 'none';
  if (!isTyped && !sameOrigin(ctx.req.headers, gate.origin)) throw forbidden(say('error.foreignForm'), 'foreign_origin');
  const jar = jarOf(request, gate);
  const name = sessionCookie(gate.origin);
  const cookie = ctx.cookies.get(name);
  setCookie(jar, name, null);
  const ended = cookie ? await deleteGateSession(db.knex, realm.realm.id, gate.id, sha256(cookie)) : undefined;
  const back = `${gate.origin}/`;
  // A cookie of no session may be one that a sign-in in another tab has replaced in this moment: its session ends there too.
  redirectTo(ctx, cookie ? await flow.endSession(jar, gate.clientId, { idToken: ended?.idToken, back }) : back);
}

/** The gate of the host that the proxy names, or a 404. */
async function gateAsked({ ctx, db, realm }: GateRequest): Promise<GateRow> {
  const origin = originAsked(ctx.req);
  const gate = origin === undefined ? undefined : await gateByOrigin(db.knex, realm.realm.id, origin);
  if (!gate) throw notFound(say('error.noPage'));
  return gate;
}

const one = (value: string | string[] | undefined): string | undefined => (typeof value === 'string' ? value : undefined);

type Target = ReturnType<typeof ownTarget>;

/** What the page that was asked for needs; of none that can be read, that somebody is signed in. */
const needOf = ({ rules }: GateRow, to: Target): GateNeed => (to ? gateNeed(rules, to.path) : { access: 'signed-in', level: null, conditions: [] });

function levelFor(gate: GateRow, to: Target, asked: string | undefined): Level | null {
  const { level } = needOf(gate, to);
  if (asked === undefined || !isLevel(asked)) return level;
  return level === null ? asked : strongest(level, asked);
}

/**
 * What the one who has come back may have. The provider has asked for everything that is due; where that was less because
 * the browser is trusted, a cookie of ours said so, which this host never sees: it is remembered with the session.
 */
async function arrival(
  request: GateRequest,
  standing: GateStanding,
  need: GateNeed,
  startedAt: number,
): Promise<{ verdict: Verdict; deviceId: string | null }> {
  const { db, realm } = request;
  const asked: GateNeed = need.access === 'signed-in' ? need : { access: 'signed-in', level: null, conditions: [] };
  const verdict = await verdictOf(request, standing, asked, null);
  if (verdict.let !== 'sign-in' || !standing.signedIn) return { verdict, deviceId: null };
  const whom = { realmId: realm.realm.id, userId: standing.signedIn.user.id };
  const deviceId = await recentTrust(db.knex, whom, startedAt);
  return deviceId === null ? { verdict, deviceId } : { verdict: await verdictOf(request, standing, asked, deviceId), deviceId };
}

async function replaceSession(
  request: GateRequest,
  gate: GateRow,
  { session }: NonNullable<GateStanding['signedIn']>,
  signedIn: { sid: string; userId: string; idToken: string; deviceId: string | null },
): Promise<void> {
  const { ctx, db, realm, at } = request;
  const { id: realmId } = realm.realm;
  const name = sessionCookie(gate.origin);
  const before = ctx.cookies.get(name);
  const cookie = randomToken();
  const expiresAt = Math.min(session.endsAt, gate.lifespan === null ? Number.POSITIVE_INFINITY : at + gate.lifespan * 1000);
  await db.transaction(async (trx) => {
    if (before) await deleteGateSession(trx, realmId, gate.id, sha256(before));
    await insertGateSession(trx, { realmId, id: sha256(cookie), gateId: gate.id, ...signedIn, createdAt: at, lastSeenAt: at, expiresAt });
  });
  setCookie(jarOf(request, gate), name, cookie);
}
