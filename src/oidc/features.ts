/** What a realm's Provider can do: each feature of the library that is on, and what it is told. */
import type { Configuration, KoaContextWithOIDC } from 'oidc-provider';
import { cibaOf } from './ciba/feature.ts';
import { rowOf } from './clients/client-metadata.ts';
import type { Clients } from './clients/clients.ts';
import { mtlsOf } from './clients/mtls.ts';
import { requestObjectsOf } from './clients/request-objects.ts';
import { deviceFlowOf } from './device-flow.ts';
import type { Pages } from './pages.ts';
import { CLOCK_TOLERANCE, DEFAULT_RESOURCE, type RealmRoom } from './room.ts';
import { dpopOf } from './tokens/dpop.ts';
import { defaultResourceServer, namedResourceServer } from './tokens/resource.ts';
import { askedScopes } from './tokens/scopes.ts';

/** Where a request for a user's tokens begins, by the library's names. */
const ASKED_AT: ReadonlySet<string> = new Set([
  'authorization',
  'pushed_authorization_request',
  'device_authorization',
  'backchannel_authentication',
]);

/** Whether this request says for the first time which scopes there are to be: a refresh and the like have those of before. */
const asksForScopes = ({ oidc }: KoaContextWithOIDC): boolean => ASKED_AT.has(oidc.route) || oidc.params?.grant_type === 'client_credentials';

interface Parts {
  room: RealmRoom;
  clients: Clients;
  pages: Pages;
  /** All that the realm has. */
  scopes: readonly string[];
}

export function featuresOf({ room, clients, pages, scopes }: Parts): NonNullable<Configuration['features']> {
  return {
    devInteractions: { enabled: false },
    // Discovery says so. The library is told of nobody's address: what it would send is sent by delivery/logouts, and arrives.
    backchannelLogout: { enabled: true },
    claimsParameter: { enabled: true },
    dPoP: dpopOf(room),
    // For clients that say by what it is signed.
    jwtUserinfo: { enabled: true },
    clientCredentials: { enabled: true },
    mTLS: mtlsOf(room),
    requestObjects: requestObjectsOf({ now: room.now, tolerance: CLOCK_TOLERANCE }),
    // A client may look at its own tokens; a resource server looks at everybody's access tokens (RFC 7662 section 2.1).
    introspection: {
      enabled: true,
      allowedPolicy: (_ctx, client, token) =>
        token.clientId === client.clientId || (client.clientAuthMethod !== 'none' && token.kind !== 'RefreshToken'),
    },
    revocation: { enabled: true, allowedPolicy: (_ctx, client, token) => token.clientId === client.clientId },
    pushedAuthorizationRequests: { enabled: true },
    deviceFlow: deviceFlowOf(room, pages),
    ciba: cibaOf(room),
    rpInitiatedLogout: {
      enabled: true,
      logoutSource: (ctx) => pages.logoutSource(ctx),
      postLogoutSuccessSource: (ctx) => pages.postLogoutSuccessSource(ctx),
    },
    resourceIndicators: {
      enabled: true,
      defaultResource: async (ctx, client, oneOf) => {
        // Without a choice this is the first question of an authorization request: the place to complete its scopes.
        if (!oneOf && ctx.oidc.params) ctx.oidc.params.scope = await askedScopes(ctx, await clients.find(client.clientId));
        // Of several that were granted one has to be named; one is the one.
        if (oneOf) return oneOf.length === 1 ? oneOf[0] : oneOf;
        // What is pushed keeps no resource, or the question would not be asked again when it is used, and offline_access lost.
        return ctx.oidc.route === 'pushed_authorization_request' ? undefined : DEFAULT_RESOURCE;
      },
      useGrantedResource: () => true,
      getResourceServerInfo: async (ctx, resource, client) => {
        const { settings } = room.context.realm;
        // Of a request that names what it is for the question above is not asked.
        if (asksForScopes(ctx) && ctx.oidc.params) ctx.oidc.params.scope = await askedScopes(ctx, await clients.find(client.clientId));
        if (resource === DEFAULT_RESOURCE) return defaultResourceServer(scopes, rowOf(client), settings);
        return namedResourceServer(clients, rowOf(client), resource, settings);
      },
    },
  };
}
