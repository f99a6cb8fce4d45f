/**
 * An API of the demo application, as a resource server of its own would be: it knows nothing of sessions and cookies, only
 * the access token that it is sent. It verifies the token by the issuer's keys, and asks for more when what the token says
 * of the sign-in is not enough (RFC 9470): the caller reads from the answer what to ask the user for.
 */
import { createRemoteJWKSet, errors, type JWTPayload, jwtVerify } from 'jose';

/** What a transfer of money needs: two factors, shown within five minutes. */
const NEEDED = { levels: ['aal2', 'phr', 'phrh'], acrValues: 'aal2', maxAge: 300 };

export interface ApiAnswer {
  status: number;
  headers: Record<string, string>;
  body: Record<string, unknown>;
}

export class TransferApi {
  readonly #issuer: string;
  #keys: ReturnType<typeof createRemoteJWKSet> | undefined;

  constructor(issuer: string) {
    this.#issuer = issuer;
  }

  /** @param authorization the request's header, such as `Bearer eyJ…` */
  async answer(authorization: string | undefined, now: number): Promise<ApiAnswer> {
    const token = /^Bearer ([\w.~+/-]+=*)$/i.exec(authorization ?? '')?.[1];
    // RFC 6750 section 3.1: a request without a token is told no error.
    if (token === undefined) return { status: 401, headers: { 'WWW-Authenticate': 'Bearer' }, body: { error: 'missing_token' } };
    const claims = await this.#verified(token);
    if (!claims) return refusal('invalid_token', 'The access token is not valid here.', {});
    const acr = typeof claims.acr === 'string' ? claims.acr : '';
    const age = typeof claims.auth_time === 'number' ? now / 1000 - claims.auth_time : Number.POSITIVE_INFINITY;
    if (!NEEDED.levels.includes(acr))
      return refusal(INSUFFICIENT, 'More than one factor is needed.', { acr_values: NEEDED.acrValues, max_age: NEEDED.maxAge });
    if (age > NEEDED.maxAge) return refusal(INSUFFICIENT, 'The sign-in is too long ago.', { acr_values: NEEDED.acrValues, max_age: NEEDED.maxAge });
    return { status: 200, headers: {}, body: { transferred: true, by: claims.sub, acr, seconds_since_sign_in: Math.max(0, Math.round(age)) } };
  }

  async #verified(token: string): Promise<JWTPayload | undefined> {
    this.#keys ??= createRemoteJWKSet(new URL(`${this.#issuer}/protocol/openid-connect/certs`));
    try {
      const { payload } = await jwtVerify(token, this.#keys, { issuer: this.#issuer, audience: 'account' });
      return payload;
    } catch (error) {
      if (error instanceof errors.JOSEError) return undefined;
      throw error;
    }
  }
}

/** RFC 9470 section 3. */
const INSUFFICIENT = 'insufficient_user_authentication';

function refusal(error: string, description: string, needed: Record<string, string | number>): ApiAnswer {
  const parameters = Object.entries({ error, error_description: description, ...needed }).map(([name, value]) => `${name}="${value}"`);
  return { status: 401, headers: { 'WWW-Authenticate': `Bearer ${parameters.join(', ')}` }, body: { error, error_description: description } };
}

/** What an API asks for in a challenge of RFC 9470, as parameters of an authorization request; undefined for any other answer. */
export function askedBy(challenge: string | null): Record<string, string> | undefined {
  const parameters = new Map([...(challenge ?? '').matchAll(/(\w+)="([^"]*)"/g)].map(([, name = '', value = '']) => [name, value]));
  if (parameters.get('error') !== INSUFFICIENT) return undefined;
  const asked: Record<string, string> = {};
  for (const name of ['acr_values', 'max_age']) {
    const value = parameters.get(name);
    if (value !== undefined) asked[name] = value;
  }
  return asked;
}
