/**
 * The password grant (RFC 6749 section 4.3), for clients that allow Keycloak's direct access and for no others: scripts and
 * the command line. Whether a name, a password and a code are right, and enough, is not decided here: the login room compares
 * them as it does on its pages (login/direct.ts). What follows is a session like any other, listed and ended like any other,
 * and tokens that say truthfully how it began.
 */
import { errors, type KoaContextWithOIDC, type Provider } from 'oidc-provider';
import { record } from '../../audit/record.ts';
import { AppError } from '../../errors.ts';
import { ownedFactors } from '../../factors/owned.ts';
import { inEnglish } from '../../languages/messages.ts';
import { inputsOf } from '../../policy/replay.ts';
import { establishSession } from '../../sessions/sessions.ts';
import type { DirectAnswer } from '../../sessions/sign-ins.ts';
import { markOffline, type SessionRow } from '../../store/sessions.ts';
import { rowOf } from '../clients/client-metadata.ts';
import type { Clients, OidcClient } from '../clients/clients.ts';
import type { RealmRoom } from '../room.ts';
import { requestCache } from '../storage/request-cache.ts';
import { type Binding, provedBy } from '../tokens/binding.ts';
import { findAccount } from '../tokens/claims.ts';
import { defaultResourceServer } from '../tokens/resource.ts';
import { type ClientFailures, TooMany } from '../too-many.ts';
import { beginGrant } from './grants.ts';
import { accessTokenOf, idTokenOf, parameter, Refused, refreshTokenOf } from './issue.ts';

const GRANT = 'password';
/** Keycloak takes a code by either name. */
const PARAMETERS = ['username', 'password', 'totp', 'otp', 'scope'];
const OFFLINE = 'offline_access';

interface Parts {
  room: RealmRoom;
  clients: Clients;
  failures: ClientFailures;
  /** All that the realm has. */
  scopes: readonly string[];
}

/** Registers the grant; a client may use it that has `directAccess` (client-metadata.ts). */
export function installPasswordGrant(provider: Provider, parts: Parts): void {
  provider.registerGrantType(GRANT, (ctx) => answer(parts, ctx), PARAMETERS);
}

async function answer(parts: Parts, ctx: KoaContextWithOIDC): Promise<void> {
  const { room, clients, failures } = parts;
  failures.passed(ctx);
  const row = rowOf(ctx.oidc.client);
  const client = await clients.find(row.clientId);
  if (!client) throw new errors.InvalidClient();
  const { binding } = await provedBy(room, ctx);
  // Nobody is there to be asked.
  if (row.consentRequired) throw new Refused(400, 'invalid_client', 'Client requires user consent');
  const username = parameter(ctx, 'username');
  const password = parameter(ctx, 'password');
  if (username === undefined) throw new errors.InvalidRequest('Missing parameter: username');
  if (password === undefined) throw new errors.InvalidRequest('Missing parameter: password');
  const scope = scopesOf(client, parameter(ctx, 'scope'));
  const code = parameter(ctx, 'otp') ?? parameter(ctx, 'totp');
  const signedIn = await asError(ctx, () => room.signInDirectly(ctx, room.context, { clientId: row.clientId, username, password, code }));
  if (!signedIn.ok) throw new Refused(signedIn.status, 'invalid_grant', signedIn.reason);
  await issue(parts, ctx, client, { signedIn, scope, binding });
}

/** Pauses and queues, as the library says errors. */
async function asError<T>(ctx: KoaContextWithOIDC, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (!(error instanceof AppError) || (error.status !== 429 && error.status !== 503)) throw error;
    if (error.retryAfter !== undefined) ctx.set('Retry-After', String(error.retryAfter));
    const said = inEnglish(error.said);
    throw error.status === 429 ? new TooMany(said) : new Refused(error.status, 'temporarily_unavailable', said);
  }
}

/** What the client has by default, and what was asked for besides. */
function scopesOf({ scopes: { defaults, optional } }: OidcClient, asked: string | undefined): string[] {
  const wanted = asked?.split(' ').filter(Boolean) ?? [];
  const allowed = new Set(['openid', ...defaults, ...optional]);
  const others = wanted.filter((scope) => !allowed.has(scope));
  if (others.length > 0) throw new errors.InvalidScope('Invalid scopes', others.join(' '));
  return [...new Set([...wanted, ...defaults])];
}

type SignedIn = Extract<DirectAnswer, { ok: true }>;

interface Granted {
  signedIn: SignedIn;
  scope: string[];
  binding: Binding;
}

async function issue(parts: Parts, ctx: KoaContextWithOIDC, client: OidcClient, { signedIn, scope, binding }: Granted) {
  const { room } = parts;
  const { provider } = ctx.oidc;
  const { user, decision } = signedIn;
  const authTime = Math.floor(decision.authTime / 1000);
  const how = { acr: decision.acr, amr: decision.amr, authTime };
  const account = await findAccount(parts, user.id, undefined);
  if (!account || !ctx.oidc.client) throw new Refused(400, 'invalid_grant', 'Account disabled');

  // The library keeps a session of its own, which its refresh tokens are bound to; no browser has its cookie.
  const session = new provider.Session();
  session.loginAccount({ accountId: user.id, loginTs: authTime, acr: decision.acr, amr: decision.amr });
  const row = await begin(room, ctx, session.uid, signedIn);
  const { grant, sid } = await beginGrant(room, ctx, { row: client.row, userId: user.id, sessionId: row.id, scopes: scope, instead: null });
  if (!grant) throw new Error('A grant that has just been made is gone.');
  const grantId = grant.jti;
  const { clientId } = client.row;
  session.sidFor(clientId, sid);
  session.grantIdFor(clientId, grantId);
  await session.save(room.context.realm.settings.ssoSessionMaxLifespan);
  const offline = scope.includes(OFFLINE);
  if (offline) await markOffline(room.db.knex, row.realmId, sid, room.now());

  ctx.oidc.entity('Account', account);
  ctx.oidc.entity('Grant', grant);
  const family = { accountId: user.id, grantId, gty: GRANT, sid, sessionUid: session.uid, expiresWithSession: !offline };
  // Before the access token is made: it says of the sign-in what this one does.
  const refreshToken = refreshTokenOf(ctx, family, how, scope);
  const accessToken = accessTokenOf(ctx, defaultResourceServer(parts.scopes, client.row, room.context.realm.settings), family, scope);
  Object.assign(accessToken, binding);
  // A refresh token of a client that authenticates is bound to that client (RFC 8705 section 4, RFC 9449 section 5).
  if (client.row.publicClient) Object.assign(refreshToken, binding);
  const refresh = client.row.attributes['use.refresh.tokens'] === 'false' ? undefined : await refreshToken.save();
  const access = await accessToken.save();
  const idToken = scope.includes('openid') ? await idTokenOf(ctx, { account, scope, how, sid }) : undefined;
  ctx.body = {
    access_token: access,
    expires_in: accessToken.expiration,
    ...(refresh === undefined ? {} : { refresh_token: refresh }),
    token_type: accessToken.tokenType,
    ...(idToken === undefined ? {} : { id_token: idToken }),
    scope: accessToken.scope,
  };
}

/** The session, and what is recorded of a sign-in. */
async function begin(room: RealmRoom, ctx: KoaContextWithOIDC, uid: string, signedIn: SignedIn): Promise<SessionRow> {
  const { realm, policy } = room.context;
  const { user, known, proofs, facts, decision, transaction } = signedIn;
  const now = room.now();
  const userAgent = ctx.get('user-agent') || null;
  const origin = {
    ...{ realmId: realm.id, at: now, actor: user.id, subject: user.id, clientId: ctx.oidc.client?.clientId ?? null },
    ...{ transactionId: transaction, ip: ctx.ip, userAgent },
  };
  const owned = ownedFactors(room.factors, realm.settings, known.credentials);
  const { acr, amr, rules } = decision;
  const details = { acr, amr, rules: [...rules], inputs: inputsOf(facts, { version: policy.version, owned }) };
  const session = await establishSession(room.db, {
    ...{ realmId: realm.id, settings: realm.settings, uid, isNew: true, found: undefined, userId: user.id, proofs },
    ...{ facts: { skipped: false }, remember: false, ip: ctx.ip, userAgent, now },
    claim: async (trx) => {
      await record(trx, origin, { type: 'login.ok', details });
      return true;
    },
  });
  if (!session) throw new Error('A sign-in that nobody else can claim was claimed.');
  requestCache().session = { uid, row: session };
  return session;
}
