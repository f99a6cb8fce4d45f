/** OpenID Connect as an application sees it, by openid-client: a confidential client with PKCE, state and nonce. */
import * as client from 'openid-client';
import { Problem } from './problems.ts';
import type { DemoSession, Tokens } from './sessions.ts';

export interface PartyOptions {
  issuer: string;
  clientId: string;
  clientSecret: string;
  /** This application's own. */
  origin: string;
}

/** The issuer may be starting just now: this long it is waited for. */
const DISCOVERY_TRIES = 8;
const DISCOVERY_PAUSE_MS = 400;
/** Sign-ins of one browser that may be under way; the oldest is forgotten for one more. */
const MOST_PENDING = 8;
/** Seconds that two clocks may differ. */
const CLOCK_TOLERANCE = 30;

export class RelyingParty {
  readonly #options: PartyOptions;
  #discovered: Promise<client.Configuration> | undefined;

  constructor(options: PartyOptions) {
    this.#options = options;
  }

  /** Where to send the browser to sign in. */
  async begin(session: DemoSession, asked: Record<string, string>, resume?: 'transfer'): Promise<string> {
    const configuration = await this.#configuration();
    const [state, nonce, verifier] = [client.randomState(), client.randomNonce(), client.randomPKCECodeVerifier()];
    for (const [oldest] of session.pending) if (session.pending.size >= MOST_PENDING) session.pending.delete(oldest);
    session.pending.set(state, { nonce, verifier, asked, startedAt: Date.now(), resume });
    return client.buildAuthorizationUrl(configuration, {
      ...asked,
      redirect_uri: `${this.#options.origin}/callback`,
      scope: 'openid profile email',
      state,
      nonce,
      code_challenge: await client.calculatePKCECodeChallenge(verifier),
      code_challenge_method: 'S256',
    }).href;
  }

  /** What the browser came back with becomes a session. */
  async finish(session: DemoSession, url: URL): Promise<DemoSession> {
    const state = url.searchParams.get('state') ?? '';
    const pending = session.pending.get(state);
    if (!pending)
      throw new Problem(
        400,
        'This sign-in was not begun here',
        'It was begun in another browser, was used before, or the application was restarted meanwhile.',
      );
    // Once, whatever comes of it.
    session.pending.delete(state);
    const answer = await client.authorizationCodeGrant(await this.#configuration(), url, {
      expectedState: state,
      expectedNonce: pending.nonce,
      pkceCodeVerifier: pending.verifier,
      idTokenExpected: true,
    });
    const tokens = tokensOf(answer, undefined, 'sign-in');
    requireWhatWasAsked(tokens, pending);
    return { pending: session.pending, tokens, asked: pending.asked, resume: pending.resume };
  }

  async refresh(session: DemoSession): Promise<void> {
    const { tokens } = session;
    if (!tokens) return;
    if (tokens.refreshToken === undefined) throw new Problem(400, 'There is nothing to refresh with', 'No refresh token came with the tokens.');
    session.tokens = tokensOf(await client.refreshTokenGrant(await this.#configuration(), tokens.refreshToken), tokens, 'refresh');
  }

  /** The issuer's own words about the user. */
  async userInfo(tokens: Tokens): Promise<Record<string, unknown>> {
    return client.fetchUserInfo(await this.#configuration(), tokens.accessToken, tokens.claims.sub);
  }

  /** Where to send the browser to sign out everywhere (OpenID Connect RP-Initiated Logout 1.0). */
  async endSession(tokens: Tokens): Promise<string> {
    return client.buildEndSessionUrl(await this.#configuration(), {
      id_token_hint: tokens.idToken,
      post_logout_redirect_uri: `${this.#options.origin}/`,
    }).href;
  }

  /** Discovered once it is needed. A failure is not remembered. */
  #configuration(): Promise<client.Configuration> {
    this.#discovered ??= this.#discover().catch((error: unknown) => {
      this.#discovered = undefined;
      throw error;
    });
    return this.#discovered;
  }

  async #discover(): Promise<client.Configuration> {
    const { issuer, clientId, clientSecret } = this.#options;
    // openid-client speaks https only, unless it is told otherwise: for a demonstration on one machine.
    const execute = [...(issuer.startsWith('http:') ? [client.allowInsecureRequests] : []), client.enableNonRepudiationChecks];
    for (let tries = 1; ; tries += 1) {
      try {
        return await client.discovery(new URL(issuer), clientId, { client_secret: clientSecret }, client.ClientSecretBasic(clientSecret), {
          execute,
        });
      } catch (cause) {
        if (tries < DISCOVERY_TRIES) await new Promise((resolve) => setTimeout(resolve, DISCOVERY_PAUSE_MS));
        else throw new Problem(503, 'The identity provider does not answer', `Nothing was found at ${issuer}. Is it running?`, { cause });
      }
    }
  }
}

function tokensOf(answer: Awaited<ReturnType<typeof client.refreshTokenGrant>>, before: Tokens | undefined, from: Tokens['from']): Tokens {
  const claims = answer.claims() ?? before?.claims;
  const idToken = answer.id_token ?? before?.idToken;
  if (!claims || idToken === undefined) throw new Problem(502, 'Something is missing', 'No ID token came back.');
  if (before && claims.sub !== before.claims.sub)
    throw new Problem(502, 'Somebody else came back', 'The new tokens are about another user than the old ones.');
  return {
    idToken,
    accessToken: answer.access_token,
    // Without rotation none comes, and the old one stays.
    refreshToken: answer.refresh_token ?? before?.refreshToken,
    claims,
    expiresAt: Date.now() + (answer.expiresIn() ?? 0) * 1000,
    from,
  };
}

/**
 * An acr that is asked for by `acr_values` is a wish (OpenID Connect Core 1.0 section 3.1.2.1): the application has to look
 * at what it got. `auth_time` may not be older than the request allows, counted from when it was made.
 */
function requireWhatWasAsked({ claims }: Tokens, { asked, startedAt }: { asked: Record<string, string>; startedAt: number }): void {
  if (asked.acr_values !== undefined && !asked.acr_values.split(' ').includes(String(claims.acr))) {
    throw new Problem(403, 'That was not enough', `This application asked for ${asked.acr_values} and got ${String(claims.acr)}.`);
  }
  const oldest = startedAt / 1000 - Number(asked.max_age ?? Number.POSITIVE_INFINITY) - CLOCK_TOLERANCE;
  if (Number(claims.auth_time) < oldest)
    throw new Problem(403, 'That was too long ago', 'This application asked for a fresh sign-in and got an older one.');
}
