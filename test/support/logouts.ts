/** Applications that are told of the end of a session, and believe what OpenID Connect Back-Channel Logout 1.0 section 2.6 says they should. */
import type { IncomingMessage, ServerResponse } from 'node:http';
import { setTimeout as pause } from 'node:timers/promises';
import { createRemoteJWKSet, decodeProtectedHeader, jwtVerify } from 'jose';
import { z } from 'zod';
import { listen } from './listen.ts';

const EVENT = 'http://schemas.openid.net/event/backchannel-logout';

const logoutClaims = z.object({
  iss: z.string(),
  aud: z.string(),
  iat: z.number(),
  exp: z.number(),
  jti: z.string().min(1),
  sub: z.string().min(1),
  sid: z.string().min(1),
  events: z.strictObject({ [EVENT]: z.strictObject({}) }),
});
export type LogoutClaims = z.output<typeof logoutClaims>;

/** Verifies a logout token as its client, with the keys that the realm publishes now, or throws. */
export async function verifyLogout(
  token: string,
  expected: { issuer: string; clientId: string; algorithm?: string; now?: number },
): Promise<LogoutClaims> {
  const { issuer, clientId, algorithm = 'RS256', now = Date.now() } = expected;
  const { payload } = await jwtVerify(token, createRemoteJWKSet(new URL(`${issuer}/protocol/openid-connect/certs`)), {
    ...{ issuer, audience: clientId, algorithms: [algorithm], typ: 'logout+jwt' },
    currentDate: new Date(now),
    requiredClaims: ['iat', 'exp', 'jti', 'events'],
  });
  if ('nonce' in payload) throw new Error('A logout token has no nonce.');
  if (typeof decodeProtectedHeader(token).kid !== 'string') throw new Error('It does not say by which key.');
  const claims = logoutClaims.parse(payload);
  if (claims.exp - claims.iat !== 120) throw new Error('It is good for two minutes.');
  return claims;
}

export interface LogoutReceiver {
  url: string;
  port: number;
  /** The logout tokens that came, in their order. */
  received: string[];
  requests: IncomingMessage[];
  /** Resolves when so many have come, or after half a minute. */
  until(count: number): Promise<string[]>;
}

/** An application's address for logouts; `answer` may do as it likes with each. */
export async function logoutReceiver(
  answer: (response: ServerResponse, count: number) => void = (response) => response.writeHead(200, { 'cache-control': 'no-store' }).end(),
): Promise<LogoutReceiver> {
  const received: string[] = [];
  const serve = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk);
    const form = new URLSearchParams(Buffer.concat(chunks).toString());
    const isForm = request.headers['content-type'] === 'application/x-www-form-urlencoded';
    if (request.method !== 'POST' || !isForm || [...form.keys()].join() !== 'logout_token') {
      response.writeHead(400).end();
      return;
    }
    received.push(form.get('logout_token') ?? '');
    answer(response, received.length);
  };
  const { port, requests } = await listen((request, response) => {
    serve(request, response).catch(() => response.destroy());
  });
  return {
    url: `http://localhost:${port}/backchannel`,
    ...{ port, received, requests },
    async until(count) {
      for (let tries = 0; tries < 3_000 && received.length < count; tries += 1) await pause(10);
      return received;
    },
  };
}
