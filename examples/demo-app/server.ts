/**
 * A small application that lets its users sign in with Cardea: what a real relying party does, in as few files as it takes.
 *
 *     relying-party.ts   openid-client: where to send the browser, what to do with the code, refresh, sign-out
 *     api.ts             an API that asks for more when the sign-in was not enough (RFC 9470)
 *     sessions.ts        this application's own sessions, in memory
 *     logouts.ts         ends them when the issuer says that its session has ended (back-channel logout)
 *     tokens.ts          tokens and claims as the page shows them
 *     problems.ts        what an error means to a person
 *
 * It runs with Cardea's demo, on a port and so on an origin of its own, or alone: see README.md.
 */
import { createServer } from 'node:http';
import { fileURLToPath } from 'node:url';
import Koa from 'koa';
import { z } from 'zod';
import { sameOrigin } from '../../src/http/csrf.ts';
import { formActionOf, securityHeaders } from '../../src/http/headers.ts';
import { readForm } from '../../src/http/input.ts';
import { createRenderer } from '../../src/http/render.ts';
import { createStatics } from '../../src/http/statics.ts';
import { askedBy, TransferApi } from './api.ts';
import { Logouts } from './logouts.ts';
import { Problem, problemOf } from './problems.ts';
import { RelyingParty } from './relying-party.ts';
import { type DemoSession, Sessions } from './sessions.ts';
import { pageOf } from './tokens.ts';

export interface DemoOptions {
  /** Of the realm, such as `http://localhost:8080/realms/demo`. */
  issuer: string;
  clientId: string;
  clientSecret: string;
  /** 0 for any free one. */
  port: number;
  /** The address to listen on. */
  host: string;
}

export interface RunningDemo {
  /** As browsers reach it. */
  url: string;
  close(): Promise<void>;
}

const folder = (name: string): string => fileURLToPath(new URL(`./${name}/`, import.meta.url));

/** Starts the application. It asks the issuer for nothing before somebody signs in, so that both may start together. */
export async function startDemoApp(options: DemoOptions): Promise<RunningDemo> {
  const server = createServer();
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(options.port, options.host, resolve);
  });
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('The demo application listens on no port.');
  const url = `http://localhost:${address.port}`;
  const host = address.family === 'IPv6' ? `[${address.address}]` : address.address;
  server.on('request', createDemo({ ...options, origin: url, listening: `http://${host}:${address.port}` }).callback());
  return {
    url,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

interface Visit {
  ctx: Koa.Context;
  session: DemoSession;
}

function createDemo(options: DemoOptions & { origin: string; listening: string }): Koa {
  const { origin, issuer } = options;
  const party = new RelyingParty(options);
  const sessions = new Sessions(origin);
  const api = new TransferApi(issuer);
  const logouts = new Logouts(options);
  const [statics, own] = [createStatics(), createStatics(folder('public'))];
  const { render } = createRenderer({ production: true, statics, viewsDir: folder('views'), language: 'en' });
  const common = { realm: { name: 'demo-app', displayName: 'Demo application' }, base: '', issuer, demoCss: own.url('demo.css') };
  const show = (ctx: Koa.Context, view: string, model: object, status = 200) => render(ctx, view, { ...common, ...model }, status);
  // Chromium applies form-action to the redirects that follow a POST, and each of ours leads to the issuer.
  const formActions = [formActionOf(issuer)].filter((source) => source !== undefined);

  const routes: Record<string, (visit: Visit) => Promise<void>> = {
    'GET /': async ({ ctx, session }) => {
      if (!session.tokens) return show(ctx, 'demo/home', {});
      return show(ctx, 'demo/tokens', await pageOf(party, session.tokens, session));
    },
    'POST /sign-in': async ({ ctx, session }) => seeOther(ctx, await party.begin(session, {})),
    // A second factor, now, however long ago the last one was shown (RFC 9470 section 4).
    'POST /step-up': async ({ ctx, session }) => seeOther(ctx, await party.begin(session, { acr_values: 'aal2', max_age: '0' })),
    'GET /callback': async ({ ctx, session }) => {
      const signedIn = await party.finish(session, new URL(ctx.originalUrl, origin));
      // Another cookie after every sign-in, so that nobody can have known it before.
      sessions.replace(ctx, signedIn);
      // What was begun before the sign-in was not enough goes on, once.
      if (signedIn.resume === 'transfer') signedIn.transfer = await transfer(signedIn);
      signedIn.resume = undefined;
      seeOther(ctx, '/');
    },
    // The API says by itself what it needs; this application only passes it on to the issuer.
    'POST /transfer': async ({ ctx, session }) => {
      if (!session.tokens) return seeOther(ctx, '/');
      const answer = await callApi(session.tokens.accessToken);
      const asked = answer.status === 401 ? askedBy(answer.challenge) : undefined;
      if (asked) return seeOther(ctx, await party.begin(session, asked, 'transfer'));
      session.transfer = outcomeOf(answer);
      seeOther(ctx, '/');
    },
    'POST /refresh': async ({ ctx, session }) => {
      try {
        await party.refresh(session);
      } catch (error) {
        const problem = problemOf(error);
        // The session behind the tokens is gone: this application's own goes with it.
        if (problem.code === 'invalid_grant') sessions.end(ctx);
        throw problem;
      }
      seeOther(ctx, '/');
    },
    'POST /sign-out': async ({ ctx, session }) => {
      sessions.end(ctx);
      seeOther(ctx, session.tokens ? await party.endSession(session.tokens) : '/');
    },
  };

  /** The status of the answer (section 2.8); what throws is tried again by the issuer. */
  async function endedBy(ctx: Koa.Context): Promise<200 | 400> {
    const { logout_token: token } = await readForm(ctx, z.object({ logout_token: z.string() }));
    const sid = await logouts.sidOf(token);
    if (sid === undefined) return 400;
    sessions.endOf(sid);
    return 200;
  }

  /** Over HTTP, as if the API stood somewhere else. */
  async function callApi(accessToken: string): Promise<{ status: number; challenge: string | null }> {
    const response = await fetch(`${options.listening}/api/transfer`, { method: 'POST', headers: { authorization: `Bearer ${accessToken}` } });
    await response.body?.cancel();
    return { status: response.status, challenge: response.headers.get('www-authenticate') };
  }
  const transfer = async ({ tokens }: DemoSession): Promise<DemoSession['transfer']> =>
    tokens ? outcomeOf(await callApi(tokens.accessToken)) : undefined;

  const app = new Koa();
  app.silent = true;
  app.use(statics.middleware);
  app.use(own.middleware);
  app.use(async (ctx, next) => {
    if (ctx.path !== '/api/transfer' || ctx.method !== 'POST') return next();
    const { status, headers, body } = await api.answer(ctx.get('authorization') || undefined, Date.now());
    ctx.set({ ...headers, 'Cache-Control': 'no-store' });
    ctx.status = status;
    ctx.body = body;
  });
  // The issuer's server posts, and no browser: what says that it may is the signature of the token.
  app.use(async (ctx, next) => {
    if (ctx.path !== '/backchannel-logout' || ctx.method !== 'POST') return next();
    ctx.set('Cache-Control', 'no-store');
    ctx.status = await endedBy(ctx);
    ctx.body = '';
  });
  app.use(async (ctx) => {
    ctx.set(securityHeaders({ origin, formActions }));
    ctx.set('Cache-Control', 'no-store');
    try {
      const route = routes[`${ctx.method === 'HEAD' ? 'GET' : ctx.method} ${ctx.path}`];
      if (!route) throw new Problem(404, 'There is no such page', 'This application has one page, and the addresses that sign you in and out.');
      if (ctx.method === 'POST' && !sameOrigin(ctx.req.headers, origin))
        throw new Problem(403, 'This form is not ours', 'It was sent from another page.');
      await route({ ctx, session: sessions.of(ctx) });
    } catch (error) {
      const { status, title, message, code, description } = problemOf(error);
      await show(ctx, 'demo/problem', { title, message, code, description }, status);
    }
  });
  return app;
}

/** What is said of an answer of the API. */
const outcomeOf = ({ status }: { status: number }): DemoSession['transfer'] => (status === 200 ? 'done' : 'refused');

function seeOther(ctx: Koa.Context, location: string): void {
  ctx.status = 303;
  ctx.redirect(location);
}

if (import.meta.main) {
  const { ISSUER: issuer, CLIENT_ID: clientId, CLIENT_SECRET: clientSecret, PORT: port = '8081', HOST: host = '127.0.0.1' } = process.env;
  if (!issuer || !clientId || !clientSecret) {
    console.error('Set ISSUER, CLIENT_ID and CLIENT_SECRET; README.md beside this file says how to get them.');
    process.exitCode = 1;
  } else {
    const { url } = await startDemoApp({ issuer, clientId, clientSecret, port: Number(port), host });
    console.log(`The demo application is at ${url}`);
  }
}
