/**
 * The REST API over HTTP: finds the operation of a request, authenticates and authorizes, validates what came in by the
 * operation's schemas, and answers as Keycloak does. A cookie is never looked at.
 */
import { Readable } from 'node:stream';
import type Koa from 'koa';
import type { z } from 'zod';
import type { Deliveries } from '../../delivery/delivery.ts';
import { AppError, badInput, forbidden, notFound } from '../../errors.ts';
import { type Alarm, metBy } from '../../http/alarm.ts';
import { inEnglish } from '../../languages/messages.ts';
import type { Database } from '../../store/database.ts';
import { realmByName } from '../../store/realms.ts';
import { placeOf } from '../resources/context.ts';
import type { FactorOperator } from '../resources/factor-operator.ts';
import type { Invite } from '../resources/user-actions.ts';
import { type Access, accessOf, accessTo, type Caller, mayCreateRealms, NotEnough, requireLevel } from './access.ts';
import { readForm, readJson, readPlainText } from './body.ts';
import { openApiDocument } from './openapi.ts';
import { type Answer, MOST_LISTED, type Operation, type Outbound } from './operation.ts';
import { operations } from './operations.ts';

export interface RestDeps {
  db: Database;
  origin: string;
  now(): number;
  /** What operations stand on. */
  operator(actor: string, now: number): FactorOperator;
  /** Whoever a bearer token is about; undefined for a token that is none, or no longer stands. */
  callerOf(token: string): Promise<Caller | undefined>;
  /** Counts a refused token against the address that it came from; throws 429 for too many. */
  refusedToken(address: string): Promise<void>;
  alarm: Alarm;
  outbound: Outbound;
  invite: Invite;
  deliveries: Deliveries;
  log: { warn(details: object, message: string): void; error(details: object, message: string): void; info(details: object, message: string): void };
}

const KIB = 1024;

interface Route {
  segments: readonly string[];
  byMethod: Map<string, Operation>;
}

/** The operations by their paths, `{name}` standing for one segment and `{name...}` for all that are left. A path that is spelt out comes before one that is not. */
const routes: readonly Route[] = [...Map.groupBy(operations, ({ path }) => path)]
  .map(([path, here]) => ({ segments: path.split('/').slice(1), byMethod: new Map<string, Operation>(here.map((one) => [one.method, one])) }))
  .sort((a, b) => variables(a.segments) - variables(b.segments));

function variables(segments: readonly string[]): number {
  return segments.filter((segment) => segment.startsWith('{')).length;
}

/**
 * Answers a request to the REST API.
 * @param path what follows `/admin`, as it came, such as `/realms/acme/users`
 */
export async function handleRest(deps: RestDeps, ctx: Koa.Context, path: string): Promise<void> {
  ctx.set('Cache-Control', 'no-store');
  ctx.set('X-Content-Type-Options', 'nosniff');
  try {
    if (path === '/openapi.json' && ctx.method === 'GET') {
      ctx.body = openApiDocument(deps.origin);
      return;
    }
    await answer(deps, ctx, path);
  } catch (error) {
    await raiseIfCorrupted(deps, ctx, error);
    refuse(deps, ctx, error);
  }
}

/** Something stored does not open: the realm learns of it. */
async function raiseIfCorrupted({ alarm, log }: RestDeps, ctx: Koa.Context, error: unknown): Promise<void> {
  const met = metBy(ctx, error);
  if (met) await alarm(met).catch((err: unknown) => log.error({ err }, 'an alarm could not be recorded'));
}

async function answer(deps: RestDeps, ctx: Koa.Context, path: string): Promise<void> {
  const found = match(path);
  if (!found) throw notFound('There is no such resource.');
  const { route, params } = found;
  const operation = route.byMethod.get(ctx.method);
  if (!operation) {
    ctx.set('Allow', [...route.byMethod.keys()].join(', '));
    throw new AppError({ code: 'method_not_allowed', status: 405, message: 'There is no such operation on this resource.' });
  }
  const caller = await authenticate(deps, ctx);
  const { call, access } = await admitted(deps, ctx, operation, caller, params);
  const input = {
    params: parsed(operation.params, params, 'path'),
    query: parsed(operation.query, queryOf(ctx), 'query'),
    body: await bodyOf(deps, ctx, operation),
  };
  const result = await operation.run({ ...call, access, ...aroundOf(deps, ctx) }, input);
  send(deps, ctx, operation, path, result);
}

const aroundOf = ({ origin, outbound, deliveries, invite }: RestDeps, ctx: Koa.Context) => ({
  ...{ origin, outbound, deliveries, invite },
  header: (name: string) => ctx.get(name),
});

/** Only what is spelt in one way is found: no empty, dotted or doubly encoded segments. */
function match(path: string): { route: Route; params: Record<string, string> } | undefined {
  const segments = path.split('/').slice(1).map(decoded);
  if (segments.at(-1) === '') segments.pop();
  if (segments.some((segment) => segment === undefined || segment === '' || segment === '.' || segment === '..')) return undefined;
  for (const route of routes) {
    const last = route.segments.length - 1;
    const open = route.segments[last]?.endsWith('...}') === true;
    if (open ? segments.length < route.segments.length : segments.length !== route.segments.length) continue;
    const params: Record<string, string> = {};
    const fits = route.segments.every((wanted, index) => {
      if (open && index === last) {
        params[wanted.slice(1, -4)] = segments.slice(last).join('/');
        return true;
      }
      const given = segments[index] ?? '';
      if (!wanted.startsWith('{')) return wanted === given;
      params[wanted.slice(1, -1)] = given;
      return true;
    });
    if (fits) return { route, params };
  }
  return undefined;
}

function decoded(segment: string): string | undefined {
  try {
    const text = decodeURIComponent(segment);
    return /\p{Cc}/u.test(text) ? undefined : text;
  } catch {
    return undefined;
  }
}

async function authenticate(deps: RestDeps, ctx: Koa.Context): Promise<Caller> {
  const token = /^Bearer ([\w.~+/-]+=*)$/i.exec(ctx.get('authorization'))?.[1];
  if (token === undefined) throw new AppError({ code: 'unauthorized', status: 401, message: 'HTTP 401 Unauthorized: a bearer token is needed.' });
  const caller = await deps.callerOf(token);
  if (!caller) {
    await deps.refusedToken(ctx.ip);
    throw new AppError({ code: 'invalid_token', status: 401, message: 'HTTP 401 Unauthorized: the access token is not valid.' });
  }
  requireLevel(caller);
  return caller;
}

async function admitted(deps: RestDeps, ctx: Koa.Context, operation: Operation, caller: Caller, params: Record<string, string>) {
  const operator: FactorOperator = {
    ...deps.operator(caller.userId, deps.now()),
    from: { ip: ctx.ip, userAgent: ctx.get('user-agent') || null },
  };
  if (!operation.inRealm) {
    // Before anything else of the request is looked at.
    if (operation.access === 'create-realm' && !(await mayCreateRealms(deps.db.knex, caller)))
      throw forbidden('This needs the role create-realm of realm master.');
    return { call: { operator }, access: accessOf(caller, new Set()) };
  }
  const realm = await realmByName(deps.db.knex, params.realm ?? '');
  const access: Access | undefined = realm && (await accessTo(deps.db.knex, caller, realm));
  // Whoever has nothing to do with a realm is not told whether there is one.
  if (!realm || !access || (caller.realm.id !== realm.id && caller.realm.name !== 'master')) throw notFound('Realm not found.');
  if (operation.roles.length > 0) access.require(...operation.roles);
  return { call: { operator, realm }, access };
}

/** A parameter that is there twice is a list, and no schema of a single value takes it. */
function queryOf(ctx: Koa.Context): Record<string, unknown> {
  for (const [name, value] of Object.entries(ctx.query)) {
    // PostgreSQL has no such character, and nothing is found by it.
    if (String(value).includes('\0')) throw badInput(name, `${name}: must not hold a null character`);
  }
  return Object.fromEntries(Object.entries(ctx.query).filter(([, value]) => value !== undefined));
}

async function bodyOf({ log }: RestDeps, ctx: Koa.Context, operation: Operation): Promise<unknown> {
  if (!operation.body) return undefined;
  const read = operation.plainText === true ? readPlainText : operation.form === true ? readForm : readJson;
  const raw = await read(ctx.req, (operation.maxBodyKiB ?? KIB) * KIB);
  const body = parsed(operation.body, raw, 'body');
  const ignored = ignoredFields(raw, body);
  if (ignored.length > 0) {
    log.warn({ operation: operation.id, fields: ignored.slice(0, 50) }, 'fields of a request that are not known here were ignored');
    ctx.set(
      'Warning',
      `299 - "Ignored: ${ignored
        .slice(0, 20)
        .join(', ')
        .replaceAll(/[^\w., -]/g, '')}"`,
    );
  }
  return body;
}

/** Names of the first level that came in and that no schema took. */
function ignoredFields(raw: unknown, body: unknown): string[] {
  if (typeof raw !== 'object' || raw === null || Array.isArray(raw) || typeof body !== 'object' || body === null) return [];
  return Object.keys(raw).filter((name) => !(name in body));
}

function parsed(schema: z.ZodType, value: unknown, where: 'path' | 'query' | 'body'): unknown {
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  const issue = deepest(result.error.issues[0]);
  const field = (issue && placeOf(issue)) || where;
  throw new AppError({ code: 'bad_input', status: 400, field, message: `${field}: ${issue?.message ?? 'is not valid'}` });
}

/** Of alternatives, what was wrong with the one that came closest. */
function deepest(issue: z.core.$ZodIssue | undefined): z.core.$ZodIssue | undefined {
  if (issue?.code !== 'invalid_union') return issue;
  const inner = issue.errors.flat().sort((a, b) => b.path.length - a.path.length)[0];
  return inner ? { ...inner, path: [...issue.path, ...inner.path] } : issue;
}

function send({ origin }: RestDeps, ctx: Koa.Context, operation: Operation, path: string, result: Answer): void {
  ctx.status = result.status ?? operation.status;
  if (result.headers) ctx.set(result.headers);
  if (Array.isArray(result.body) && result.body.length >= MOST_LISTED)
    ctx.set('Warning', `299 - "A list holds ${MOST_LISTED} at most: ask for what follows with first"`);
  if (result.created !== undefined) {
    const made = result.created.startsWith('/') ? result.created : `${path.replace(/\/$/, '')}/${encodeURIComponent(result.created)}`;
    ctx.set('Location', `${origin}/admin${made}`);
  }
  if (result.type !== undefined) ctx.type = result.type;
  // Read as fast as it is taken, so that no export is held in memory.
  if (result.stream) ctx.body = Readable.from(result.stream);
  else if (result.body !== undefined) ctx.body = result.body;
  // Koa makes a 204 of a body that is null, and "Created" or "OK" of one that is not there.
  else if (ctx.status !== 204) ctx.body = '';
}

function refuse({ log }: RestDeps, ctx: Koa.Context, error: unknown): void {
  const known = error instanceof AppError ? error : undefined;
  if (!known || (known.status >= 500 && known.status !== 501 && known.code !== 'busy')) {
    log.error({ err: error }, 'a request to the REST API failed');
    ctx.status = 500;
    ctx.body = { error: 'unknown_error', errorMessage: 'The server met a fault. It was recorded.' };
    return;
  }
  ctx.status = known.status;
  if (known.retryAfter !== undefined) ctx.set('Retry-After', String(known.retryAfter));
  if (known.status === 401) ctx.set('WWW-Authenticate', challengeOf(known));
  const message = inEnglish(known.said);
  // Keycloak's clients look at `errorMessage` for what an operation says, and at `error` for the rest.
  ctx.body = { error: known.status === 401 ? known.code : message, errorMessage: message, ...(known.field ? { field: known.field } : {}) };
}

function challengeOf(error: AppError): string {
  if (error.code === 'unauthorized') return 'Bearer realm="admin"';
  const more = error instanceof NotEnough ? `, acr_values="${error.floor}"` : '';
  return `Bearer realm="admin", error="${error.code}", error_description="${error.message}"${more}`;
}
