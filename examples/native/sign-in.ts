/**
 * A program at the command line that signs its user in with the browser (RFC 8252), with oauth4webapi: a public client with
 * PKCE, its request pushed before (RFC 9126), its tokens bound to a key that never leaves the program (DPoP, RFC 9449), and
 * the answer taken on a port of the loopback interface.
 *
 *     npx cardea client create --realm demo --client-id my-program --public --first-party --redirect-uri http://127.0.0.1/callback
 *     ISSUER=http://localhost:8080/realms/demo CLIENT_ID=my-program npx node examples/native/sign-in.ts
 */
import { once } from 'node:events';
import { createServer } from 'node:http';
import * as oauth from 'oauth4webapi';

export interface Settings {
  /** The realm, such as `https://id.example.com/realms/staff`. */
  issuer: string;
  /** A public client with the redirect URI `http://127.0.0.1/callback`, which matches any port. */
  clientId: string;
  scope?: string;
  /** Sends the user's browser there. */
  open(address: string): void;
}

/** What the program has of its user. */
export interface SignedIn {
  claims: oauth.IDToken;
  userinfo: oauth.UserInfoResponse;
  tokens: oauth.TokenEndpointResponse;
  /** Other tokens for the refresh token; servers may rotate it. */
  refresh(refreshToken: string): Promise<oauth.TokenEndpointResponse>;
  /** Ends the refresh token, and with it what came of it. */
  revoke(refreshToken: string): Promise<void>;
}

export async function signIn({ issuer, clientId, scope = 'openid profile email', open }: Settings): Promise<SignedIn> {
  const identifier = new URL(issuer);
  // Plain http is for this machine alone.
  const http = { [oauth.allowInsecureRequests]: identifier.protocol === 'http:' && ['localhost', '127.0.0.1'].includes(identifier.hostname) };
  const server = await oauth.processDiscoveryResponse(identifier, await oauth.discoveryRequest(identifier, http));
  const client: oauth.Client = { client_id: clientId };
  const none = oauth.None();
  const DPoP = oauth.DPoP(client, await oauth.generateKeyPair('ES256'));

  const listener = createServer();
  listener.listen(0, '127.0.0.1');
  await once(listener, 'listening');
  const address = listener.address();
  if (address === null || typeof address === 'string') throw new Error('There is no port to come back to.');
  const redirectUri = `http://127.0.0.1:${address.port}/callback`;
  try {
    const verifier = oauth.generateRandomCodeVerifier();
    const [state, nonce] = [oauth.generateRandomState(), oauth.generateRandomNonce()];
    const pushed = await oauth.processPushedAuthorizationResponse(
      server,
      client,
      await oauth.pushedAuthorizationRequest(
        server,
        client,
        none,
        new URLSearchParams({
          ...{ redirect_uri: redirectUri, response_type: 'code', scope, state, nonce },
          ...{ code_challenge: await oauth.calculatePKCECodeChallenge(verifier), code_challenge_method: 'S256' },
        }),
        { DPoP, ...http },
      ),
    );
    const location = new URL(server.authorization_endpoint ?? '');
    location.search = String(new URLSearchParams({ client_id: clientId, request_uri: pushed.request_uri }));
    const back = once(listener, 'request');
    open(location.href);
    const [request, response] = await back;
    response.setHeader('content-type', 'text/plain; charset=utf-8').end('Signed in. You can close this window.');
    // Checks `state`, and that it was this server that answered (RFC 9207).
    const parameters = oauth.validateAuthResponse(server, client, new URL(request.url ?? '/', redirectUri), state);
    const exchange = () => oauth.authorizationCodeGrantRequest(server, client, none, parameters, redirectUri, verifier, { DPoP, ...http });
    const tokens = await oauth.processAuthorizationCodeResponse(server, client, await exchange(), { expectedNonce: nonce, requireIdToken: true });
    const claims = oauth.getValidatedIdTokenClaims(tokens);
    if (!claims) throw new Error('There is no ID token.');
    const userinfo = await oauth.processUserInfoResponse(
      server,
      client,
      claims.sub,
      await oauth.userInfoRequest(server, client, tokens.access_token, { DPoP, ...http }),
    );
    return {
      claims,
      userinfo,
      tokens,
      async refresh(token) {
        return oauth.processRefreshTokenResponse(
          server,
          client,
          await oauth.refreshTokenGrantRequest(server, client, none, token, { DPoP, ...http }),
        );
      },
      async revoke(token) {
        await oauth.processRevocationResponse(await oauth.revocationRequest(server, client, none, token, http));
      },
    };
  } finally {
    listener.close();
    listener.closeAllConnections();
  }
}

if (import.meta.main) {
  const { ISSUER = '', CLIENT_ID = '' } = process.env;
  const { claims } = await signIn({ issuer: ISSUER, clientId: CLIENT_ID, open: (address) => console.log(`Open this address:\n\n  ${address}\n`) });
  console.log(claims);
}
