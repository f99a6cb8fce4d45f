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
import type { OidcClient } from '../clients/clients.ts';
import { impersonatorClaim, whatIsDue } from '../impersonated.ts';
import type { RealmRoom } from '../room.ts';
import { requestCache } from '../storage/request-cache.ts';
import { type Binding, bindingOf, isBound, provedBy } from '../tokens/binding.ts';
import { findAccount } from '../tokens/claims.ts';
import { audienceFor, OFFLINE, type Parts, type Wanted, wantedOf } from './exchange-targets.ts';
import { type Acting, actingOf, checkMayAct, type Subject, subjectOf, TOKEN_TYPES } from './exchange-tokens.ts';
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

/** Registers the grant; what it refuses is recorded. */
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

async function answer(parts: Parts, ctx: KoaContextWithOIDC): Promise<void> {
  const { room, clients } = parts;
  const client = await clients.find(rowOf(ctx.oidc.client).clientId);
  if (!client) throw new errors.InvalidClient();
  checkRequest(ctx, client);
  const proved = await provedBy(room, ctx);
  const acting = await actingOf(room, ctx, proved);
  const subject = await subjectOf(room, ctx, proved);
  checkMayAct(ctx, subject, acting);
  const shown = [subject.token, acting?.token ?? {}];
  const binding = bindingOf(proved, shown);
  const { session, token, before, userId } = subject;
  Object.assign(requestCache(), { session: { uid: session.uid, row: session } });
  await checkPolicy(room, client, subject);

  const wanted = await wantedOf(parts, ctx, client, subject);
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
  const audience = await audienceFor(parts, client, account, wanted);
  if (audience.length > 0) requestCache().exchange = { ...exchange, audience };
  await issue(parts, ctx, client, { subject, acting, wanted, account, binding, staysBound: shown.some(isBound) });
  const details = {
    ...{ from: token.clientId ?? '', mode: acting ? ('delegation' as const) : ('impersonation' as const) },
    ...{ scope: wanted.scope, audience, vouched: subject.vouched },
  };
  room.batch.add(originOf(room, ctx, acting?.act.sub ?? session.facts.impersonator?.id ?? userId, userId), { type: 'token.exchange', details });
}

/** What can be said of a request before any token is looked at. */
function checkRequest(ctx: KoaContextWithOIDC, { row }: OidcClient): void {
  // Nobody is there to be asked.
  if (row.consentRequired) throw new Refused(400, 'invalid_client', 'Client requires user consent');
  for (const name of LEFT_OUT)
    if (parameter(ctx, name) !== undefined)
      throw new errors.InvalidRequest(`${name} is not offered: a token is exchanged for one about the same user, and is of this realm`);
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
  /** What the tokens are bound to. */
  binding: Binding;
  /** Made of a token that is bound: nothing that came of it is refreshed into one that is not. */
  staysBound: boolean;
}

async function issue({ room }: Parts, ctx: KoaContextWithOIDC, client: OidcClient, granted: Granted): Promise<void> {
  const { subject, acting, wanted, account, binding, staysBound } = granted;
  const { session } = subject;
  const { type, scope, resource, server } = wanted;
  // The grant is to have these scopes at that resource server too.
  Object.assign(ctx.oidc.resourceServers ?? {}, { [resource]: new ctx.oidc.provider.ResourceServer(resource, server) });
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
  const access = accessTokenOf(ctx, server, family, scope, resource);
  Object.assign(access, binding, { expiresIn: Math.min(access.expiration, until - seconds) });
  const how = howOf(subject);
  const common = { issued_token_type: type, scope: access.scope ?? '' };
  if (type === TOKEN_TYPES.id) {
    const { exchange } = requestCache();
    const more = { ...(exchange ? exchangeClaims(exchange) : {}), ...impersonatorClaim() };
    const token = await idTokenOf(ctx, { account, scope, how, sid, more, expiresAt: seconds + access.expiration });
    ctx.body = { access_token: token, ...common, token_type: 'N_A', expires_in: access.expiration };
    return;
  }
  const refresh =
    type === TOKEN_TYPES.refresh ? await refreshToken(ctx, family, { how, scope, resource, binding: staysBound ? binding : {} }) : undefined;
  ctx.body = {
    access_token: await access.save(),
    ...common,
    token_type: access.tokenType,
    expires_in: access.expiration,
    ...(refresh === undefined ? {} : { refresh_token: refresh }),
  };
}

interface Refreshed {
  how: HowSignedIn;
  scope: string[];
  resource: string;
  binding: Binding;
}

/** A refresh token hangs on the library's session too, which is told of this client. */
async function refreshToken(ctx: KoaContextWithOIDC, family: Family, { how, scope, resource, binding }: Refreshed): Promise<string> {
  const clientId = ctx.oidc.client?.clientId ?? '';
  const session = await ctx.oidc.provider.Session.findByUid(family.sessionUid);
  if (!session) throw new errors.InvalidRequest('the session of subject_token has just ended');
  session.sidFor(clientId, family.sid);
  session.grantIdFor(clientId, family.grantId);
  await session.save(session.remainingTTL);
  return Object.assign(refreshTokenOf(ctx, family, how, scope, resource), binding).save();
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
  const reason = error.error_detail ?? error.error_description ?? error.error;
  room.batch.add(originOf(room, ctx, null, null), { type: 'token.exchange.refused', details: { reason } });
}
