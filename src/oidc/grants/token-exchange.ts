/**
 * Token exchange (RFC 8693), for clients that an administrator allows it (Keycloak's standard token exchange).
 *
 * A client that was called with a user's access token gets one of its own for the same user, to call others with: as the user
 * (impersonation), or with an `act` claim that says who acts (delegation). It gains nothing by it: scopes are those of the token
 * that it was called with and its own; roles are those that both may be told of; how the user signed in, who acts, and until when
 * are carried over, and the realm's policy is asked as it is when the user comes by a browser.
 */
import { type Account, errors, type KoaContextWithOIDC, type Provider } from 'oidc-provider';
import { heldProofs } from '../../factors/owned.ts';
import { decide, freshProofs } from '../../policy/decide.ts';
import { requestFacts } from '../../policy/request.ts';
import { clientFacts, factsOf, knownUser } from '../../sessions/facts.ts';
import { rowOf, TOKEN_EXCHANGE } from '../clients/client-metadata.ts';
import type { Clients, OidcClient } from '../clients/clients.ts';
import { impersonatorClaim, whatIsDue } from '../impersonated.ts';
import { DEFAULT_AUDIENCE, type RealmRoom } from '../room.ts';
import { requestCache } from '../storage/request-cache.ts';
import { findAccount } from '../tokens/claims.ts';
import { refuseProof } from '../tokens/dpop.ts';
import { mapped } from '../tokens/mapped.ts';
import { defaultResourceServer } from '../tokens/resource.ts';
import { type Acting, actingOf, checkMayAct, mayRefresh, type Subject, subjectOf, TOKEN_TYPES } from './exchange-tokens.ts';
import { type Actor, type Exchange, exchangeClaims } from './exchanged.ts';
import { joinedGrant } from './grants.ts';
import { accessTokenOf, type Family, type HowSignedIn, idTokenOf, parameter, Refused, refreshTokenOf } from './issue.ts';

const PARAMETERS = [
  'subject_token',
  'subject_token_type',
  'actor_token',
  'actor_token_type',
  'requested_token_type',
  'scope',
  'audience',
  'resource',
];
/** Of Keycloak's older exchange: any user by name, and tokens of other issuers. */
const LEFT_OUT = ['requested_subject', 'requested_issuer', 'subject_issuer'];
/** May be there more than once (RFC 8693 section 2.1). */
const REPEATED = ['audience', 'resource'];
const OFFLINE = 'offline_access';

interface Parts {
  room: RealmRoom;
  clients: Clients;
  /** All that the realm has. */
  scopes: readonly string[];
}

export function installTokenExchange(provider: Provider, parts: Parts): void {
  provider.registerGrantType(
    TOKEN_EXCHANGE,
    async (ctx) => {
      try {
        await answer(parts, ctx);
      } catch (error) {
        if (error instanceof errors.OIDCProviderError) recordRefusal(parts.room, ctx, error);
        throw error;
      }
    },
    [...PARAMETERS, ...LEFT_OUT],
    REPEATED,
  );
}

/** What is asked for, and what of it may be. */
interface Wanted {
  type: (typeof TOKEN_TYPES)[keyof typeof TOKEN_TYPES];
  scope: string[];
  audience: string[];
}

async function answer(parts: Parts, ctx: KoaContextWithOIDC): Promise<void> {
  const { room, clients } = parts;
  const client = await clients.find(rowOf(ctx.oidc.client).clientId);
  if (!client) throw new errors.InvalidClient();
  checkRequest(ctx, client);
  const acting = await actingOf(room, ctx);
  const subject = await subjectOf(room, ctx);
  checkMayAct(ctx, subject, acting);
  const { session, token, before, userId } = subject;
  Object.assign(requestCache(), { session: { uid: session.uid, row: session } });
  await checkPolicy(room, client, subject);

  const wanted = wantedOf(ctx, client, subject);
  const account = await findAccount(parts, userId, { iat: token.iat });
  if (!account) throw new errors.InvalidRequest('subject_token is not an access token of this realm that is good now');
  const act = actOf(before, acting);
  const exchange: Exchange = {
    from: [{ azp: token.clientId ?? '', sid: token.sid ?? '', jti: token.jti }, ...(before?.from ?? [])],
    ...(act ? { act } : {}),
  };
  ctx.oidc.entity('Account', account);
  requestCache().exchange = exchange;
  requestCache().signedIn = { ...howOf(subject), sid: token.sid };
  await checkAudience(parts, client, account, wanted);
  if (wanted.audience.length > 0) requestCache().exchange = { ...exchange, audience: wanted.audience };
  await issue(parts, ctx, client, { subject, acting, wanted, account });
  const details = {
    ...{ from: token.clientId ?? '', mode: acting ? ('delegation' as const) : ('impersonation' as const) },
    ...{ scope: wanted.scope, audience: wanted.audience },
  };
  room.batch.add(originOf(room, ctx, acting?.act.sub ?? session.facts.impersonator?.id ?? userId, userId), { type: 'token.exchange', details });
}

/** What can be said of a request before any token is looked at. */
function checkRequest(ctx: KoaContextWithOIDC, { row }: OidcClient): void {
  // Nobody is there to be asked.
  if (row.consentRequired) throw new Refused(400, 'invalid_client', 'Client requires user consent');
  refuseProof(ctx);
  if (ctx.oidc.client?.tlsClientCertificateBoundAccessTokens === true)
    throw new errors.InvalidRequest('exchanged tokens are bound to no certificate: have a client exchange whose tokens need none');
  for (const name of LEFT_OUT)
    if (parameter(ctx, name) !== undefined)
      throw new errors.InvalidRequest(`${name} is not offered: a token is exchanged for one about the same user, and is of this realm`);
  if (ctx.oidc.params?.resource !== undefined)
    throw new errors.InvalidTarget('resource is not offered with token exchange: name clients by audience');
}

/** The level that the realm asks of this client's users is asked here too, of what the token says was proved. */
async function checkPolicy(room: RealmRoom, { row }: OidcClient, { token, session, userId }: Subject): Promise<void> {
  const now = room.now();
  const known = await knownUser(room.db.knex, room.context, { userId }, now);
  const { client } = clientFacts(room.context.policy, row.clientId, row.attributes);
  const said: unknown = token.extra?.amr;
  const fresh = heldProofs(freshProofs(session.proofs, now, session.lastSeenAt), known.credentials);
  // What was proved after the sign-in that the token is of is no part of it.
  const proofs = Array.isArray(said) ? fresh.filter(({ amr }) => amr.every((method) => said.includes(method))) : fresh;
  const circumstances = { skipped: session.facts.skipped, ...(session.facts.impersonator ? { impersonatedAt: session.createdAt } : {}) };
  const decision = decide({ ...factsOf(room.factors, room.context, known, { client, ...requestFacts({}, now) }, circumstances), now, proofs });
  if (decision.ask === 'nothing' && whatIsDue(room, { session, known }) === undefined) return;
  const why = decision.ask === 'unmet' ? decision.reason : 'The user has to sign in again, with more.';
  throw new errors.InvalidRequest(`the sign-in behind subject_token is not enough for this client. ${why}`);
}

function wantedOf(ctx: KoaContextWithOIDC, { scopes }: OidcClient, { token }: Subject): Wanted {
  const type = parameter(ctx, 'requested_token_type') ?? TOKEN_TYPES.access;
  if (type !== TOKEN_TYPES.access && type !== TOKEN_TYPES.id && type !== TOKEN_TYPES.refresh)
    throw new errors.InvalidRequest(`requested_token_type must be ${TOKEN_TYPES.access}, ${TOKEN_TYPES.id} or ${TOKEN_TYPES.refresh}`);
  if (type === TOKEN_TYPES.refresh && !mayRefresh(ctx)) throw new errors.InvalidRequest('this client gets no refresh tokens by token exchange');
  const scope = scopeOf(parameter(ctx, 'scope'), { theirs: token.scopes, ours: new Set(['openid', ...scopes.defaults, ...scopes.optional]) });
  if (type === TOKEN_TYPES.id && !scope.includes('openid'))
    throw new errors.InvalidScope('an ID token needs the scope openid, of subject_token too', 'openid');
  const named = ctx.oidc.params?.audience;
  const audience = [named ?? []].flat().filter((one): one is string => typeof one === 'string' && one !== '');
  return { type, scope, audience: [...new Set(audience)] };
}

/** What the token has that this client may have; asking narrows it. Offline access is the user's to give. */
function scopeOf(asked: string | undefined, { theirs, ours }: { theirs: ReadonlySet<string>; ours: ReadonlySet<string> }): string[] {
  const common = [...theirs].filter((name) => name !== OFFLINE && ours.has(name));
  if (asked === undefined) return common;
  const wanted = [...new Set(asked.split(' ').filter(Boolean))];
  const others = wanted.filter((name) => !common.includes(name));
  if (others.length > 0) throw new errors.InvalidScope('subject_token or this client does not have what is asked for', others.join(' '));
  return wanted;
}

/** Whom the token may be for is what this client's mappers say, and the request chooses among those. */
async function checkAudience({ room, clients }: Parts, client: OidcClient, account: Account, { scope, audience }: Wanted): Promise<void> {
  const { user, exchange, signedIn } = requestCache();
  if (audience.length === 0 || user?.id !== account.accountId) return;
  const said = await mapped(room, { client, user, scope: scope.join(' '), signIn: signedIn, exchange, clients }, 'access');
  const available = new Set([DEFAULT_AUDIENCE, ...said.audience]);
  const others = audience.filter((name) => !available.has(name));
  if (others.length > 0)
    throw new errors.InvalidTarget(
      `Requested audience not available: ${others.join(' ')}. Audience mappers, and roles of the user at that client, make it so`,
    );
}

/** RFC 8693 section 4.1: who acts now, for whom it acted before. Without an actor, what was said before goes on to be said. */
const actOf = (before: Exchange | undefined, acting: Acting | undefined): Actor | undefined =>
  acting ? { ...acting.act, ...(before?.act ? { act: before.act } : {}) } : before?.act;

/** As the token says it: neither what the session has proved since, nor what it has lost. */
function howOf({ token: { extra } }: Subject): HowSignedIn {
  const { acr, amr, auth_time: authTime } = extra ?? {};
  return {
    acr: typeof acr === 'string' ? acr : undefined,
    amr: Array.isArray(amr) ? amr.filter((method) => typeof method === 'string') : undefined,
    authTime: typeof authTime === 'number' ? authTime : undefined,
  };
}

interface Granted {
  subject: Subject;
  acting: Acting | undefined;
  wanted: Wanted;
  account: Account;
}

async function issue(parts: Parts, ctx: KoaContextWithOIDC, client: OidcClient, { subject, acting, wanted, account }: Granted): Promise<void> {
  const { room } = parts;
  const { session } = subject;
  const { type, scope } = wanted;
  // All that it may have: what a token of it says is said in that token, and of many exchanges at once none loses its scopes.
  const scopes = [...new Set(['openid', ...client.scopes.defaults, ...client.scopes.optional])].filter((name) => name !== OFFLINE);
  const { grant, sid } = await joinedGrant(room, ctx, { row: client.row, userId: session.userId, sessionId: session.id, scopes });
  if (!grant) throw new errors.InvalidRequest('the session of subject_token has just ended at this client');
  ctx.oidc.entity('Grant', grant);
  const family: Family = {
    accountId: account.accountId,
    grantId: grant.jti,
    gty: TOKEN_EXCHANGE,
    sid,
    sessionUid: session.uid,
    expiresWithSession: true,
  };
  // No longer than what it was made of.
  const seconds = Math.floor(room.now() / 1000);
  const until = Math.max(seconds + 1, Math.min(subject.token.exp ?? 0, acting?.exp ?? Number.POSITIVE_INFINITY));
  const access = accessTokenOf(ctx, defaultResourceServer(parts.scopes, client.row, room.context.realm.settings), family, scope);
  Object.assign(access, { expiresIn: Math.min(access.expiration, until - seconds) });
  const how = howOf(subject);
  const common = { issued_token_type: type, scope: access.scope ?? '' };
  if (type === TOKEN_TYPES.id) {
    const { exchange } = requestCache();
    const more = { ...(exchange ? exchangeClaims(exchange) : {}), ...impersonatorClaim() };
    const token = await idTokenOf(ctx, { account, scope, how, sid, more, expiresAt: seconds + access.expiration });
    ctx.body = { access_token: token, ...common, token_type: 'N_A', expires_in: access.expiration };
    return;
  }
  const refresh = type === TOKEN_TYPES.refresh ? await refreshToken(ctx, family, how, scope) : undefined;
  ctx.body = {
    access_token: await access.save(),
    ...common,
    token_type: access.tokenType,
    expires_in: access.expiration,
    ...(refresh === undefined ? {} : { refresh_token: refresh }),
  };
}

/** A refresh token hangs on the library's session too, which is told of this client. */
async function refreshToken(ctx: KoaContextWithOIDC, family: Family, how: HowSignedIn, scope: string[]): Promise<string> {
  const clientId = ctx.oidc.client?.clientId ?? '';
  const session = await ctx.oidc.provider.Session.findByUid(family.sessionUid);
  if (!session) throw new errors.InvalidRequest('the session of subject_token has just ended');
  session.sidFor(clientId, family.sid);
  session.grantIdFor(clientId, family.grantId);
  await session.save(session.remainingTTL);
  return refreshTokenOf(ctx, family, how, scope).save();
}

const originOf = (room: RealmRoom, ctx: KoaContextWithOIDC, actor: string | null, subject: string | null) => ({
  ...{ realmId: room.context.realm.id, at: room.now(), actor, subject },
  ...{ clientId: ctx.oidc.client?.clientId ?? null, ip: ctx.ip, userAgent: ctx.get('user-agent') || null },
});

/**
 * Recorded, and not counted as a failure of the client: a signed token is not guessed, and whoever sends rubbish to an
 * application would otherwise shut it out here.
 */
function recordRefusal(room: RealmRoom, ctx: KoaContextWithOIDC, error: errors.OIDCProviderError): void {
  const reason = error.error_description ?? error.error;
  room.batch.add(originOf(room, ctx, null, null), { type: 'token.exchange.refused', details: { reason } });
}
