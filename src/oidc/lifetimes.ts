/** How long everything lives that the library issues: the realm's seconds, or a client's own. */
import type { Configuration } from 'oidc-provider';
import { rowOf, secondsOf } from './client-metadata.ts';
import { longestLife } from './impersonated.ts';
import type { RealmRoom } from './room.ts';

export function lifetimesOf(room: RealmRoom): NonNullable<Configuration['ttl']> {
  const { settings } = room.context.realm;
  return {
    AccessToken: (_ctx, _token, client) => longestLife(secondsOf(rowOf(client), 'access.token.lifespan') ?? settings.accessTokenLifespan, room.now()),
    ClientCredentials: (_ctx, _token, client) => secondsOf(rowOf(client), 'access.token.lifespan') ?? settings.accessTokenLifespan,
    IdToken: () => longestLife(settings.accessTokenLifespan, room.now()),
    AuthorizationCode: settings.accessCodeLifespan,
    Interaction: settings.accessCodeLifespanLogin,
    Session: settings.ssoSessionMaxLifespan,
    // A grant lives as long as any refresh token of its may.
    Grant: Math.max(settings.ssoSessionMaxLifespan, settings.offlineSessionMaxLifespan),
    RefreshToken: (ctx, token, client) => {
      // Idleness is judged by when it was last used, not by when it was issued: without rotation it is issued once.
      const offline = token.scopes.has('offline_access');
      const longest = offline ? settings.offlineSessionMaxLifespan : settings.ssoSessionMaxLifespan;
      const seconds = Math.floor(room.now() / 1000);
      const left = (ctx?.oidc.grant?.exp ?? seconds + longest) - seconds;
      // A client's own bound counts from the first token of the family.
      const own = secondsOf(rowOf(client), offline ? 'client.offline.session.max.lifespan' : 'client.session.max.lifespan');
      const ownLeft = own === undefined ? longest : (token.iiat ?? seconds) + own - seconds;
      return Math.max(1, Math.min(longest, left, ownLeft));
    },
  };
}
