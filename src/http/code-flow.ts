/**
 * The authorization code flow as a relying party of ours goes through it (OpenID Connect Core 1.0 section 3.1): with PKCE,
 * state and nonce, the code exchanged over our own back channel. The consoles and the gate share it.
 */
import * as client from 'openid-client';
import { ownClients } from './back-channel.ts';
import { type CookieJar, keepLoginState, type LoginState } from './login-state.ts';

/** A relying party of ours, in the realm of its cookies. */
export interface Party {
  clientId: string;
  /** Registered for that client, without a query. */
  redirectUri: string;
}

/** What came back with the browser. */
export type Exchanged =
  | { ok: true; idToken: string; userId: string; sid: string }
  /** The provider's code for what went wrong (RFC 6749 sections 4.1.2.1 and 5.2); null for an answer that does not fit the request. */
  | { ok: false; error: string | null; cause: unknown };

export interface CodeFlow {
  /**
   * Begins a sign-in: the browser of that jar remembers it, and is to be sent to the address that is answered.
   * @param request.returnTo as it is given back when the browser has come back; the caller has checked it
   */
  begin(jar: CookieJar, party: Party, request: { returnTo: string; parameters: Record<string, string>; now: number }): Promise<string>;
  /** Exchanges the code in a query, such as `?code=…`, for an ID token of the sign-in that was kept. A fault of ours is thrown. */
  exchange(jar: CookieJar, party: Party, search: string, kept: LoginState): Promise<Exchanged>;
  /**
   * Where a browser ends the provider's session and comes back (OpenID Connect RP-Initiated Logout 1.0 section 2); without an
   * ID token of that session it is asked first.
   */
  endSession(jar: CookieJar, clientId: string, request: { idToken: string | undefined; back: string }): Promise<string>;
}

/** @param options.listening where our own socket is, by which we ask ourselves: the public origin may not resolve here */
export function createCodeFlow(options: { origin: string; listening(): string }): CodeFlow {
  const clientOf = ownClients(options);
  return {
    async begin(jar, party, { returnTo, parameters, now }) {
      const { realm } = jar.realm;
      const [state, nonce, verifier] = [client.randomState(), client.randomNonce(), client.randomPKCECodeVerifier()];
      const expiresAt = now + realm.settings.accessCodeLifespanLogin * 1000;
      keepLoginState(jar, { state, nonce, verifier, returnTo, action: parameters.kc_action ?? null, startedAt: now, expiresAt });
      const url = client.buildAuthorizationUrl(await clientOf(realm.name, party.clientId), {
        ...parameters,
        redirect_uri: party.redirectUri,
        scope: 'openid',
        state,
        nonce,
        code_challenge: await client.calculatePKCECodeChallenge(verifier),
        code_challenge_method: 'S256',
      });
      return url.href;
    },

    // `max_age` is not checked here: the provider counts it from the beginning of the sign-in, and who asked for it looks at
    // the proofs themselves.
    async exchange(jar, party, search, kept) {
      try {
        const tokens = await client.authorizationCodeGrant(
          await clientOf(jar.realm.realm.name, party.clientId),
          new URL(`${party.redirectUri}${search}`),
          { expectedState: kept.state, expectedNonce: kept.nonce, pkceCodeVerifier: kept.verifier, idTokenExpected: true },
        );
        const claims = tokens.claims();
        if (!claims) return { ok: false, error: null, cause: undefined };
        return { ok: true, idToken: tokens.id_token ?? '', userId: claims.sub, sid: typeof claims.sid === 'string' ? claims.sid : '' };
      } catch (error) {
        if (error instanceof client.AuthorizationResponseError || error instanceof client.ResponseBodyError)
          return { ok: false, error: error.error, cause: error };
        if (error instanceof client.ClientError) return { ok: false, error: null, cause: error };
        throw error;
      }
    },

    async endSession(jar, clientId, { idToken, back }) {
      const parameters = { ...(idToken !== undefined && { id_token_hint: idToken }), post_logout_redirect_uri: back };
      return client.buildEndSessionUrl(await clientOf(jar.realm.realm.name, clientId), parameters).href;
    },
  };
}
