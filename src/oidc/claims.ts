/** What tokens and userinfo say: claims about the user by scope, and how the user signed in. */
import type { Account, AccountClaims, JWTStructured, KoaContextWithOIDC } from 'oidc-provider';
import { serviceAccountUser, type UserRow, userById } from '../store/users.ts';
import { type Clients, rowOf } from './clients.ts';
import { requestCache } from './request-cache.ts';
import { roleClaims } from './roles.ts';
import type { RealmRoom } from './room.ts';

/** Claims behind each scope (OpenID Connect Core 1.0 section 5.4). Scope `openid` is in every token. */
export const CLAIMS_BY_SCOPE = {
  openid: ['sub', 'acr', 'amr', 'auth_time', 'sid', 'azp', 'typ'],
  profile: ['name', 'given_name', 'family_name', 'preferred_username', 'updated_at'],
  email: ['email', 'email_verified'],
} as const;

/** The library's `findAccount`: a user who is there and switched on. Tokens from before `notBefore` are void. */
export async function findAccount(room: RealmRoom, sub: string, token: { iat?: number } | undefined): Promise<Account | undefined> {
  const cache = requestCache();
  const user = cache.user?.id === sub ? cache.user : await userById(room.db.knex, room.context.realm.id, sub);
  cache.user = user;
  if (!user?.enabled || user.serviceAccountOf !== null) return undefined;
  if (token?.iat !== undefined && token.iat * 1000 < user.notBefore) return undefined;
  return {
    accountId: user.id,
    user,
    claims: (use, scope) => accountClaims(user, use, scope),
  };
}

function accountClaims(user: UserRow, use: string, scope: string): AccountClaims {
  return { sub: user.id, ...userClaims(user, scope.split(' ')), ...(use === 'id_token' ? { typ: 'ID' } : {}) };
}

/** Claims about a user that these scopes open. */
export function userClaims(user: UserRow, scopes: readonly string[]): Record<string, unknown> {
  const name = [user.firstName, user.lastName].filter(Boolean).join(' ');
  return {
    ...(scopes.includes('profile')
      ? {
          preferred_username: user.username,
          ...(name ? { name } : {}),
          ...(user.firstName ? { given_name: user.firstName } : {}),
          ...(user.lastName ? { family_name: user.lastName } : {}),
          updated_at: Math.floor(user.updatedAt / 1000),
        }
      : {}),
    ...(scopes.includes('email') ? { ...(user.email ? { email: user.email } : {}), email_verified: user.emailVerified } : {}),
  };
}

/** The library's `extraTokenClaims`: what an access token says besides the registered claims. */
export function accessTokenClaims(
  ctx: KoaContextWithOIDC,
  token: { kind: string; clientId?: string | undefined; scope?: string | undefined; sid?: string },
): Record<string, unknown> {
  const client = ctx.oidc.client;
  const row = client && rowOf(client);
  const common = {
    typ: 'Bearer',
    azp: token.clientId,
    ...(row && row.webOrigins.length > 0 ? { 'allowed-origins': webOriginsOf(row) } : {}),
  };
  if (token.kind !== 'AccessToken') return common;
  const source = ctx.oidc.entities.AuthorizationCode ?? ctx.oidc.entities.RefreshToken;
  const user = accountUser(ctx.oidc.account);
  return {
    ...common,
    sid: token.sid,
    ...(source ? { acr: source.acr, amr: source.amr, auth_time: source.authTime } : {}),
    ...(user ? userClaims(user, token.scope?.split(' ') ?? []) : {}),
  };
}

/** The library's JWT customizer: Keycloak's header, the roles, and the service account as the subject of its own tokens. */
export async function customizeJwt(
  { room, clients }: { room: RealmRoom; clients: Clients },
  ctx: KoaContextWithOIDC,
  token: { kind: string; accountId?: string | undefined; scope?: string | undefined },
  jwt: JWTStructured,
): Promise<void> {
  // Common resource servers (Spring's default decoder) take `JWT` or nothing; the library would write at+jwt.
  jwt.header = { ...jwt.header, typ: 'JWT' };
  if (!ctx.oidc.client) return;
  const row = rowOf(ctx.oidc.client);
  let subject = token.accountId;
  if (token.kind === 'ClientCredentials') {
    const user = await serviceAccountUser(room.db.knex, row.realmId, row.id);
    if (!user?.enabled) throw new Error(`Client ${row.clientId} has no service account.`);
    Object.assign(jwt.payload, { sub: user.id, preferred_username: user.username });
    subject = user.id;
  }
  const client = await clients.find(row.clientId);
  if (client && subject !== undefined) Object.assign(jwt.payload, await roleClaims(room, client, subject, token.scope));
}

/** The origins from which a client's pages may call; `+` stands for those of its redirect URIs. */
export function webOriginsOf(row: { webOrigins: string[]; redirectUris: string[] }): string[] {
  const origins = row.webOrigins.flatMap((origin) =>
    origin === '+' ? row.redirectUris.flatMap((uri) => (URL.canParse(uri) ? [new URL(uri).origin] : [])) : [origin],
  );
  return [...new Set(origins.filter((origin) => origin !== 'null'))];
}

function accountUser(account: Account | undefined): UserRow | undefined {
  const user = account?.user;
  return isUser(user) ? user : undefined;
}

function isUser(value: unknown): value is UserRow {
  return typeof value === 'object' && value !== null && 'username' in value && 'realmId' in value;
}
