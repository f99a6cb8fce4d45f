/**
 * The issuer says that a session has ended, wherever that was done (OpenID Connect Back-Channel Logout 1.0): a logout token,
 * posted to this application by the issuer's server. It is verified as an ID token is, and says by `sid` which session it is.
 */
import { createRemoteJWKSet, errors, jwtVerify } from 'jose';

const EVENT = 'http://schemas.openid.net/event/backchannel-logout';

export class Logouts {
  readonly #issuer: string;
  readonly #clientId: string;
  #keys: ReturnType<typeof createRemoteJWKSet> | undefined;

  constructor({ issuer, clientId }: { issuer: string; clientId: string }) {
    this.#issuer = issuer;
    this.#clientId = clientId;
  }

  /** The session that ended; undefined for what is no logout token for this application (section 2.6). Throws when the issuer does not answer. */
  async sidOf(token: string): Promise<string | undefined> {
    this.#keys ??= createRemoteJWKSet(new URL(`${this.#issuer}/protocol/openid-connect/certs`));
    try {
      const { payload } = await jwtVerify(token, this.#keys, {
        issuer: this.#issuer,
        audience: this.#clientId,
        algorithms: ['RS256', 'ES256', 'EdDSA'],
        typ: 'logout+jwt',
        requiredClaims: ['iat', 'exp', 'jti'],
        clockTolerance: 30,
      });
      const { sid, events, nonce } = payload;
      const isLogout = typeof events === 'object' && events !== null && EVENT in events && nonce === undefined;
      return isLogout && typeof sid === 'string' ? sid : undefined;
    } catch (error) {
      if (error instanceof errors.JOSEError && !(error instanceof errors.JWKSTimeout)) return undefined;
      throw error;
    }
  }
}
