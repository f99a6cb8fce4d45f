/**
 * The endpoints at which clients register and manage themselves, below `/realms/{realm}/clients-registrations`: in the
 * metadata of OpenID Connect (RFC 7591, RFC 7592), and as `default` in Keycloak's representation. Bearer tokens only.
 */
import type Koa from 'koa';
import type { z } from 'zod';
import { safeEqual } from '../../crypto/codes.ts';
import { AppError, badInput, notFound } from '../../errors.ts';
import { inEnglish, say } from '../../languages/messages.ts';
import { scopesOfClients } from '../../store/client-changes.ts';
import type { ClientRow } from '../../store/clients.ts';
import type { RealmRow } from '../../store/realms.ts';
import type { ClientFields } from '../resources/client-input.ts';
import { changeRegistered, invalidToken, registerClient, registeredClient, removeRegistered } from '../resources/client-registrations.ts';
import { secretOf } from '../resources/client-secrets.ts';
import type { Operator } from '../resources/context.ts';
import { readJson } from './body.ts';
import { clientIn, fieldsOf, representedClient } from './client-representation.ts';
import type { RestDeps } from './mount.ts';
import { clientMetadata, fieldsOfMetadata, inMetadata, metadataOf } from './registration-metadata.ts';
import { checkSector } from './sector-identifier.ts';

const MAX_BODY_BYTES = 64 * 1024;

interface Registered {
  secret: string | null;
  token: string;
  uri: string;
}

/** How a client is spoken of. */
interface Format {
  fields(body: unknown, client?: ClientRow): ClientFields;
  /** The secret that it says it has. */
  secret(body: unknown): string | undefined;
  /** What has to be asked of others. */
  check(deps: RestDeps, body: unknown): Promise<void>;
  answer(operator: Operator, client: ClientRow, registered: Registered): Promise<object>;
  /** What is wrong, by the names that were sent. */
  words(message: string): string;
}

const FORMATS: Readonly<Record<string, Format>> = {
  'openid-connect': {
    fields: (body, client) => fieldsOfMetadata(parsed(clientMetadata, body), client),
    secret: (body) => parsed(clientMetadata, body).client_secret,
    check: ({ outbound }, body) => checkSector(outbound.fetch, parsed(clientMetadata, body)),
    answer: async (_operator, client, registered) => metadataOf(client, registered),
    words: inMetadata,
  },
  default: {
    fields: (body) => fieldsOf(parsed(clientIn, body)),
    // Keycloak's representation is sent as it was read, and is not held to what it says there.
    secret: () => undefined,
    check: async () => undefined,
    async answer({ db }, client, { secret, token }) {
      const scopes = (await scopesOfClients(db.knex, client.realmId, [client.id])).get(client.id) ?? { defaults: [], optional: [] };
      const shown = representedClient(client, scopes, { manage: true, ...(secret === null ? {} : { secret }) });
      return { ...shown, registrationAccessToken: token };
    },
    words: (message) => message,
  },
};

function parsed<T>(schema: z.ZodType<T>, body: unknown): T {
  const result = schema.safeParse(body);
  if (result.success) return result.data;
  const issue = result.error.issues[0];
  const field = issue?.path.join('.') || 'body';
  throw badInput(field, `${field}: ${issue?.message ?? 'is not valid'}`);
}

/** @param path what follows `clients-registrations`, such as `/openid-connect/wiki` */
export async function handleRegistration(deps: RestDeps, ctx: Koa.Context, realm: RealmRow, path: string): Promise<void> {
  ctx.set('Cache-Control', 'no-store');
  const [, provider = '', ref, ...more] = path.split('/');
  const format = Object.hasOwn(FORMATS, provider) ? FORMATS[provider] : undefined;
  if (!format || more.length > 0 || ref === '') throw notFound(say('error.noPage'));
  const methods = ref === undefined ? ['POST'] : ['GET', 'PUT', 'DELETE'];
  if (!methods.includes(ctx.method)) {
    ctx.set('Allow', methods.join(', '));
    throw new AppError({ code: 'method_not_allowed', status: 405, message: say('error.onlyMethods', { methods }) });
  }
  try {
    await answer(deps, ctx, realm, { provider, format, ref });
  } catch (error) {
    if (!(error instanceof AppError) || error.status >= 500) throw error;
    if (error.status === 401) await deps.refusedToken(ctx.ip);
    refuse(ctx, error, format.words);
  }
}

async function answer(
  deps: RestDeps,
  ctx: Koa.Context,
  realm: RealmRow,
  { provider, format, ref }: { provider: string; format: Format; ref: string | undefined },
): Promise<void> {
  const token = /^Bearer ([\w.~+/-]+=*)$/i.exec(ctx.get('authorization'))?.[1];
  if (token === undefined) throw invalidToken();
  const operator: Operator = { ...deps.operator('registration', deps.now()), from: { ip: ctx.ip, userAgent: ctx.get('user-agent') || null } };
  const uriOf = (client: ClientRow): string =>
    `${deps.origin}/realms/${realm.name}/clients-registrations/${provider}/${/^[\w.~-]+$/.test(client.clientId) ? client.clientId : client.id}`;
  const show = async (client: ClientRow, own: string, secret: string | null): Promise<void> => {
    ctx.body = await format.answer(operator, client, { secret, token: own, uri: uriOf(client) });
  };
  if (ref === undefined) {
    const body = await readJson(ctx.req, MAX_BODY_BYTES);
    const made = await registerClient(operator, realm, token, format.fields(body), () => format.check(deps, body));
    ctx.status = 201;
    ctx.set('Location', uriOf(made.client));
    return show(made.client, made.token, made.secret);
  }
  const client = await registeredClient(operator, realm, ref, token);
  if (ctx.method === 'DELETE') {
    await removeRegistered(operator, realm, client);
    ctx.status = 204;
    return;
  }
  if (ctx.method === 'GET') return show(client, token, await secretOf(operator, client));
  const body = await readJson(ctx.req, MAX_BODY_BYTES);
  const fields = format.fields(body, client);
  const said = format.secret(body);
  if (said !== undefined && !safeEqual(said, (await secretOf(operator, client)) ?? ''))
    throw badInput('client_secret', 'client_secret: must be the one that this client has, or be left out (RFC 7592 section 2.2)');
  await format.check(deps, body);
  const changed = await changeRegistered(operator, realm, client, fields);
  return show(changed, token, await secretOf(operator, changed));
}

/** RFC 7591 section 3.2.2. */
function refuse(ctx: Koa.Context, error: AppError, words: Format['words']): void {
  const message = words(inEnglish(error.said));
  const aboutRedirects = error.field === 'redirectUris' || error.field === 'redirect_uris';
  const code = error.status === 400 || error.status === 409 ? (aboutRedirects ? 'invalid_redirect_uri' : 'invalid_client_metadata') : error.code;
  ctx.status = error.status === 409 ? 400 : error.status;
  if (error.retryAfter !== undefined) ctx.set('Retry-After', String(error.retryAfter));
  if (error.status === 401) ctx.set('WWW-Authenticate', 'Bearer error="invalid_token"');
  ctx.body = { error: code, error_description: message };
}
