/**
 * A web application with express-openid-connect: everybody may look at its first page, members are signed in by Cardea,
 * and what is secret asks for a second factor. Who is signed out at Cardea is signed out here (back-channel logout).
 *
 *     npx cardea client create --realm demo --client-id my-app --first-party \
 *       --redirect-uri http://localhost:3000/callback --post-logout-redirect-uri http://localhost:3000/
 *     ISSUER=http://localhost:8080/realms/demo CLIENT_ID=my-app CLIENT_SECRET=… npx node examples/express/app.ts
 *
 * Pages: `/`, `/members`, `/secret`, `/login`, `/logout`. How it is told of sign-outs elsewhere is in examples/README.md.
 */
import { randomBytes } from 'node:crypto';
import express, { type Express } from 'express';
import oidc, { type ConfigParams } from 'express-openid-connect';
import session from 'express-session';

export interface Settings {
  /** The realm, such as `https://id.example.com/realms/staff`. */
  issuer: string;
  clientId: string;
  clientSecret: string;
  /** Where browsers reach this application. */
  baseUrl: string;
}

/** Its redirect URI is `{baseUrl}/callback`, its post-logout redirect URI `{baseUrl}/`, its back-channel logout URL `{baseUrl}/backchannel-logout`. */
export function createApp({ issuer, clientId, clientSecret, baseUrl }: Settings): Express {
  const app = express();
  // In memory, for a demonstration: several processes share a store (connect-redis, connect-pg-simple, …).
  const store = new session.MemoryStore();
  const config: ConfigParams = {
    issuerBaseURL: issuer,
    baseURL: baseUrl,
    clientID: clientId,
    clientSecret,
    clientAuthMethod: 'client_secret_basic',
    secret: randomBytes(32).toString('base64url'),
    authRequired: false,
    idpLogout: true,
    // With its slash: addresses are compared character by character.
    routes: { postLogoutRedirect: '/' },
    idTokenSigningAlg: 'RS256',
    authorizationParams: { response_type: 'code', scope: 'openid profile email' },
    // The library's own store interface is express-session's, in older words.
    session: { store: store as unknown as NonNullable<ConfigParams['session']>['store'] },
    backchannelLogout: true,
  };
  app.use(oidc.auth(config));
  app.get('/', (request, response) => {
    response.type('text').send(request.oidc.isAuthenticated() ? `Welcome back, ${request.oidc.user?.preferred_username}` : 'Welcome');
  });
  app.get('/members', oidc.requiresAuth(), async (request, response) => {
    response.json({ claims: request.oidc.idTokenClaims, userinfo: await request.oidc.fetchUserInfo() });
  });
  app.get('/secret', (request, response) => {
    // `acr_values` is a wish: what counts is the acr of the ID token that came back.
    if (request.oidc.idTokenClaims?.acr === 'aal2') return response.type('text').send('The secret');
    return response.oidc.login({ returnTo: '/secret', authorizationParams: { response_type: 'code', scope: 'openid profile', acr_values: 'aal2' } });
  });
  app.post('/refresh', oidc.requiresAuth(), async (request, response) => {
    const refreshed = await request.oidc.accessToken?.refresh();
    response.json({ expires_in: refreshed?.expires_in });
  });
  return app;
}

if (import.meta.main) {
  const { ISSUER = '', CLIENT_ID = '', CLIENT_SECRET = '', PORT = '3000' } = process.env;
  const baseUrl = `http://localhost:${PORT}`;
  createApp({ issuer: ISSUER, clientId: CLIENT_ID, clientSecret: CLIENT_SECRET, baseUrl }).listen(Number(PORT), () => console.log(baseUrl));
}
