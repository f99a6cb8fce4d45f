/**
 * An application at an origin of its own, on another site than Cardea (127.0.0.1 against localhost): it sends its user
 * away, by a redirect or by a form that is posted, and shows what it got when the user comes back.
 */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { NewClient } from '../../src/admin/resources/clients.ts';
import type { RealmRow } from '../../src/store/realms.ts';
import type { Cardea } from './cardea.ts';
import { atEnd } from './cleanup.ts';
import { freePort } from './ports.ts';
import { authorizationRequest, openid, type Request, relyingParty, type Tokens } from './sign-in.ts';

export interface Application {
  origin: string;
  /** The page that sends its user away, with these parameters more. */
  start(parameters?: Record<string, string>): string;
  /** The page with a form that is posted to the authorization endpoint. */
  startByPost(parameters?: Record<string, string>): string;
  /** The page that signs out. */
  signOut: string;
  /** What came back, the last first. */
  arrivals: { method: string; tokens: Tokens | undefined; error: string | undefined }[];
}

const escaped = (text: string): string => text.replaceAll('&', '&amp;').replaceAll('"', '&quot;').replaceAll('<', '&lt;');
const page = (title: string, body: string): string =>
  `<!doctype html><html lang="en"><title>${title}</title><main><h1>${title}</h1>${body}</main></html>`;

/** Starts an application as a client of a realm; it is closed after the last test of the file. */
export async function startApplication(cardea: Cardea, realm: RealmRow, client: Partial<NewClient> = {}): Promise<Application> {
  const port = await freePort();
  const origin = `http://127.0.0.1:${port}`;
  const registered = await cardea.client(realm, {
    name: 'Parts Catalogue',
    redirectUris: [`${origin}/callback`],
    postLogoutRedirectUris: [`${origin}/bye`],
    ...client,
  });
  const rp = await relyingParty(cardea, realm, { ...registered, redirectUri: `${origin}/callback` });
  const underway = new Map<string, Request>();
  const arrivals: Application['arrivals'] = [];

  const begin = async (query: URLSearchParams): Promise<URL> => {
    const request = await authorizationRequest(rp, Object.fromEntries(query));
    underway.set(request.state, request);
    return new URL(request.url);
  };

  const arrive = async (request: IncomingMessage): Promise<string> => {
    const url = new URL(request.url ?? '/', origin);
    const answer = request.method === 'POST' ? new URLSearchParams(await bodyOf(request)) : url.searchParams;
    const asked = underway.get(answer.get('state') ?? '');
    if (!asked) throw new Error(`An answer to nothing that was asked: ${answer}`);
    const error = answer.get('error') ?? undefined;
    const sent =
      request.method === 'POST'
        ? new globalThis.Request(url, { method: 'POST', body: answer, headers: { 'content-type': 'application/x-www-form-urlencoded' } })
        : url;
    const checks = { pkceCodeVerifier: asked.verifier, expectedState: asked.state, expectedNonce: asked.nonce };
    const tokens = error === undefined ? await openid.authorizationCodeGrant(rp.configuration, sent, checks) : undefined;
    arrivals.unshift({ method: request.method ?? '', tokens, error });
    return page(error ?? 'Welcome back', `<p id="claims">${escaped(JSON.stringify(tokens?.claims() ?? {}))}</p>`);
  };

  const answer = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const { pathname, searchParams } = new URL(request.url ?? '/', origin);
    const show = (html: string): void => void response.setHeader('content-type', 'text/html; charset=utf-8').end(html);
    const leave = (to: string): void => void response.writeHead(303, { location: to }).end();
    switch (pathname) {
      case '/start':
        return leave((await begin(searchParams)).href);
      case '/post': {
        const url = await begin(searchParams);
        const fields = [...url.searchParams].map(([name, value]) => `<input type="hidden" name="${escaped(name)}" value="${escaped(value)}">`);
        return show(page('Start', `<form method="post" action="${url.origin}${url.pathname}">${fields.join('')}<button>Sign in</button></form>`));
      }
      case '/callback':
        return show(await arrive(request));
      case '/sign-out':
        return leave(
          openid.buildEndSessionUrl(rp.configuration, {
            id_token_hint: arrivals[0]?.tokens?.id_token ?? '',
            post_logout_redirect_uri: `${origin}/bye`,
          }).href,
        );
      case '/bye':
        return show(page('Bye', ''));
      default:
        response.writeHead(404).end();
    }
  };

  const server = createServer((request, response) => {
    answer(request, response).catch((error: unknown) => response.writeHead(500).end(String(error)));
  });
  await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve));
  atEnd(
    () =>
      new Promise((resolve) => {
        server.closeAllConnections();
        server.close(resolve);
      }),
  );
  const query = (parameters: Record<string, string> = {}): string => String(new URLSearchParams(parameters));
  return {
    origin,
    arrivals,
    start: (parameters) => `${origin}/start?${query(parameters)}`,
    startByPost: (parameters) => `${origin}/post?${query(parameters)}`,
    signOut: `${origin}/sign-out`,
  };
}

async function bodyOf(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk);
  return Buffer.concat(chunks).toString();
}
