/**
 * The composition root: builds the rooms, hands each what it needs, and shows the order of the middleware on one screen.
 */
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import Router from '@koa/router';
import Koa from 'koa';
import { handleAccount } from './account/routes.ts';
import { handleAdminConsole, redirectToConsole } from './admin/console/routes.ts';
import { retireOldKeys } from './admin/resources/data-keys.ts';
import type { Caller } from './admin/rest/access.ts';
import { handleRest, type RestDeps } from './admin/rest/mount.ts';
import { handleReference } from './admin/rest/reference.ts';
import { handleRegistration } from './admin/rest/registrations.ts';
import { AuditBatch } from './audit/batch.ts';
import { type Deliveries, missingChannels } from './delivery/delivery.ts';
import { readInbox } from './delivery/inbox.ts';
import { notFound } from './errors.ts';
import { handleGate } from './gate/routes.ts';
import { createAlarm } from './http/alarm.ts';
import { answerLogo, LOGOS } from './http/client-logo.ts';
import { createCodeFlow } from './http/code-flow.ts';
import { answerErrors, underRealm } from './http/errors.ts';
import { createGuardedClient } from './http/guarded-client.ts';
import { securityHeaders } from './http/headers.ts';
import { setLanguage } from './http/language.ts';
import { answerMessageBundle } from './http/message-bundles.ts';
import { createRelying } from './http/relying.ts';
import { createRenderer } from './http/render.ts';
import { createStatics } from './http/statics.ts';
import { answerUnreadable } from './http/unreadable.ts';
import { couriersOf, deliveriesOf, type Installation, metricsOf, operatorOf } from './installation.ts';
import { ENGLISH } from './languages/languages.ts';
import { say } from './languages/messages.ts';
import { signInDirectly } from './login/direct.ts';
import { inviteUser } from './login/recovery/invite.ts';
import { Recoveries } from './login/recovery/recoveries.ts';
import { handleRecovery } from './login/recovery/routes.ts';
import type { LoginDeps } from './login/room.ts';
import { handleLogin } from './login/routes.ts';
import type { LoginState } from './login/state.ts';
import { bearerOf, realmOfToken } from './oidc/bearer.ts';
import { dispatch } from './oidc/dispatch.ts';
import { handleImpersonation } from './oidc/impersonation.ts';
import { interactionsOf } from './oidc/interactions.ts';
import { FRAMES, handleFrames } from './oidc/login-status.ts';
import { answerProfile, asksForProfile } from './oidc/profile.ts';
import { buildRealm, type OidcRealm } from './oidc/provider.ts';
import { levelOfAcr } from './policy/policy.ts';
import { type RealmContext, RealmRegistry } from './realms/registry.ts';
import { realmJson } from './realms/representation.ts';
import { countRefusedToken } from './sessions/refused-tokens.ts';
import { endRunOut } from './sessions/run-out.ts';
import { type DirectSignIn, SignIns } from './sessions/sign-ins.ts';
import { sweepExpired } from './store/sweep.ts';
import { liveness, readiness, shared } from './telemetry/health.ts';
import { type Log, requestLog } from './telemetry/log.ts';
import type { Answer, ServedMetrics } from './telemetry/serve-metrics.ts';

/** Expired rows are removed this often, a bounded batch at a time. */
const SWEEP_EVERY_MS = 60_000;
/** Data keys that a rotation has left behind are looked for this often. */
const RETIRE_EVERY_MS = 600_000;
/** Longer than any proxy keeps an idle connection, so that it is the proxy who closes it. */
const KEEP_ALIVE_MS = 65_000;
/** Requests under way get this long when the server stops. */
const SHUTDOWN_MS = 10_000;

export interface RunningServer {
  /** Where it listens, such as `http://127.0.0.1:8080`. */
  url: string;
  close(): Promise<void>;
}

/** Starts listening. */
export async function startServer(options: { installation: Installation; log: Log }): Promise<RunningServer> {
  const { config, db } = options.installation;
  const now = () => Date.now();
  const metrics = await metricsOf(options.installation, options.log);
  const server = createServer();
  server.keepAliveTimeout = KEEP_ALIVE_MS;
  server.on('clientError', answerUnreadable);
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(config.port, config.host, resolve);
  });
  const url = addressOf(server);
  const deliveries = deliveriesOf(options.installation, options.log);
  const batch = new AuditBatch(db.knex, (error) => options.log.error({ err: error }, 'events could not be recorded'));
  for (const missing of missingChannels(config)) options.log.warn(missing);
  server.on('request', createApp({ ...options, deliveries, batch, metrics, now, listening: () => url }).callback());
  deliveries.postman.start();
  const couriers = couriersOf(options.installation, options.log);
  for (const courier of couriers) courier.start();

  const sweeping = setInterval(() => {
    sweepExpired(db, now()).catch((error: unknown) => options.log.warn({ err: error }, 'expired rows could not be removed'));
    endRunOut(db, now()).catch((error: unknown) => options.log.warn({ err: error }, 'sessions that ran out could not be ended'));
  }, SWEEP_EVERY_MS);
  sweeping.unref();
  const retiring = setInterval(() => void retireKeys(options.installation, options.log, now()), RETIRE_EVERY_MS);
  retiring.unref();
  return {
    url,
    async close() {
      clearInterval(sweeping);
      clearInterval(retiring);
      const closed = new Promise<void>((resolve) => server.close(() => resolve()));
      server.closeIdleConnections();
      const limit = setTimeout(() => server.closeAllConnections(), SHUTDOWN_MS);
      await closed;
      clearTimeout(limit);
      await deliveries.close();
      await batch.flush();
      await Promise.all(couriers.map((courier) => courier.close()));
      await metrics?.close();
    },
  };
}

/**
 * Builds the application: every room, once.
 *
 * @param options.listening where our own socket is: our consoles are relying parties, and in a container the public origin may not resolve
 */
export function createApp(options: {
  installation: Installation;
  deliveries: Deliveries;
  batch: AuditBatch;
  metrics?: ServedMetrics | undefined;
  log: Log;
  now: () => number;
  listening: () => string;
}): Koa {
  const { installation, log, now } = options;
  const { config, db, keyring, passwords, factors } = installation;
  const { origin } = config;
  const statics = createStatics();
  const renderer = createRenderer({ production: config.production, statics });
  const signIns = new SignIns<LoginState>(db, keyring);
  const alarm = createAlarm({ db, now });
  const shown = { origin, render: renderer.render, now, log };
  const { sendCode, notices } = options.deliveries;
  const login: LoginDeps = { ...shown, db, keyring, passwords, factors, signIns, sendCode, ...notices };
  const relying = createRelying({ ...shown, db, factors, listening: options.listening });
  const fetchGuarded = createGuardedClient({ allow: config.outboundAllow });
  const oidc = {
    ...{ alarm, batch: options.batch, db, keyring, factors, fetchGuarded, signIns, clientCertificates: config.clientCertificates },
    signInDirectly: (ctx: Koa.Context, realm: RealmContext, given: DirectSignIn) => signInDirectly(login, ctx, realm, given),
  };
  const realms = new RealmRegistry<OidcRealm>({
    db,
    keyring,
    build: (context) => buildRealm({ ...shown, ...oidc, context }),
    clientsChanged: ({ clients }) => clients.clear(),
  });
  const requireRealm = async (ctx: Koa.Context, name: string): Promise<OidcRealm> => {
    const realm = await realms.get(name, now());
    if (!realm) throw notFound(say('error.noRealm'), 'realm_not_found');
    underRealm(ctx, realm.context.realm);
    return realm.built;
  };

  const router = new Router({ sensitive: true, strict: true });
  const { metrics } = options;
  if (metrics && metrics.url === undefined) router.get('/metrics', async (ctx) => answerPlainly(ctx, await metrics.answer(ctx.req.headers)));
  router.get('/health/live', (ctx) => answer(ctx, liveness()));
  const databaseAnswers = shared(() => db.knex.raw('SELECT 1'));
  router.get('/health/ready', async (ctx) =>
    answer(ctx, await readiness({ database: databaseAnswers }, { onFailure: (name, err) => log.error({ err }, `${name} does not answer`) })),
  );
  // RFC 8414 section 3.1 puts the issuer's path last.
  router.get('/.well-known/oauth-authorization-server/realms/:realm', async (ctx) =>
    dispatch(ctx, await requireRealm(ctx, param(ctx, 'realm')), '/.well-known/oauth-authorization-server'),
  );
  router.get('/realms/:realm', async (ctx) => {
    const { room } = await requireRealm(ctx, param(ctx, 'realm'));
    ctx.set('Access-Control-Allow-Origin', '*');
    ctx.body = realmJson(origin, room.context);
  });
  router.get(/^\/resources\/([^/]+)\/([^/]+)\/([\w-]+)$/, async (ctx) => {
    const [name = '', themeType = '', locale = ''] = ctx.captures ?? [];
    await requireRealm(ctx, name);
    answerMessageBundle(ctx, themeType, locale);
  });
  router.get(LOGOS, async (ctx) => {
    const [name = '', id = '', hash = ''] = ctx.captures ?? [];
    const { room } = await requireRealm(ctx, name);
    await answerLogo(ctx, db, room.context.realm.id, [id, hash]);
  });
  // A POST is looked at for its origin; nothing else may do anything.
  router.register('/realms/:realm/login/:uid', ['GET', 'POST'], async (ctx) => {
    const oidc = await requireRealm(ctx, param(ctx, 'realm'));
    await handleLogin(login, ctx, oidc.room.context, interactionsOf(oidc), param(ctx, 'uid'));
  });
  router.register('/realms/:realm/impersonation', ['GET', 'POST'], async (ctx) =>
    handleImpersonation(await requireRealm(ctx, param(ctx, 'realm')), ctx),
  );
  const recovery = { ...login, recoveries: new Recoveries(db, keyring), writeTo: notices.writeTo };
  router.all(/^\/realms\/([^/]+)\/login-actions(\/.+)$/, async (ctx) => {
    const [name = '', path = ''] = ctx.captures ?? [];
    const { room } = await requireRealm(ctx, name);
    await handleRecovery(recovery, ctx, room.context, path);
  });
  router.all(/^\/realms\/([^/]+)\/account(\/.*)?$/, async (ctx) => {
    const [name = '', path = ''] = ctx.captures ?? [];
    const oidc = await requireRealm(ctx, name);
    const { room } = oidc;
    if (asksForProfile(ctx, path)) return answerProfile(oidc, ctx);
    await handleAccount({ ...shown, db, keyring, passwords, factors, relying, ...notices }, ctx, room.context, path);
  });
  const flow = createCodeFlow({ origin, listening: options.listening });
  router.all(/^\/realms\/([^/]+)\/gate(\/.+)$/, async (ctx) => {
    const [name = '', path = ''] = ctx.captures ?? [];
    const { room } = await requireRealm(ctx, name);
    await handleGate({ ...shown, db, factors, flow }, ctx, room.context, path);
  });
  // Bearer tokens only: nothing here looks at a cookie.
  const callerOf = async (token: string): Promise<Caller | undefined> => {
    const name = realmOfToken(token, origin);
    const realm = name === undefined ? undefined : await realms.get(name, now());
    const bearer = realm && (await bearerOf(realm.built, token));
    if (!realm || !bearer) return undefined;
    const { realm: row, policy } = realm.context;
    const level = levelOfAcr(policy.document, bearer.acr ?? '') ?? 'aal1';
    return { ...bearer, realm: row, level, floor: policy.document.floors.administrator };
  };
  const refusedToken = async (address: string): Promise<void> => {
    const master = await realms.get('master', now());
    if (master) await countRefusedToken(db, { ...master.context.realm, rootSecret: master.context.rootSecret }, address, now());
  };
  const rest: RestDeps = {
    db,
    origin,
    now,
    log,
    alarm,
    deliveries: options.deliveries,
    outbound: { fetch: fetchGuarded, allow: config.outboundAllow },
    callerOf,
    invite: (realm, user, invitation) => inviteUser(recovery, realm, user, invitation),
    operator: (actor, at) => ({ db, keyring, passwords, factors, origin, notices, outboundAllow: config.outboundAllow, actor, now: at }),
    refusedToken,
  };
  router.all(/^\/admin\/((?:realms|serverinfo|openapi\.json)(?:\/.*)?|[^/]+\/console\/whoami)$/, (ctx) =>
    handleRest(rest, ctx, `/${ctx.captures?.[0] ?? ''}`),
  );
  router.get('/admin/api', (ctx) => handleReference(shown, ctx));
  router.all(/^\/realms\/([^/]+)\/clients-registrations(\/.+)$/, async (ctx) => {
    const [name = '', path = ''] = ctx.captures ?? [];
    const { room } = await requireRealm(ctx, name);
    await handleRegistration(rest, ctx, room.context.realm, path);
  });
  router.get(/^\/admin\/?$/, redirectToConsole);
  router.all(/^\/admin\/master\/console(\/.*)?$/, async (ctx) => {
    const { room } = await requireRealm(ctx, 'master');
    await handleAdminConsole({ ...shown, db, relying }, ctx, room.context, ctx.captures?.[0] ?? '');
  });
  // What would have been sent is for whoever develops here, under our own name: no other site may read it by rebinding a name of its own.
  if (!config.production) {
    router.get('/inbox', async (ctx) => {
      setLanguage(ctx, ENGLISH);
      if (ctx.get('host') !== new URL(origin).host) throw notFound(say('error.noPage'));
      ctx.set(securityHeaders({ origin }));
      await renderer.render(ctx, 'inbox', { messages: await readInbox({ db, keyring }) });
    });
  }
  const frames = { loginStatus: statics.url('login-status.js'), thirdPartyCookies: statics.url('third-party-cookies.js') };
  router.get(FRAMES, async (ctx) => {
    const [name = '', path = ''] = ctx.captures ?? [];
    await handleFrames(await requireRealm(ctx, name), frames, ctx, path);
  });
  router.all(/^\/realms\/([^/]+)(\/(?:protocol\/openid-connect|\.well-known|device)\/.+|\/device)$/, async (ctx) => {
    const [name = '', path = ''] = ctx.captures ?? [];
    await dispatch(ctx, await requireRealm(ctx, name), `${path}${ctx.search}`);
  });

  const app = new Koa({ proxy: config.trustProxy > 0, maxIpsCount: config.trustProxy });
  app.on('error', (error: unknown) => log.error({ err: error }, 'a response failed'));
  if (options.metrics) app.use(options.metrics.middleware);
  app.use(requestLog(log));
  app.use(answerErrors({ origin, renderer, log, alarm }));
  app.use(plainPathsOnly);
  // The origin says whether people come by https: behind a proxy this socket cannot tell, and would refuse to set a cookie.
  app.use((ctx, next) => {
    ctx.cookies.secure = origin.startsWith('https:');
    return next();
  });
  app.use(statics.middleware);
  app.use(router.routes());
  app.use(router.allowedMethods());
  return app;
}

/**
 * One spelling a path: encoded characters, dot segments, doubled slashes and absolute-form targets would reach a realm by
 * another name than the one that cookies, throttles and proxies know (security-tests F01).
 */
const plainPathsOnly: Koa.Middleware = async (ctx, next) => {
  // Names of roles stand in paths of the REST API, which reads them segment by segment (admin/rest/mount.ts).
  if (ctx.path.startsWith('/admin/realms/') && !/\\|\/\/|\/\.{1,2}(?:\/|$)|[^\x21-\x7e]/.test(ctx.path)) return next();
  if (!ctx.req.url?.startsWith('/') || /%|\\|\/\/|\/\.{1,2}(?:\/|$)|[^\x21-\x7e]/.test(ctx.path)) throw notFound(say('error.noPage'));
  await next();
};

/** What a rotation of data keys has left behind: old keys go when their time has come. */
async function retireKeys(installation: Installation, log: Log, now: number): Promise<void> {
  try {
    for await (const { realmId, retired, unreadable } of retireOldKeys(operatorOf(installation, 'server', now))) {
      if (retired.length > 0) log.info({ realm: realmId, keys: retired }, 'old data keys were deleted');
      if (unreadable.length > 0) log.error({ realm: realmId, columns: unreadable }, 'there are sealed values that do not open');
    }
  } catch (error) {
    log.warn({ err: error }, 'old data keys could not be looked for');
  }
}

function answerPlainly(ctx: Koa.Context, { status, headers, body }: Answer): void {
  ctx.status = status;
  ctx.set(headers);
  ctx.body = body;
}

function answer(ctx: Koa.Context, health: { status: number; body: object }): void {
  ctx.status = health.status;
  ctx.body = health.body;
}

function param(ctx: { params: Record<string, string | undefined> }, name: string): string {
  return ctx.params[name] ?? '';
}

function addressOf(server: Server): string {
  const address: AddressInfo | string | null = server.address();
  if (address === null || typeof address === 'string') throw new Error('The server listens on no port.');
  const host = address.family === 'IPv6' ? `[${address.address}]` : address.address;
  return `http://${host}:${address.port}`;
}
