/** How long everything lives that the library issues: the realm's seconds, or a client's own. */
import type { AccessToken, Client, Configuration, KoaContextWithOIDC } from 'oidc-provider';
import { cibaLifetimes } from '../realms/ciba.ts';
import { CODE } from '../realms/response-types.ts';
import { endOf, lifetimeOf } from '../sessions/lifetimes.ts';
import { rowOf, secondsOf } from './clients/client-metadata.ts';
import { longestOf, offlineLongest } from './clients/client-session.ts';
import { longestLife } from './impersonated.ts';
import type { RealmRoom } from './room.ts';
import { requestCache } from './storage/request-cache.ts';

/** The library's `ttl`, in seconds. */
export function lifetimesOf(room: RealmRoom): NonNullable<Configuration['ttl']> {
  const { settings } = room.context.realm;
  // The resource server that it is for knows best; then the client that asks.
  const ownLifespan = ({ resourceServer }: Pick<AccessToken, 'resourceServer'>, client: Client): number | undefined =>
    resourceServer?.accessTokenTTL ?? secondsOf(rowOf(client), 'access.token.lifespan');
  const accessLifespan = (token: Pick<AccessToken, 'resourceServer'>, client: Client): number =>
    ownLifespan(token, client) ?? settings.accessTokenLifespan;
  /** What comes with the answer cannot be refreshed and is a bearer's alone: never longer than the realm says of it. */
  const answeredLifespan = (ctx: KoaContextWithOIDC, token: Pick<AccessToken, 'resourceServer'>, client: Client): number => {
    const most = settings.accessTokenLifespanForImplicitFlow;
    switch (answeredWith(ctx)) {
      case 'none':
        return accessLifespan(token, client);
      case 'tokens':
        return Math.min(most, ownLifespan(token, client) ?? most);
      case 'both':
        return Math.min(most, accessLifespan(token, client));
    }
  };
  return {
    AccessToken: (ctx, token, client) => longestLife(answeredLifespan(ctx, token, client), room.now()),
    ClientCredentials: (_ctx, token, client) => accessLifespan(token, client),
    // As long as the access token that comes with it, as in Keycloak.
    IdToken: (ctx, _token, client) => longestLife(answeredLifespan(ctx, {}, client), room.now()),
    AuthorizationCode: settings.accessCodeLifespan,
    DeviceCode: (_ctx, _code, client) => secondsOf(rowOf(client), 'oauth2.device.code.lifespan') ?? settings.oauth2DeviceCodeLifespan,
    // A client may want a shorter time (CIBA Core 1.0 section 7.1), which the library has looked at.
    BackchannelAuthenticationRequest: (ctx) =>
      Math.min(Number(ctx.oidc.params?.requested_expiry ?? Number.POSITIVE_INFINITY), cibaLifetimes(settings).expiresIn),
    Interaction: settings.accessCodeLifespanLogin,
    // Its cookie and its row end with our session; until somebody signs in, it holds no more than what a form is known by.
    Session: (_ctx, session) => (session.accountId ? sessionLeft(room) : settings.accessCodeLifespanLogin),
    // A grant lives as long as any refresh token of its may.
    Grant: Math.max(...[false, true].map((remember) => lifetimeOf(settings, { remember }).longest / 1000), offlineLongest(settings)),
    RefreshToken: (ctx, token, client) => {
      // Idleness is judged by when it was last used, not by when it was issued: without rotation it is issued once.
      const offline = token.scopes.has('offline_access');
      const longest = offline ? offlineLongest(settings) : sessionLeft(room);
      const seconds = Math.floor(room.now() / 1000);
      const left = (ctx?.oidc.grant?.exp ?? seconds + longest) - seconds;
      // A client's own bound counts from the first token of the family.
      const own = longestOf(rowOf(client), settings, offline);
      const ownLeft = own === undefined ? longest : (token.iiat ?? seconds) + own - seconds;
      return Math.max(1, Math.min(longest, left, ownLeft));
    },
  };
}

/** The routes of an authorization request, before and after its pages. */
const ASKING: ReadonlySet<string> = new Set(['authorization', 'resume']);

/** Which tokens are made here with the answer to an authorization request: alone, beside a code, or none. */
function answeredWith({ oidc }: KoaContextWithOIDC): 'tokens' | 'both' | 'none' {
  if (!ASKING.has(oidc.route)) return 'none';
  return String(oidc.params?.response_type).split(' ').includes(CODE) ? 'both' : 'tokens';
}

/** For how many seconds more the session of this request may last. */
function sessionLeft({ context, now }: RealmRoom): number {
  const { settings } = context.realm;
  const row = requestCache().session?.row;
  return row ? Math.max(1, Math.ceil((endOf(row, settings) - now()) / 1000)) : settings.ssoSessionMaxLifespan;
}
