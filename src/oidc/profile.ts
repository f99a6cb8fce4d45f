/**
 * `GET /realms/{realm}/account` as JSON: who the user of an access token is (Keycloak's account API; keycloak-js,
 * `loadUserProfile`). To a browser the same address is the account console; here nothing looks at a cookie.
 *
 * It says no more to an application than its tokens do: of the user's attributes, those that its mappers put into tokens. Profiles
 * are changed on the console's own pages, by users who have shown who they are.
 */
import type Koa from 'koa';
import type { AdapterPayload } from 'oidc-provider';
import { allowPages, answerPreflight } from '../http/cors.ts';
import { forPrograms } from '../http/errors.ts';
import { securityHeaders } from '../http/headers.ts';
import { issuerOf } from '../realms/issuer.ts';
import { appliedMappers } from '../realms/mappers/applied.ts';
import { userWith } from '../store/token-subject.ts';
import type { OidcClient } from './clients/clients.ts';
import type { OidcRealm } from './provider.ts';
import { DEFAULT_AUDIENCE } from './room.ts';
import { isBound } from './tokens/binding.ts';
import { rolesWithin } from './tokens/roles.ts';

const METHODS = ['GET', 'HEAD', 'OPTIONS'];
/** Roles of the client `account`, either of which may see the profile. */
const MAY_SEE: readonly string[] = ['view-profile', 'manage-account'];

/** Whether a request for the console's address is a program's. */
export const asksForProfile = (ctx: Koa.Context, path: string): boolean =>
  (path === '' || path === '/') && (ctx.method === 'OPTIONS' || ctx.accepts('html', 'json') === 'json');

/** What is wrong with a token (RFC 6750 section 3.1). */
interface Refusal {
  status: 401 | 403;
  error?: 'invalid_token' | 'insufficient_scope';
  description: string;
}

/** Answers for whoever shows an access token; 401 and 403 as RFC 6750 section 3.1 has them. */
export async function answerProfile(oidc: OidcRealm, ctx: Koa.Context): Promise<void> {
  forPrograms(ctx);
  ctx.set(securityHeaders({ origin: oidc.room.origin }));
  ctx.set('Cache-Control', 'no-store');
  if (ctx.method === 'OPTIONS') return answerPreflight(ctx, METHODS);
  const token = /^Bearer ([\w.~+/-]+=*)$/i.exec(ctx.get('Authorization'))?.[1];
  allowPages(ctx, token === undefined ? undefined : (await oidc.accessTokens.issuedTo(token))?.row);
  if (!METHODS.includes(ctx.method)) {
    ctx.status = 405;
    ctx.set('Allow', METHODS.join(', '));
    ctx.body = { error: 'method_not_allowed', error_description: 'The profile is only read here. Users change theirs in the account console.' };
    return;
  }
  const found = token === undefined ? NO_TOKEN : await profileOf(oidc, token);
  if ('refused' in found) refuse(oidc, ctx, found.refused);
  else ctx.body = found.profile;
}

function refuse({ room }: OidcRealm, ctx: Koa.Context, { status, error, description }: Refusal): void {
  ctx.status = status;
  const said = error === undefined ? '' : `, error="${error}", error_description="${description}"`;
  ctx.set('WWW-Authenticate', `Bearer realm="${issuerOf(room.origin, room.context.realm.name)}"${said}`);
  ctx.body = { error: error ?? 'invalid_token', error_description: description };
}

type Answer = { profile: Record<string, unknown> } | { refused: Refusal };

const unauthorized = (description: string): Answer => ({ refused: { status: 401, error: 'invalid_token', description } });
const insufficient = (description: string): Answer => ({ refused: { status: 403, error: 'insufficient_scope', description } });
const NO_TOKEN: Answer = { refused: { status: 401, description: 'send an access token as Authorization: Bearer' } };

async function profileOf(oidc: OidcRealm, value: string): Promise<Answer> {
  const { room, clients, accessTokens } = oidc;
  const token = await accessTokens.find(value, { forUserinfo: false });
  const client = token && (await clients.find(token.clientId ?? ''));
  if (!token?.accountId || !client) return unauthorized('the access token is expired, revoked, or not one of a user of this realm');
  // Whoever shows a bound token without its key may have found it (RFC 9449 section 7.2, RFC 8705 section 3).
  if (isBound(token)) return unauthorized('the access token is bound to a key, and is not taken as a bearer token');
  if (![token.aud].flat().includes(DEFAULT_AUDIENCE)) return unauthorized('the access token is not for the audience account');
  if (token.extra?.impersonator !== undefined) return insufficient('somebody acts as this user');
  const roles = await rolesWithin(room, client, token.accountId, token.scope);
  if (!roles.some(({ client: of, name }) => of === 'account' && MAY_SEE.includes(name)))
    return insufficient('the application may use neither view-profile nor manage-account of the client account');
  const found = await userWith(room.db.knex, room.context.realm.id, { id: token.accountId }, { attributes: true, groups: false });
  if (!found) return unauthorized('the user is gone');
  const { user, about } = found;
  const told = attributesTold(client, token);
  const profile = {
    id: user.id,
    username: user.username,
    firstName: user.firstName ?? undefined,
    lastName: user.lastName ?? undefined,
    email: user.email ?? undefined,
    emailVerified: user.emailVerified,
    attributes: Object.fromEntries([...about.attributes].filter(([name]) => told.has(name))),
  };
  return { profile };
}

/** Attributes that tokens of this client say something of. */
const attributesTold = (client: OidcClient, { scope }: AdapterPayload): ReadonlySet<string> =>
  new Set(
    appliedMappers(client.mappers, scope, false).flatMap(({ type, config }) =>
      type.id === 'oidc-usermodel-attribute-mapper' && config['user.attribute'] ? [config['user.attribute']] : [],
    ),
  );
