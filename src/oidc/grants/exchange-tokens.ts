/** The tokens that a token exchange is asked with: whose they are, whether they stand, and whether this client may use them. */
import { type AccessToken, type ClientCredentials, errors, type KoaContextWithOIDC } from 'oidc-provider';
import { isRecord } from '../../realms/mappers/claim.ts';
import { isAlive } from '../../sessions/lifetimes.ts';
import { liveSessionBySid, type SessionRow } from '../../store/sessions.ts';
import { userWith } from '../../store/token-subject.ts';
import { isOn, rowOf } from '../clients/client-metadata.ts';
import type { RealmRoom } from '../room.ts';
import { requestCache } from '../storage/request-cache.ts';
import { type Binding, isProved, type Proved } from '../tokens/binding.ts';
import { addressesOf } from '../tokens/resource.ts';
import { type Actor, type Exchange, MOST_EXCHANGES } from './exchanged.ts';
import { parameter } from './issue.ts';

/**
 * Ours: a client that looks at the proofs of those who call it may exchange tokens that are bound to their keys, which it cannot
 * prove itself; what it gets is bound to its own. For others, whoever stole such a token could have it made into one of theirs.
 */
const VOUCHES = 'cardea.token.exchange.bound';

const TYPE = 'urn:ietf:params:oauth:token-type:';
/** RFC 8693 section 3. */
export const TOKEN_TYPES = { access: `${TYPE}access_token`, refresh: `${TYPE}refresh_token`, id: `${TYPE}id_token`, jwt: `${TYPE}jwt` } as const;

/** The token that is exchanged. */
export interface Subject {
  token: AccessToken;
  userId: string;
  /** The session that it is of, which is alive. */
  session: SessionRow;
  /** What it came from itself. */
  before: Exchange | undefined;
  /** It is bound to what this request does not prove; the client is trusted to have seen the proof. */
  vouched: boolean;
}

/** Who acts from now on: what the `act` claim will say, and until when the actor's own token is good, in seconds since the epoch. */
export interface Acting {
  act: Actor;
  exp: number;
  token: Binding;
}

/** RFC 8693 section 2.2.2: a token that is not valid, or not acceptable, is an invalid request. */
const unacceptable = (why: string): Error => new errors.InvalidRequest(why);

const notGood = (name: string): Error => unacceptable(`${name} is not an access token of this realm that is good now`);

/** @throws invalid_request, saying which parameter to change; of a token that does not stand it is not said why */
export async function subjectOf(room: RealmRoom, ctx: KoaContextWithOIDC, proved: Proved): Promise<Subject> {
  const token = await shownToken(ctx, 'subject_token');
  const { before, session } = await behind(room, token);
  const row = rowOf(ctx.oidc.client);
  if (!token || !session) throw notGood('subject_token');
  const vouched = !isProved(proved, token);
  if (vouched && !isOn(row, VOUCHES))
    throw unacceptable('subject_token is bound to a key: send a DPoP proof of that key, or come with that certificate');
  const audience = [token.aud].flat();
  const names = [row.clientId, ...addressesOf(row)];
  if (token.clientId !== row.clientId && !names.some((name) => audience.includes(name)))
    throw unacceptable('this client is not in the audience of subject_token; an audience mapper of the client that it is of adds it');
  if ((before?.from.length ?? 0) >= MOST_EXCHANGES)
    throw unacceptable(`subject_token was exchanged ${MOST_EXCHANGES} times, and no token is more often`);
  return { token, userId: token.accountId, session, before, vouched };
}

/** Who acts, where there is an `actor_token`; that is one of this client itself, for its service account or a user of its. */
export async function actingOf(room: RealmRoom, ctx: KoaContextWithOIDC, proved: Proved): Promise<Acting | undefined> {
  if (parameter(ctx, 'actor_token') === undefined) {
    if (parameter(ctx, 'actor_token_type') !== undefined) throw unacceptable('actor_token_type is for a request with an actor_token');
    return undefined;
  }
  const ofUser = await shownToken(ctx, 'actor_token');
  if (!ofUser) return actingService(room, ctx, proved);
  const { before, session } = await behind(room, ofUser);
  if (!session) throw notGood('actor_token');
  checkActor(ctx, ofUser, proved);
  // Who acts has signed in: not somebody for whom another one acts.
  if (before || session.facts.impersonator) throw unacceptable('actor_token was itself made for somebody who acts for another');
  return { act: { sub: ofUser.accountId, client_id: rowOf(ctx.oidc.client).clientId, sid: ofUser.sid }, exp: ofUser.exp ?? 0, token: ofUser };
}

async function actingService(room: RealmRoom, ctx: KoaContextWithOIDC, proved: Proved): Promise<Acting> {
  const { clientId, realmId, id } = rowOf(ctx.oidc.client);
  const token = await ctx.oidc.provider.ClientCredentials.find(parameter(ctx, 'actor_token') ?? '');
  if (!token?.isValid) throw notGood('actor_token');
  checkActor(ctx, token, proved);
  const account = await userWith(room.db.knex, realmId, { serviceAccountOf: id }, { attributes: false, groups: false });
  if (!account?.user.enabled) throw notGood('actor_token');
  return { act: { sub: account.user.id, client_id: clientId }, exp: token.exp ?? 0, token };
}

/** A client speaks for itself and for those who are signed in to it, and presents nobody else. */
function checkActor(ctx: KoaContextWithOIDC, token: AccessToken | ClientCredentials, proved: Proved): void {
  if (token.clientId !== rowOf(ctx.oidc.client).clientId) throw unacceptable('actor_token is of another client');
  if (!isProved(proved, token)) throw unacceptable('actor_token is bound to a key: send a DPoP proof of that key, or come with that certificate');
}

/** Reads a user's access token, of whichever format. */
async function shownToken(ctx: KoaContextWithOIDC, name: 'subject_token' | 'actor_token'): Promise<AccessToken | undefined> {
  const value = parameter(ctx, name);
  const type = parameter(ctx, `${name}_type`);
  if (value === undefined) throw unacceptable(`Missing parameter: ${name}`);
  if (type === undefined) throw unacceptable(`Missing parameter: ${name}_type`);
  if (type !== TOKEN_TYPES.access && type !== TOKEN_TYPES.jwt)
    throw unacceptable(`${name}_type must be ${TOKEN_TYPES.access}: what else there is of tokens opens nothing, and is exchanged for nothing`);
  // What an earlier token of this request has left there is not about this one.
  requestCache().exchange = undefined;
  const token = await ctx.oidc.provider.AccessToken.find(value);
  return token?.isValid ? token : undefined;
}

/** What a token came from, and its session; none where that is over, as it may be of an offline token. */
async function behind(room: RealmRoom, token: AccessToken | undefined): Promise<{ before: Exchange | undefined; session: SessionRow | undefined }> {
  const before = requestCache().exchange;
  const { realm } = room.context;
  const row = token?.sid === undefined ? undefined : await liveSessionBySid(room.db.knex, realm.id, token.sid, room.now());
  return { before, session: row && isAlive(row, realm.settings, room.now()) ? row : undefined };
}

/**
 * Whether the mode is allowed to this client, and the subject's own `may_act` (RFC 8693 section 4.4) names who acts, where it
 * has one: it narrows who may, and opens nothing.
 */
export function checkMayAct(ctx: KoaContextWithOIDC, { token }: Subject, acting: Acting | undefined): void {
  const row = rowOf(ctx.oidc.client);
  if (row.attributes[`cardea.token.exchange.${acting ? 'delegation' : 'impersonation'}`] === 'false')
    throw unacceptable(
      acting ? 'this client may not be an actor for others: leave actor_token out' : 'this client has to say who acts: send an actor_token',
    );
  const mayAct: unknown = token.extra?.may_act;
  if (mayAct === undefined) return;
  const party: Record<string, unknown> = { client_id: row.clientId, azp: row.clientId, ...(acting ? { sub: acting.act.sub } : {}) };
  const named = isRecord(mayAct) ? Object.entries(mayAct) : [];
  if (named.length === 0 || !named.every(([name, value]) => value !== undefined && party[name] === value))
    throw unacceptable('subject_token names who may act for its user, and it is somebody else');
}

/** Whether a token exchange of this client may bring a refresh token (both of Keycloak's switches). */
export const mayRefresh = (ctx: KoaContextWithOIDC): boolean => {
  const row = rowOf(ctx.oidc.client);
  return (
    row.attributes['standard.token.exchange.enableRefreshRequestedTokenType'] === 'SAME_SESSION' && row.attributes['use.refresh.tokens'] !== 'false'
  );
};
