/**
 * What grants of our own make their tokens with. The library makes those of its own grants itself, from a code or a refresh
 * token; the password grant and token exchange have neither.
 */
import { type AccessToken, type Account, errors, type KoaContextWithOIDC, type RefreshToken, type ResourceServer } from 'oidc-provider';
import { DEFAULT_RESOURCE } from '../room.ts';

/** An error of the token endpoint in words of ours. */
export class Refused extends errors.OIDCProviderError {
  constructor(status: number, error: string, description: string) {
    super(status, error);
    this.error_description = description;
  }
}

/**
 * A parameter of the request; undefined where it is not there, or empty, which is the same (RFC 6749 section 3.2).
 * @throws invalid_request for what is no text: the pages refuse it too, and PostgreSQL cannot be asked for it
 */
export function parameter(ctx: KoaContextWithOIDC, name: string): string | undefined {
  const value = ctx.oidc.params?.[name];
  if (typeof value === 'string' && value.includes('\0')) throw new errors.InvalidRequest(`${name} must be text, and holds a NUL`);
  return typeof value === 'string' && value !== '' ? value : undefined;
}

/** Whose tokens they are, and what they hang on. */
export interface Family {
  accountId: string;
  grantId: string;
  /** The session at this client. */
  sid: string;
  /** The library's session. */
  sessionUid: string;
  expiresWithSession: boolean;
  gty: string;
}

/** How the user signed in; `authTime` in seconds since the epoch. */
export interface HowSignedIn {
  acr?: string | undefined;
  amr?: string[] | undefined;
  authTime?: number | undefined;
}

const clientOf = ({ oidc: { client } }: KoaContextWithOIDC) => {
  if (!client) throw new errors.InvalidClient();
  return client;
};

/**
 * An access token that is not made yet: it says what the entities of the request say when it is saved.
 * @param server what it is for, by `defaultResourceServer` or, with its resource, `namedResourceServer`
 */
export function accessTokenOf(
  ctx: KoaContextWithOIDC,
  server: ResourceServer,
  family: Family,
  scope: readonly string[],
  resource = DEFAULT_RESOURCE,
): AccessToken {
  const { provider } = ctx.oidc;
  const resourceServer = new provider.ResourceServer(resource, server);
  const within = scope.filter((name) => resourceServer.scopes.has(name));
  const token = new provider.AccessToken({ ...family, client: clientOf(ctx), scope: within.join(' ') });
  token.resourceServer = resourceServer;
  ctx.oidc.entity('AccessToken', token);
  return token;
}

/** A refresh token that is not saved yet. */
export function refreshTokenOf(
  ctx: KoaContextWithOIDC,
  family: Family,
  how: HowSignedIn,
  scope: readonly string[],
  resource = DEFAULT_RESOURCE,
): RefreshToken {
  const token = new ctx.oidc.provider.RefreshToken({
    ...family,
    ...how,
    client: clientOf(ctx),
    resource,
    rotations: 0,
    scope: scope.join(' '),
  });
  ctx.oidc.entity('RefreshToken', token);
  return token;
}

/**
 * @param more claims besides those of the account
 * @param expiresAt in seconds since the epoch, where it is not the usual time
 */
export async function idTokenOf(
  ctx: KoaContextWithOIDC,
  from: { account: Account; scope: readonly string[]; how: HowSignedIn; sid: string; more?: Record<string, unknown>; expiresAt?: number },
): Promise<string> {
  const { account, how, sid, more = {}, expiresAt } = from;
  const scope = from.scope.join(' ');
  const claims = await account.claims('id_token', scope, {}, []);
  const token = new ctx.oidc.provider.IdToken({ ...claims, acr: how.acr, amr: how.amr, auth_time: how.authTime }, { ctx });
  // What the library sets of the tokens that it makes itself.
  Object.assign(token, { scope, mask: {}, rejected: [] });
  token.set('sid', sid);
  for (const [name, value] of Object.entries(more)) token.set(name, value);
  return token.issue({ use: 'idtoken', ...(expiresAt === undefined ? {} : { expiresAt }) });
}
