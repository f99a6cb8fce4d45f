/**
 * Refresh tokens as JWTs, as Keycloak's are: keycloak-js reads them, and takes no other.
 *
 * The token is still one that the library stores: the JWT carries its id, and what an application may like to know of it,
 * such as when it ends. The signature is ours alone (HS256, a key of the realm). An id by itself opens nothing, so that one
 * which stands in somebody's log as a `jti` is no token.
 */
import { createSecretKey } from 'node:crypto';
import { errors, jwtVerify, SignJWT } from 'jose';
import Provider from 'oidc-provider';
import { derive } from '../../crypto/keyring.ts';
import { issuerOf } from '../../realms/issuer.ts';
import type { RealmRoom } from '../room.ts';
import { algorithmOf, unmarked } from './access-tokens.ts';

/** Begins the id of a token that was handed out as a JWT. The library's own ids, which were tokens by themselves, have no dot. */
const HANDED_AS_JWT = 'jwt.';

const ALGORITHM = 'HS256';

/** Tokens of before are taken as they are, for as long as they last. */
export function installRefreshTokens(provider: Provider, { context, origin, now }: RealmRoom): void {
  const { RefreshToken } = provider;
  const issuer = issuerOf(origin, context.realm.name);
  const key = createSecretKey(derive(context.rootSecret, 'refresh tokens'));

  /** The id that a token carries; undefined for one that is none of ours. Whether it has ended says what is stored. */
  const idOf = async (value: unknown): Promise<string | undefined> => {
    if (typeof value !== 'string') return undefined;
    const token = unmarked(value, Provider.ctx?.oidc.route);
    const algorithm = algorithmOf(token);
    if (algorithm === undefined) return token.startsWith(HANDED_AS_JWT) ? undefined : token;
    // Access tokens are looked for here too (introspection): to be refused by jose costs more than all else of that.
    if (algorithm !== ALGORITHM) return undefined;
    try {
      const { payload } = await jwtVerify(token, key, { issuer, audience: issuer, algorithms: [ALGORITHM], currentDate: new Date(0) });
      return payload.jti;
    } catch (error) {
      if (error instanceof errors.JOSEError) return undefined;
      throw error;
    }
  };
  const find = RefreshToken.find.bind(RefreshToken);
  Object.assign(RefreshToken, {
    async find(value: unknown, options?: object) {
      const id = await idOf(value);
      return id === undefined ? undefined : find(id, options);
    },
  });

  const prototype: { generateTokenId?(): string; save(): Promise<string> } = RefreshToken.prototype;
  const { generateTokenId, save } = prototype;
  if (!generateTokenId) throw new Error('The library names its tokens in another way than expected.');
  prototype.generateTokenId = function idOfJwt() {
    return `${HANDED_AS_JWT}${generateTokenId.call(this)}`;
  };
  RefreshToken.prototype.save = async function saveAsJwt() {
    const id = await save.call(this);
    const at = Math.floor(now() / 1000);
    const { clientId, remainingTTL, sid, scope, expiresWithSession } = this;
    return new SignJWT({ typ: expiresWithSession ? 'Refresh' : 'Offline', azp: clientId, sid, scope })
      .setProtectedHeader({ alg: ALGORITHM, typ: 'JWT' })
      .setJti(id)
      .setIssuer(issuer)
      .setAudience(issuer)
      .setIssuedAt(at)
      .setExpirationTime(at + remainingTTL)
      .sign(key);
  };
}
