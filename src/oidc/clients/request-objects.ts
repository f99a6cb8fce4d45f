/**
 * Signed requests (RFC 9101, OpenID Connect Core 1.0 section 6): what a client's requests may be signed with, and what we
 * ask of them beyond the library, which has compared issuer, audience and client, and takes nothing from beside them.
 *
 * By value, pushed, or fetched from an address of the client's (request-uris.ts). One that has a `jti` is good once. One that
 * is fetched and has none need not end: its owner ends it by no longer serving it.
 */
import { type Configuration, errors, type KoaContextWithOIDC } from 'oidc-provider';
import { REQUEST_ALGORITHM, REQUEST_BY_REFERENCE, REQUEST_REQUIRED } from '../../realms/client-credentials.ts';
import { rowOf } from './client-metadata.ts';
import { isFetched } from './request-uris.ts';

/** Seconds that a request object may be good for; a person is not asked to wait longer for the page that it leads to. */
const LONGEST = 3_600;

/** What is to be spent of a request once its signature was verified. */
const spendable = new WeakMap<object, { issuer: string; jti: string; until: number }>();

interface Rules {
  now: () => number;
  /** Seconds. */
  tolerance: number;
}

/** The library's `requestObjects`. */
export const requestObjectsOf = (rules: Rules): NonNullable<NonNullable<Configuration['features']>['requestObjects']> => ({
  enabled: true,
  assertJwtClaimsAndHeader: (ctx, claims, header, client) => checkRequestObject(rules, ctx, { claims, header, client }),
});

function checkRequestObject(
  { now, tolerance }: Rules,
  ctx: KoaContextWithOIDC,
  request: { claims: Readonly<Record<string, unknown>>; header: Readonly<Record<string, unknown>>; client: { [key: string]: unknown } },
): void {
  const { claims, header, client } = request;
  const { clientId, attributes } = rowOf(client);
  // It was checked when it was pushed, and one that was pushed is used once.
  if (ctx.oidc.entities.PushedAuthorizationRequest !== undefined && ctx.oidc.route !== 'pushed_authorization_request') return;
  const { jti, aud, sub, client_id: named } = claims;
  const refuse = (what: string): never => {
    throw new errors.InvalidRequestObject(what);
  };
  if (attributes[REQUEST_REQUIRED] === REQUEST_BY_REFERENCE && ctx.oidc.route === 'authorization' && !isFetched(ctx))
    refuse('this client sends its requests by reference; send request_uri, or have its request.object.required changed');
  const isElsewhere = ctx.oidc.route === 'backchannel_authentication';
  if (isElsewhere) checkElsewhere(claims, header);
  const only = isElsewhere ? 'any' : (attributes[REQUEST_ALGORITHM] ?? 'any');
  if (only !== 'any' && header.alg !== only) refuse(`the request object has to be signed with ${only}`);
  // All that is not in it is dropped, this too.
  if (named !== clientId && !(isElsewhere && named === undefined)) refuse('the client_id in the request object is not the one of the request');
  if (header.crit !== undefined) refuse('the header of the request object has a crit');
  if (Array.isArray(aud) && aud.length !== 1) refuse('the aud of the request object names more than one audience');
  // An assertion by which a client authenticates is no request (RFC 9101 section 10.8).
  if (sub !== undefined && sub === clientId) refuse('the request object has the client_id as its sub, as an assertion has');
  const end = endOf({ seconds: Math.floor(now() / 1000), tolerance }, claims, isFetched(ctx));
  if (typeof jti === 'string' && jti !== '') spendable.set(ctx.oidc, { issuer: `request ${clientId}`, jti, until: end + tolerance });
}

/** A signed authentication request of CIBA (Core 1.0 section 7.1.1). @throws 400 */
function checkElsewhere(claims: Readonly<Record<string, unknown>>, { alg }: Readonly<Record<string, unknown>>): void {
  if (String(alg).startsWith('HS'))
    throw new errors.InvalidRequestObject('the request has to be signed with a key of the client, and not with its secret');
  const missing = ['exp', 'iat', 'nbf', 'jti'].filter((name) => claims[name] === undefined);
  if (missing.length > 0) throw new errors.InvalidRequestObject(`the signed request has no ${missing.join(', no ')}`);
}

/**
 * Until when a request object is good, in seconds since the epoch.
 * @throws 400 when it is over, or good for too long
 */
function endOf(
  { seconds, tolerance }: { seconds: number; tolerance: number },
  { exp, iat, jti }: Readonly<Record<string, unknown>>,
  fetched: boolean,
): number {
  const refuse = (what: string): never => {
    throw new errors.InvalidRequestObject(what);
  };
  // A file that stays where it is. Of its exp the library has seen that it is not over.
  const stays = fetched && jti === undefined;
  const end =
    typeof exp === 'number'
      ? exp
      : stays
        ? seconds + LONGEST
        : typeof iat === 'number'
          ? iat + LONGEST
          : refuse('the request object has neither exp nor iat');
  if (typeof iat === 'number' && iat > seconds + tolerance) refuse('the iat of the request object is not in the past');
  if (end <= seconds - tolerance) refuse('the request object is over');
  if (end > seconds + LONGEST + tolerance && !stays) refuse(`the exp of the request object is more than ${LONGEST} seconds away`);
  return end;
}

/**
 * The library's last word on a request before anybody is asked anything. Spends the request object of one whose signature was verified: whoever sees its address, in a log or a history,
 * begins nothing with it.
 * @throws 400 when it was used before
 */
export async function spendRequestObject(ctx: KoaContextWithOIDC): Promise<void> {
  const found = spendable.get(ctx.oidc);
  if (!found) return;
  spendable.delete(ctx.oidc);
  const { issuer, jti, until } = found;
  if (!(await ctx.oidc.provider.ReplayDetection.unique(issuer, jti, until)))
    throw new errors.InvalidRequestObject('the request object was used before');
}
