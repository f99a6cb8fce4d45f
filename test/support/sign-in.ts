/** Signs in over HTTP as a browser would, page by page, against a relying party made of openid-client. */
import * as client from 'openid-client';
import { generateSync } from 'otplib';
import type { RealmRow } from '../../src/store/realms.ts';
import { Agent, type Form, formsOf, type Page } from './agent.ts';
import type { Cardea, TestClient } from './cardea.ts';

/** A browser that stops where it would leave Cardea. */
export class Browser extends Agent {
  readonly origin: string;

  constructor(origin: string, headers: Record<string, string> = {}) {
    super(headers);
    this.origin = origin;
  }

  /** Follows redirects within Cardea; the answer is a page, or the redirect that leads away. */
  async visit(url: string, init: RequestInit = {}): Promise<Page> {
    let page = await this.request(url, init);
    for (let hops = 0; hops < 10; hops += 1) {
      const location = page.headers.get('location');
      if (page.status < 300 || page.status > 399 || location === null) return page;
      const target = new URL(location, page.url).href;
      if (!target.startsWith(`${this.origin}/`)) return page;
      page = await this.request(target);
    }
    throw new Error('too many redirects');
  }

  /** Sends the page's form with these fields, from the page itself. */
  send(page: Page, fields: Record<string, string>, form: Form | undefined = formsOf(page)[0]): Promise<Page> {
    if (!form) throw new Error(`No form on ${page.url}: ${page.status} ${page.html.slice(0, 300)}`);
    return this.post(form.action, { ...form.fields, ...fields });
  }

  /** One POST as a form of ours would send it. */
  post(url: string, fields: Record<string, string>): Promise<Page> {
    return this.visit(url, { method: 'POST', body: new URLSearchParams(fields), headers: { origin: this.origin, 'sec-fetch-site': 'same-origin' } });
  }
}

export interface RelyingParty {
  configuration: client.Configuration;
  client: TestClient;
}

/** By default the library waits half a minute, which many requests at once may take on a busy machine. */
const PATIENCE_SECONDS = 180;

export async function relyingParty(cardea: Pick<Cardea, 'origin'>, realm: RealmRow, testClient: TestClient): Promise<RelyingParty> {
  const auth = testClient.secret === null ? client.None() : client.ClientSecretBasic(testClient.secret);
  const configuration = await client.discovery(new URL(`${cardea.origin}/realms/${realm.name}`), testClient.clientId, undefined, auth, {
    execute: [client.allowInsecureRequests],
    timeout: PATIENCE_SECONDS,
  });
  return { configuration, client: testClient };
}

/** An authorization request as an application makes it. */
export interface Request {
  url: string;
  verifier: string;
  state: string;
  nonce: string;
}

export async function authorizationRequest(rp: RelyingParty, parameters: Record<string, string> = {}): Promise<Request> {
  const verifier = client.randomPKCECodeVerifier();
  const state = client.randomState();
  const nonce = client.randomNonce();
  const url = client.buildAuthorizationUrl(rp.configuration, {
    redirect_uri: rp.client.redirectUri,
    scope: 'openid',
    code_challenge: await client.calculatePKCECodeChallenge(verifier),
    code_challenge_method: 'S256',
    state,
    nonce,
    ...parameters,
  });
  return { url: url.href, verifier, state, nonce };
}

export type Tokens = Awaited<ReturnType<typeof client.authorizationCodeGrant>>;

/** What is said at the token endpoint besides the code: parameters, and the key that tokens are to be bound to. */
export interface Asked extends client.AuthorizationCodeGrantOptions {
  parameters?: Record<string, string>;
}

/** Exchanges the code of the redirect that leads away. */
export async function exchange(rp: RelyingParty, request: Request, page: Page, asked: Asked = {}): Promise<Tokens> {
  const location = page.headers.get('location');
  if (location === null) throw new Error(`No redirect to the application from ${page.url}: ${page.status} ${text(page)}`);
  const checks = { pkceCodeVerifier: request.verifier, expectedState: request.state, expectedNonce: request.nonce };
  return client.authorizationCodeGrant(rp.configuration, new URL(location), checks, asked.parameters, asked);
}

export interface SignedIn {
  browser: Browser;
  tokens: Tokens;
  /** Base32; of the app that was enrolled on the way, if one was. */
  totpSecret: string | undefined;
}

/** The whole way, with enrolment of an app when it is due; what is offered besides is declined. `clock` is for codes: seconds since the epoch. */
export async function signIn(
  cardea: Pick<Cardea, 'origin'>,
  rp: RelyingParty,
  user: { username: string; password: string },
  options: { browser?: Browser; totpSecret?: string; clock?: () => number; parameters?: Record<string, string>; asked?: Asked } = {},
): Promise<SignedIn> {
  const browser = options.browser ?? new Browser(cardea.origin);
  const request = await authorizationRequest(rp, options.parameters);
  let page = await browser.visit(request.url);
  let totpSecret = options.totpSecret;
  for (let pages = 0; pages < 10 && page.status < 300; pages += 1) {
    const form = formsOf(page)[0];
    if (!form) break;
    if (form.names.includes('factor')) page = await browser.send(page, { factor: 'totp' });
    else if (page.html.includes('value="accept"')) page = await browser.send(page, { do: 'skip' });
    else if (form.names.includes('username')) page = await browser.send(page, { username: user.username, password: user.password });
    else if (form.names.includes('label')) {
      totpSecret = keyOf(page);
      page = await browser.send(page, { code: codeOf(totpSecret, options.clock) });
    } else if (form.names.includes('code')) page = await browser.send(page, { code: codeOf(totpSecret ?? '', options.clock) });
    else if (page.html.includes('value="allow"')) page = await browser.send(page, { do: 'allow' });
    else break;
  }
  return { browser, tokens: await exchange(rp, request, page, options.asked), totpSecret };
}

/** The key that an enrolment page shows, without its groups. */
export function keyOf(page: Page): string {
  const key = /class="key"[^>]*>([^<]+)</.exec(page.html)?.[1];
  if (!key) throw new Error(`No key on ${page.url}: ${text(page)}`);
  return key.replaceAll(/\s/g, '');
}

/** The code an authenticator app shows. */
export const codeOf = (secret: string, clock?: () => number): string => generateSync({ secret, ...(clock ? { epoch: clock() } : {}) });

/** What a page says, for a failing test. */
export const text = (page: Page): string =>
  page.html
    .replace(/<[^>]+>/g, ' ')
    .replaceAll(/\s+/g, ' ')
    .slice(0, 400);

export { client as openid };
