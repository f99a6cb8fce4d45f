/**
 * Whether what was proved is enough for this request.
 *
 * The sign-in pages call `decide` to know what to ask; here the Provider calls the same `decide` before it issues
 * anything. A forged or early finish therefore passes the pages at most. The acr, amr and auth_time of the answer come
 * from the proofs that this decision counted, not from the library's session, which holds only one of each.
 */
import { errors, type KoaContextWithOIDC } from 'oidc-provider';
import { heldProofs, ownedFactors } from '../factors/owned.ts';
import { decide, type Facts, freshProofs } from '../policy/decide.ts';
import { inputsOf } from '../policy/replay.ts';
import { requestFacts } from '../policy/request.ts';
import { wishOf } from '../policy/wish.ts';
import type { RealmSettings } from '../realms/settings.ts';
import type { DeviceStanding } from '../sessions/devices.ts';
import { clientFacts, factsOf, type KnownUser } from '../sessions/facts.ts';
import { isRemembered } from '../sessions/lifetimes.ts';
import { establishSession } from '../sessions/sessions.ts';
import { isNewestCookie, type SignIn, type SignInState, transactionCookie } from '../sessions/sign-ins.ts';
import { opennessOf, wishIn, wishOfUser } from '../sessions/wishes.ts';
import type { SessionRow } from '../store/sessions.ts';
import { rowOf } from './clients/client-metadata.ts';
import { deviceOf, settleDevice } from './devices.ts';
import { whatIsDue } from './impersonated.ts';
import { knownHere } from './known.ts';
import { liveSession } from './live-session.ts';
import { recordAnswer, recordRefusal, recordStepUp, recordUnmet } from './recording.ts';
import type { RealmRoom } from './room.ts';
import { requestCache } from './storage/request-cache.ts';

/** What a request stands on: our session, and the sign-in that has just made or raised it. */
export interface Standing {
  session: SessionRow;
  signIn: SignIn<SignInState> | undefined;
  /** This request has claimed the sign-in. */
  isNew: boolean;
  /** The user as they are stored now. */
  known: KnownUser;
  /** What the browser was to the user when the request came. */
  device: DeviceStanding;
}

/** One standing a request, however many callbacks ask for it. */
const standings = new WeakMap<object, Promise<Standing | undefined>>();

/** What became of the application's wish, for the answer to it. */
const actions = new WeakMap<object, string | undefined>();

/** What Keycloak's clients read in the answer besides the code: `session_state`, and what became of a `kc_action`. */
export function answerParameters(ctx: KoaContextWithOIDC): Record<string, string> {
  const sid = ctx.oidc.session?.sidFor(ctx.oidc.client?.clientId ?? '');
  const { kc_action: asked } = ctx.oidc.params ?? {};
  if (typeof asked !== 'string' || asked === '') return sid ? { session_state: sid } : {};
  // One that is not done here was asked for in vain, and the application is to know. Keycloak leaves out what it was about.
  const action = { kc_action: wishOf(asked)?.name ?? asked, kc_action_status: actions.get(ctx.oidc) ?? 'error' };
  return { ...(sid ? { session_state: sid } : {}), ...action };
}

/** The session of this request; undefined when nobody is signed in. A finished sign-in is claimed here, once. */
export function standingOf(room: RealmRoom, ctx: KoaContextWithOIDC): Promise<Standing | undefined> {
  let standing = standings.get(ctx.oidc);
  if (!standing) {
    standing = findStanding(room, ctx).then(async (found) => found && { ...found, device: await deviceOf(room, ctx, whoseOf(found)) });
    standings.set(ctx.oidc, standing);
  }
  return standing;
}

const whoseOf = ({ session, signIn, known }: Omit<Standing, 'device'>) => ({
  userId: session.userId,
  signIn,
  credentials: known.credentials,
  looked: known.looked,
});

async function findStanding(room: RealmRoom, ctx: KoaContextWithOIDC): Promise<Omit<Standing, 'device'> | undefined> {
  const { session, result } = ctx.oidc;
  if (!session?.accountId) return undefined;
  const now = room.now();
  const { realm } = room.context;
  const live = () => liveSession(room, session.uid, session.accountId ?? '');
  const known = await knownHere(room, ctx, session.accountId);
  if (!result?.login) {
    const row = await live();
    if (row) keepCookie(session, row, realm.settings);
    return row && { session: row, signIn: undefined, isNew: false, known };
  }

  const transaction = result.login.transaction;
  const looked = requestCache().signIn;
  const signIn =
    looked?.row.id === transaction ? looked : typeof transaction === 'string' ? await room.signIns.load(realm.id, transaction, now) : undefined;
  if (signIn?.state.at !== 'done' || signIn.state.userId !== session.accountId) return refuse(room, ctx, 'a login that is not done');
  // dispatch.ts has looked already; here nothing of what the library made of the path or its own cookies is believed.
  if (!isNewestCookie(signIn.row, ctx.cookies.get(transactionCookie(signIn.row.id), { signed: false })))
    return refuse(room, ctx, 'another browser came back');
  if (signIn.row.sessionId !== null) {
    // The same result is applied again after consent.
    const row = await live();
    if (row?.id !== signIn.row.sessionId) return refuse(room, ctx, 'a login that was used before');
    keepCookie(session, row, realm.settings);
    return { session: row, signIn, isNew: false, known };
  }
  // What was proved with a password or an app that is gone by now proves nothing any more.
  if (heldProofs(signIn.state.proofs, known.credentials).length < signIn.state.proofs.length)
    return refuse(room, ctx, 'a login with a credential that is gone');
  if (signIn.state.proofs.some(({ at }) => at < known.notBefore)) return refuse(room, ctx, 'a login from before the user was signed out everywhere');
  const row = await establishSession(room.db, {
    realmId: realm.id,
    settings: realm.settings,
    uid: session.uid,
    isNew: 'new' in session && session.new === true,
    found: foundAlive(session.uid, session.accountId),
    userId: session.accountId,
    proofs: signIn.state.proofs,
    facts: { skipped: signIn.state.skipped },
    remember: signIn.state.remember,
    ip: ctx.ip,
    userAgent: ctx.get('user-agent') || null,
    now,
    claim: (trx, sessionId) => room.signIns.claim(trx, signIn.row, sessionId),
  });
  if (!row) return refuse(room, ctx, 'a login that was used before');
  requestCache().session = { uid: session.uid, row };
  keepCookie(session, row, realm.settings);
  return { session: row, signIn, isNew: true, known };
}

/** The session that this request came with, as far as it was looked at already. */
function foundAlive(uid: string, userId: string): string | undefined {
  const { session } = requestCache();
  return session?.uid === uid && session.row?.userId === userId ? session.row.id : undefined;
}

/** Whether the cookie outlives the browser: as the session says, not as this sign-in happens to, which may be no more than a step-up. */
function keepCookie(session: { transient?: boolean }, row: SessionRow, settings: RealmSettings): void {
  const isTransient = !isRemembered(row, settings);
  if ((session.transient === true) !== isTransient) session.transient = isTransient || undefined;
}

async function refuse(room: RealmRoom, ctx: KoaContextWithOIDC, reason: string): Promise<never> {
  await recordRefusal(room, { ip: ctx.ip, userAgent: ctx.get('user-agent') }, { reason, transactionId: ctx.oidc.entities.Interaction?.cid });
  throw new errors.AccessDenied('the sign-in is no longer valid; start again from the application');
}

/** What became of a wish (`kc_action`), as Keycloak names it. */
function actionStatus(standing: Standing, isSo: boolean): string {
  const action = standing.signIn?.state.action;
  if (action === 'done' || isSo) return 'success';
  return action === 'cancelled' ? 'cancelled' : 'error';
}

/** What `decide` is told of this request. */
function factsFor(room: RealmRoom, ctx: KoaContextWithOIDC, standing: Standing): Facts {
  const now = room.now();
  const { session, signIn, known } = standing;
  const row = rowOf(ctx.oidc.client);
  const { client, wishes } = clientFacts(room.context.policy, row.clientId, row.attributes);
  const { params = {} } = ctx.oidc;
  const heeded = wishOfUser(room.context.realm.settings, params, known) === undefined ? { ...params, kc_action: undefined } : params;
  // `max_age` and `prompt=login` count from when the sign-in began, or a slow typist would never arrive.
  const { action, ...requested } = requestFacts(heeded, signIn?.row.createdAt ?? now, wishes);
  const acted = signIn?.state.action === 'done' || signIn?.state.action === 'cancelled';
  const request = { client, ...requested, ...(action !== undefined && !acted ? { action } : {}) };
  const proofs = heldProofs(freshProofs(session.proofs, now, session.lastSeenAt), known.credentials);
  return {
    ...factsOf(room.factors, room.context, known, request, {
      ...standing.device.facts,
      skipped: session.facts.skipped,
      ...(session.facts.impersonator ? { impersonatedAt: session.createdAt } : {}),
    }),
    now,
    proofs,
  };
}

/** What was there when the sign-in began: what was set up in it is not what it was asked for. */
function then({ factors, context }: RealmRoom, { signIn, known }: Standing): Parameters<typeof inputsOf>[1] {
  const before = known.credentials.filter((row) => signIn === undefined || row.createdAt < signIn.row.createdAt);
  return { version: context.policy.version, owned: ownedFactors(factors, context.realm.settings, before) };
}

/** The application wishes something of the user, whose pages have not had their say. @throws `interaction_required` where none may be shown */
function askToAct(ctx: KoaContextWithOIDC): true {
  if (ctx.oidc.prompts.has('none')) throw new errors.InteractionRequired('kc_action needs the user: ask without prompt=none');
  return true;
}

/**
 * The check of the `login` prompt: true when the user has to be asked something.
 * @throws `unmet_authentication_requirements` (RFC 9470 section 5) when nothing the user could do would be enough
 */
export async function mustAsk(room: RealmRoom, ctx: KoaContextWithOIDC): Promise<boolean> {
  const standing = ctx.oidc.account ? await standingOf(room, ctx) : undefined;
  if (!standing) return true;
  const facts = factsFor(room, ctx, standing);
  const decision = decide(facts);
  const unmet = decision.ask === 'unmet' ? decision.reason : whatIsDue(room, standing);
  if (decision.ask === 'unmet' || unmet !== undefined) {
    const reason = unmet ?? '';
    await recordUnmet(room, ctx, standing, reason);
    throw new errors.CustomOIDCProviderError('unmet_authentication_requirements', reason);
  }
  if (decision.ask !== 'nothing') {
    await recordStepUp(room, ctx, standing, facts);
    return true;
  }
  const wish = wishIn(room.context.realm.settings, ctx.oidc.params ?? {});
  const wished = wish && opennessOf(wish, standing.known, { factors: room.factors, on: room.context, now: facts.now });
  if (wished === 'open' && !standing.signIn) return askToAct(ctx);
  if (!(await settleDevice(room, ctx, { ...standing, ...whoseOf(standing) }, decision, facts.owned.length > 0))) return true;
  actions.set(ctx.oidc, actionStatus(standing, wished === 'done'));
  await recordAnswer(room, ctx, standing, decision, () => inputsOf(facts, then(room, standing)));

  // What the code, and with it every token, will say. The library would read them from its session.
  Object.defineProperty(ctx.oidc, 'acr', { value: decision.acr, configurable: true });
  Object.defineProperty(ctx.oidc, 'amr', { value: decision.amr, configurable: true });
  const authTime = Math.floor(decision.authTime / 1000);
  Object.defineProperty(ctx.oidc.session, 'authTime', { value: () => authTime, configurable: true });
  return false;
}
