/**
 * What an error says to the developer who caused it, and what the log says of it.
 *
 * The library's words are kept where they say what to change. Where they say that something "is invalid", ours take their
 * place, by these tables. What is only known to whoever holds somebody else's code or token stays one sentence: whether it
 * was never there, is another client's, was used or has expired. The precise cause is in the log, under the id that every
 * answer carries as X-Request-Id and that pages show.
 */
import type { ErrorOut, KoaContextWithOIDC, Provider } from 'oidc-provider';
import { CIBA_GRANT, DEVICE_GRANT } from './names.ts';
import type { RealmRoom } from './room.ts';

/** What the library says of every code and token that is not good. */
const GRANT_IS_INVALID = 'grant request is invalid';

/** Of what a client holds, by grant type: all that may be wrong with it, and what to do. */
const HELD: Readonly<Record<string, string>> = {
  authorization_code:
    'the code is unknown, belongs to another client or another key, was used before, or has expired; a code is good once and for a short time: start the sign-in again',
  refresh_token:
    'the refresh token is unknown, belongs to another client or another key, was used before, was revoked, or has ended with its session; sign the user in again',
  [DEVICE_GRANT]:
    'the device_code is unknown, belongs to another client, was used before, or its user has signed out; ask for a new one at the device authorization endpoint',
  [CIBA_GRANT]:
    'the auth_req_id is unknown, belongs to another client, was used before, or its user has signed out or been switched off; ask again at the backchannel authentication endpoint',
};

/** What only the client that was given the code can run into: it is told which of its parameters is wrong. */
const OWN_CODE: Readonly<Record<string, string>> = {
  'authorization code redirect_uri mismatch':
    'redirect_uri is not the one of the authorization request; send the same again, or none where none was sent',
  'code_verifier must be provided': 'code_verifier is missing; send the one whose challenge was in the authorization request (RFC 7636 section 4.5)',
  'unsupported code_challenge_method':
    'code_verifier is there, and the authorization request had no code_challenge; send both, or neither (RFC 7636)',
  'code_verifier does not match code_challenge':
    'code_verifier does not belong to the code_challenge of the authorization request; keep one for each sign-in (RFC 7636 section 4.6)',
};

/** Said whatever else may be wrong, so that it tells nothing of a code or a token. */
const NO_PROOF = 'tokens of this client are bound to a key: send a DPoP proof with the request (RFC 9449 section 4)';

const REPLAYED = 'the DPoP proof was used before; make one for each request';

/** Of grants by which a client holds nothing yet. */
const UNPROVED: Readonly<Record<string, string>> = {
  'mutual TLS client certificate not provided': 'tokens of this client are bound to its certificate: send the request with one (RFC 8705 section 3)',
  'DPoP proof JWT Replay detected': REPLAYED,
};

/** By the library's own words. */
const SAID: Readonly<Record<string, string>> = {
  'client authentication failed':
    'client authentication failed: the client is not known here, is switched off, authenticates in another way, or what it sent is wrong; check client_id, the method, and the secret, certificate or assertion (its key, iss, sub, aud, exp and jti)',
  'no client authentication mechanism provided':
    'no client is named: send client_id, and what the client authenticates with, such as client_secret or an Authorization header',
  'invalid authorization header value format':
    'the Authorization header has to be Basic and the Base64 of client_id:client_secret (RFC 6749 section 2.3.1)',
  'unsupported grant_type requested': 'this grant_type is not known here; grant_types_supported of the discovery document names those that are',
  'requested grant type is not allowed for this client':
    'this grant type is switched off for the client; an administrator of the realm can switch it on',
  'unsupported response_type requested': 'this response_type is not known here; send response_type=code, or one of response_types_supported',
  'unsupported response_mode requested':
    'this response_mode is not known here; response_modes_supported of the discovery document names those that are',
  'requested response_type is not allowed for this client':
    'what was asked for with response_type is switched off for this client (codes: standard flow; tokens with the answer: implicit flow), or it has no redirect URIs',
  'client is invalid': 'client_id is not registered in this realm, or the client is switched off',
  "redirect_uri did not match any of the client's registered redirect_uris":
    'redirect_uri is not registered for this client; register it exactly as it is sent, with scheme, port and path',
  'Authorization Server policy requires PKCE to be used for this request':
    'this client has to use PKCE: send code_challenge and code_challenge_method=S256 (RFC 7636)',
  'not supported value of code_challenge_method': 'code_challenge_method has to be S256',
  'requested scope is not allowed': 'scope names one that this client may not ask for; client scopes are given to a client by an administrator',
  'could not parse the claims parameter JSON': 'claims is not JSON; send an object with id_token or userinfo (OpenID Connect Core 1.0 section 5.5)',
  'could not validate id_token_hint': 'id_token_hint is not an ID token that this realm gave to this client',
  'Pushed Authorization Request must be used': 'this client has to push its requests first, and to send the request_uri that it gets (RFC 9126)',
  'request_uri is invalid, expired, or was already used': 'request_uri is unknown, was used before, or has expired; push the request again',
  'invalid token provided': 'the access token is unknown, has expired, was revoked, or its session has ended; refresh it, or sign the user in again',
  'no access token provided': 'no access token was sent; send it as Authorization: Bearer',
  'access token missing openid scope': 'the access token was given without the scope openid; ask for it at the sign-in',
  'could not decode id_token_hint': 'id_token_hint is not an ID token; send one as it came from the token endpoint',
  'post_logout_redirect_uri not registered':
    'post_logout_redirect_uri is not registered for this client; register it exactly as it is sent, with scheme, port and path',
  'unsupported prompt value requested': 'prompt has an unknown value; send some of prompt_values_supported of the discovery document',
  'invalid max_age parameter value': 'max_age has to be a whole number of seconds, 0 or more',
  'could not parse Request Object': 'request is not a JWT; send a signed one (RFC 9101)',
  'unsupported signed request alg':
    'the request object is not signed, or by an algorithm that is not one of request_object_signing_alg_values_supported',
  'could not validate Request Object':
    'the signature of the request object is not that of a key of this client; check the key that is registered, its kid, and the algorithm',
  'invalid client_assertion format': 'client_assertion is not a JWT; send a signed one (RFC 7523 section 2.2)',
  'invalid DPoP key binding':
    'the DPoP header is no proof that holds: send one JWT with typ dpop+jwt, its public key as jwk, signed by one of dpop_signing_alg_values_supported (RFC 9449 section 4.2)',
  'DPoP proof htm mismatch': 'htm of the DPoP proof has to be the method of this request (RFC 9449 section 4.2)',
  'DPoP proof htu mismatch': 'htu of the DPoP proof has to be the address of this endpoint as the discovery document says it (RFC 9449 section 4.2)',
  'DPoP proof ath mismatch': 'ath of the DPoP proof has to be the hash of the access token that it comes with (RFC 9449 section 4.2)',
  'invalid nonce in DPoP proof': 'the nonce of the DPoP proof is unknown or too old; make the proof again with that of the header DPoP-Nonce',
  'you are polling too quickly and should back off at a reasonable rate': 'asked again too soon; wait 5 seconds longer before each further question',
};

/** By the library's detail, or the word of the protocol, where it says nothing besides. */
const BARE: Readonly<Record<string, string>> = {
  registration_not_supported: 'the parameter registration is not taken; register the client at registration_endpoint, or have an administrator do so',
  request_not_supported: 'the parameter request is not taken here; send the parameters themselves',
  request_uri_not_supported: 'request_uri is not taken here; send the parameters themselves, or a signed request',
  'authorization request resolved without requesting interactions but no scope was granted':
    'nothing is left of the scopes that were asked for; ask for openid, or for scopes that this client has',
};

/** Of an access token that is bound, to whoever shows it; that it is, stands in the token. */
const BOUND_TOKEN: Readonly<Record<string, string>> = {
  'failed jkt verification': 'the access token is bound to a key: send it as Authorization: DPoP, with a proof of that key (RFC 9449 section 7)',
  'failed x5t#S256 verification': 'the access token is bound to a certificate: come with that one (RFC 8705 section 3)',
  'access token is not sender-constrained but proof of possession was provided':
    'the access token is not bound to a key: send it as Authorization: Bearer',
  'DPoP proof JWT Replay detected': REPLAYED,
};

/** What is no mistake of anybody's: a device that waits, an application that looks whether somebody is signed in. */
const EXPECTED: ReadonlySet<string> = new Set(['authorization_pending', 'slow_down', 'login_required', 'interaction_required', 'consent_required']);

/** An error of the library's, which has the word of the protocol as its message. */
type Refusal = Error & { error_description?: unknown; error_detail?: unknown; statusCode?: unknown };

/** What an error of this request says, in the place of what the library would: `unauthorized_client` (RFC 6749 section 5.2) is a word of ours. */
export function described(ctx: KoaContextWithOIDC, { message, error_description: description, error_detail: detail }: Refusal): ErrorOut {
  const said = typeof description === 'string' ? description : '';
  if (message === 'invalid_request' && /^\S+ (?:grant type )?is not allowed for this client$/.test(said))
    return { error: 'unauthorized_client', error_description: SAID['requested grant type is not allowed for this client'] ?? said };
  const grant = ctx.oidc.params?.grant_type;
  const held = said === GRANT_IS_INVALID && typeof grant === 'string' ? whyInvalid(ctx, grant, String(detail)) : undefined;
  const bound = message === 'invalid_token' ? wordsOf(BOUND_TOKEN, String(detail)) : undefined;
  const better = held ?? bound ?? wordsOf(SAID, said) ?? (said === '' ? wordsOf(BARE, String(detail ?? message)) : undefined) ?? said;
  return { error: message, ...(better === '' ? {} : { error_description: better }) };
}

const wordsOf = (table: Readonly<Record<string, string>>, key: string): string | undefined => (Object.hasOwn(table, key) ? table[key] : undefined);

function whyInvalid(ctx: KoaContextWithOIDC, grant: string, detail: string): string | undefined {
  if (ctx.oidc.client?.dpopBoundAccessTokens === true && ctx.get('DPoP') === '') return NO_PROOF;
  return OWN_CODE[detail] ?? HELD[grant] ?? UNPROVED[detail];
}

/** Puts our words in the place of the library's in what it answers, and notes in the log what was refused and why. */
export function installDescriptions(provider: Provider, room: RealmRoom): void {
  const refused = new WeakMap<object, Refusal>();
  const note = (ctx: KoaContextWithOIDC, error: Refusal): void => {
    refused.set(ctx.oidc, error);
    if (EXPECTED.has(error.message)) return;
    const { error: word, error_description: description } = described(ctx, error);
    const asked = { realm: room.context.realm.name, endpoint: ctx.oidc.route, client: ctx.oidc.client?.clientId ?? null };
    room.log.info({ ...asked, error: word, description, detail: error.error_detail ?? error.error_description }, 'a request was refused');
  };
  provider.on('authorization.error', note);
  provider.on('grant.error', note);
  provider.on('userinfo.error', note);
  provider.on('introspection.error', note);
  provider.on('revocation.error', note);
  provider.on('pushed_authorization_request.error', note);
  provider.on('device_authorization.error', note);
  provider.on('backchannel_authentication.error', note);
  provider.on('code_verification.error', note);
  provider.on('device_resume.error', note);
  provider.on('end_session.error', note);
  provider.on('end_session_confirm.error', note);
  provider.use(async (ctx: KoaContextWithOIDC, next) => {
    await next();
    const error = 'oidc' in ctx && ctx.oidc ? refused.get(ctx.oidc) : undefined;
    if (error) answer(ctx, error);
  });
}

/** Puts the better words where the library has put its own: a JSON body, a challenge, or the way back to the application. */
function answer(ctx: KoaContextWithOIDC, error: Refusal): void {
  const { error_description: before } = error;
  const out = described(ctx, error);
  const after = out.error_description;
  const { body } = ctx;
  if (isOut(body) && body.error === error.message) Object.assign(body, out);
  if (after === undefined || before === after) return;
  const location = ctx.response.get('location');
  if (typeof before !== 'string') {
    // The library had no words at all, and so no place for ours.
    if (location) ctx.set('Location', withDescription(location, error.message, after));
    if (typeof body === 'string' && isPlain(after))
      ctx.body = body.replace(fieldOf('error', error.message), (it) => it + fieldOf('error_description', after));
    return;
  }
  const challenges = [ctx.response.get('www-authenticate')].flat().filter(Boolean);
  if (challenges.length > 0)
    ctx.set(
      'WWW-Authenticate',
      challenges.map((challenge) => challenge.replace(quoted(before), quoted(after))),
    );
  // By a form: what stands in it as it is, and would, may be put there.
  if (typeof body === 'string' && isPlain(before) && isPlain(after)) ctx.body = body.replace(`value="${before}"`, `value="${after}"`);
  if (location) ctx.set('Location', redescribed(location, before, after));
}

/** A field of the form that the library answers by (OAuth 2.0 Form Post Response Mode), where nothing in it has to be escaped. */
const fieldOf = (name: string, value: string): string => `<input type="hidden" name="${name}" value="${value}"/>`;

/** An answer in the query or the fragment of an address, with a description behind its error, which is the last one there. */
function withDescription(location: string, word: string, description: string): string {
  const error = new URLSearchParams({ error: word }).toString();
  const at = location.lastIndexOf(error) + error.length;
  return at < error.length ? location : `${location.slice(0, at)}&${new URLSearchParams({ error_description: description })}${location.slice(at)}`;
}

const isOut = (body: unknown): body is ErrorOut => typeof body === 'object' && body !== null && 'error' in body;

const isPlain = (text: string): boolean => !/[<>&"']/.test(text);

const quoted = (description: string): string => `error_description="${description}"`;

/** An answer in the query or the fragment of an address, which is the application's own and stays as it is otherwise. */
function redescribed(location: string, before: string, after: string): string {
  const old = new URLSearchParams({ error_description: before }).toString();
  const encoded = new URLSearchParams({ error_description: after }).toString();
  return location.replace(old, encoded).replace(old.replaceAll('+', '%20'), encoded);
}
