/**
 * The composition root: builds the rooms, hands each what it needs, and shows the order of the middleware on one screen.
 */
import Router from '@koa/router';
import Koa from 'koa';
import { handleAccount } from './account/routes.ts';
import { handleAdminConsole, redirectToConsole } from './admin/console/routes.ts';
import type { Caller } from './admin/rest/access.ts';
import { handleRest, type RestDeps } from './admin/rest/mount.ts';
import { handleReference } from './admin/rest/reference.ts';
import { handleRegistration } from './admin/rest/registrations.ts';
import type { AuditBatch } from './audit/batch.ts';
import type { Deliveries } from './delivery/delivery.ts';
import { readInbox } from './delivery/inbox.ts';
import { notFound } from './errors.ts';
import { handleGate } from './gate/routes.ts';
import { createAlarm } from './http/alarm.ts';
import { answerLogo, LOGOS } from './http/client-logo.ts';
import { createCodeFlow } from './http/code-flow.ts';
import { answerErrors, forPrograms, underRealm } from './http/errors.ts';
import { createGuardedClient } from './http/guarded-client.ts';
import { securityHeaders } from './http/headers.ts';
import { setLanguage } from './http/language.ts';
import { answerMessageBundle } from './http/message-bundles.ts';
import { plainPathsOnly } from './http/plain-paths.ts';
import { createRelying } from './http/relying.ts';
import { createRenderer } from './http/render.ts';
import { createStatics } from './http/statics.ts';
import type { Installation } from './installation.ts';
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
import { answerPrograms, dispatch } from './oidc/dispatch.ts';
import { handleImpersonation } from './oidc/impersonation.ts';
import { interactionsOf } from './oidc/interactions.ts';
import { FRAMES, handleFrames } from './oidc/login-status.ts';
import { answerProfile, asksForProfile } from './oidc/profile.ts';
import { buildRealm, type OidcRealm } from './oidc/provider.ts';
import { levelOfAcr } from './policy/policy.ts';
import { type RealmContext, RealmRegistry } from './realms/registry.ts';
import { realmJson } from './realms/representation.ts';
import { plainAddress } from './sessions/addresses.ts';
import { countRefusedToken } from './sessions/refused-tokens.ts';
import { type DirectSignIn, SignIns } from './sessions/sign-ins.ts';
import { liveness, readiness, shared } from './telemetry/health.ts';
import { type Log, requestLog } from './telemetry/log.ts';
import type { Answer, ServedMetrics } from './telemetry/serve-metrics.ts';

/** What the rooms are built from. */
export interface AppOptions {
  installation: Installation;
  deliveries: Deliveries;
  batch: AuditBatch;
  metrics?: ServedMetrics | undefined;
  log: Log;
  now: () => number;
  /** Where our own socket is: our consoles are relying parties, and in a container the public origin may not resolve. */
  listening: () => string;
}

/** Builds the application: every room once, the paths that lead to each, and what every request passes first. */
export function createApp(options: AppOptions): Koa {
  const { log, installation } = options;
  const { origin, trustProxy } = installation.config;
  const rooms = roomsOf(options);
  const router = new Router({ sensitive: true, strict: true });
  for (const lead of [toHealth, toRealms, toPeople, toAdministration, toProtocol]) lead(router, rooms);

  const app = new Koa({ proxy: trustProxy > 0, maxIpsCount: trustProxy });
  app.on('error', (error: unknown) => log.error({ err: error }, 'a response failed'));
  app.use((ctx, next) => {
    ctx.request.ip = plainAddress(ctx.ip);
    return next();
  });
  if (options.metrics) app.use(options.metrics.middleware);
  app.use(requestLog(log));
  app.use(answerErrors({ origin, renderer: rooms.renderer, log, alarm: rooms.alarm }));
  app.use(plainPathsOnly);
  // The origin says whether people come by https: behind a proxy this socket cannot tell, and would refuse to set a cookie.
  app.use((ctx, next) => {
    ctx.cookies.secure = origin.startsWith('https:');
    return next();
  });
  app.use(rooms.statics.middleware);
  app.use(router.routes());
  app.use(router.allowedMethods());
  return app;
}

type Rooms = ReturnType<typeof roomsOf>;

function roomsOf(options: AppOptions) {
  const { installation, log, now, listening } = options;
  const { config, db, keyring, passwords, factors } = installation;
  const { origin } = config;
  const statics = createStatics();
  const renderer = createRenderer({ production: config.production, statics });
  const signIns = new SignIns<LoginState>(db, keyring);
  const alarm = createAlarm({ db, now });
  const shown = { origin, render: renderer.render, now, log };
  const { sendCode, notices } = options.deliveries;
  const login: LoginDeps = { ...shown, db, keyring, passwords, factors, signIns, sendCode, ...notices };
  const fetchGuarded = createGuardedClient({ allow: config.outboundAllow });
  const oidc = {
    ...{ alarm, batch: options.batch, db, keyring, factors, fetchGuarded, signIns, clientCertificates: config.clientCertificates },
    writeTo: notices.writeTo,
    signInDirectly: (ctx: Koa.Context, realm: RealmContext, given: DirectSignIn) => signInDirectly(login, ctx, realm, given),
  };
  const realms = new RealmRegistry<OidcRealm>({
    db,
    keyring,
    build: (context) => buildRealm({ ...shown, ...oidc, context }),
    clientsChanged: ({ clients }) => clients.clear(),
  });
  return {
    ...{ options, installation, statics, renderer, alarm, shown, login, fetchGuarded, realms },
    recovery: { ...login, recoveries: new Recoveries(db, keyring), writeTo: notices.writeTo },
    relying: createRelying({ ...shown, db, factors, listening }),
    flow: createCodeFlow({ origin, listening }),
    /** @throws not_found when there is no such realm */
    requireRealm: async (ctx: Koa.Context, name: string): Promise<OidcRealm> => {
      const realm = await realms.get(name, now());
      if (!realm) throw notFound(say('error.noRealm'), 'realm_not_found');
      underRealm(ctx, realm.context.realm);
      return realm.built;
    },
  };
}

/** What those ask who run the server: its figures, its health and, in development, what it would have sent. */
function toHealth(router: Router, { options, installation, renderer }: Rooms): void {
  const { log, metrics } = options;
  const { config, db, keyring } = installation;
  if (metrics && metrics.url === undefined) router.get('/metrics', async (ctx) => answerPlainly(ctx, await metrics.answer(ctx.req.headers)));
  router.get('/health/live', (ctx) => answer(ctx, liveness()));
  const databaseAnswers = shared(() => db.knex.raw('SELECT 1'));
  router.get('/health/ready', async (ctx) =>
    answer(ctx, await readiness({ database: databaseAnswers }, { onFailure: (name, err) => log.error({ err }, `${name} does not answer`) })),
  );
  // What would have been sent is for whoever develops here, under our own name: no other site may read it by rebinding a name of its own.
  if (!config.production) {
    router.get('/inbox', async (ctx) => {
      setLanguage(ctx, ENGLISH);
      if (ctx.get('host') !== new URL(config.origin).host) throw notFound(say('error.noPage'));
      ctx.set(securityHeaders({ origin: config.origin }));
      await renderer.render(ctx, 'inbox', { messages: await readInbox({ db, keyring }) });
    });
  }
}

/** What anybody may know of a realm. */
function toRealms(router: Router, { installation, shown, requireRealm }: Rooms): void {
  router.get('/realms/:realm', async (ctx) => {
    const { room } = await requireRealm(ctx, param(ctx, 'realm'));
    ctx.set('Access-Control-Allow-Origin', '*');
    ctx.body = realmJson(shown.origin, room.context);
  });
  router.get(/^\/resources\/([^/]+)\/([^/]+)\/([\w-]+)$/, async (ctx) => {
    const [name = '', themeType = '', locale = ''] = ctx.captures ?? [];
    await requireRealm(ctx, name);
    answerMessageBundle(ctx, themeType, locale);
  });
  router.get(LOGOS, async (ctx) => {
    const [name = '', id = '', hash = ''] = ctx.captures ?? [];
    const { room } = await requireRealm(ctx, name);
    await answerLogo(ctx, installation.db, room.context.realm.id, [id, hash]);
  });
}

/** The pages of people: signing in, coming back, their accounts, and sites behind the gate. */
function toPeople(router: Router, { options, installation, shown, login, recovery, relying, flow, requireRealm }: Rooms): void {
  const { db, keyring, passwords, factors } = installation;
  const { notices } = options.deliveries;
  // A POST is looked at for its origin; nothing else may do anything.
  router.register('/realms/:realm/login/:uid', ['GET', 'POST'], async (ctx) => {
    const oidc = await requireRealm(ctx, param(ctx, 'realm'));
    await handleLogin(login, ctx, oidc.room.context, interactionsOf(oidc), param(ctx, 'uid'));
  });
  router.register('/realms/:realm/impersonation', ['GET', 'POST'], async (ctx) =>
    handleImpersonation(await requireRealm(ctx, param(ctx, 'realm')), ctx),
  );
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
  router.all(/^\/realms\/([^/]+)\/gate(\/.+)$/, async (ctx) => {
    const [name = '', path = ''] = ctx.captures ?? [];
    const { room } = await requireRealm(ctx, name);
    await handleGate({ ...shown, db, factors, flow }, ctx, room.context, path);
  });
}

/** The REST API, the console, and the registration of clients. */
function toAdministration(router: Router, rooms: Rooms): void {
  const { installation, shown, relying, requireRealm } = rooms;
  const rest = restOf(rooms);
  router.all(/^\/admin\/((?:realms|serverinfo|openapi\.json)(?:\/.*)?|[^/]+\/console\/whoami)$/, (ctx) =>
    handleRest(rest, ctx, `/${ctx.captures?.[0] ?? ''}`),
  );
  router.get('/admin/api', (ctx) => handleReference(shown, ctx));
  router.all(/^\/realms\/([^/]+)\/clients-registrations(\/.+)$/, async (ctx) => {
    const [name = '', path = ''] = ctx.captures ?? [];
    forPrograms(ctx);
    const { room } = await requireRealm(ctx, name);
    await handleRegistration(rest, ctx, room.context.realm, path);
  });
  router.get(/^\/admin\/?$/, redirectToConsole);
  router.all(/^\/admin\/master\/console(\/.*)?$/, async (ctx) => {
    const { room } = await requireRealm(ctx, 'master');
    await handleAdminConsole({ ...shown, db: installation.db, relying }, ctx, room.context, ctx.captures?.[0] ?? '');
  });
}

/** What the REST API is handed. Bearer tokens only: nothing there looks at a cookie. */
function restOf({ options, installation, shown, recovery, alarm, fetchGuarded, realms }: Rooms): RestDeps {
  const { config, db, keyring, passwords, factors } = installation;
  const { origin, now, log } = shown;
  const { notices } = options.deliveries;
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
  return {
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
}

/** OpenID Connect and OAuth 2.0, which the provider of the realm answers. */
function toProtocol(router: Router, { statics, requireRealm }: Rooms): void {
  // RFC 8414 section 3.1 puts the issuer's path last.
  router.get('/.well-known/oauth-authorization-server/realms/:realm', async (ctx) => {
    const path = '/.well-known/oauth-authorization-server';
    answerPrograms(ctx, path);
    await dispatch(ctx, await requireRealm(ctx, param(ctx, 'realm')), path);
  });
  const frames = { loginStatus: statics.url('login-status.js'), thirdPartyCookies: statics.url('third-party-cookies.js') };
  router.get(FRAMES, async (ctx) => {
    const [name = '', path = ''] = ctx.captures ?? [];
    await handleFrames(await requireRealm(ctx, name), frames, ctx, path);
  });
  router.all(/^\/realms\/([^/]+)(\/(?:protocol\/openid-connect|\.well-known|device)\/.+|\/device)$/, async (ctx) => {
    const [name = '', path = ''] = ctx.captures ?? [];
    answerPrograms(ctx, path);
    await dispatch(ctx, await requireRealm(ctx, name), `${path}${ctx.search}`);
  });
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
