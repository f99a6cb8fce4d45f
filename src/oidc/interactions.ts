/** The narrow port through which the sign-in pages see the library: load what is asked, and answer it once. */
import type Koa from 'koa';
import { errors, type InteractionResults } from 'oidc-provider';
import { gone, notFound } from '../errors.ts';
import { say } from '../languages/messages.ts';
import { pinOrigin } from './dispatch.ts';
import { ASKED_ELSEWHERE, COOKIES, ROUTES } from './names.ts';
import type { OidcRealm } from './provider.ts';
import { CibaAnswers, isCibaCode } from './storage/ciba-requests.ts';
import { during } from './storage/request-cache.ts';
import { readUnderWay, subjectAsked } from './under-way.ts';

/**
 * The port of one realm, as login/room.ts declares what it needs. Each answer resolves to where the browser goes next.
 */
export function interactionsOf({ provider, room, clients }: OidcRealm) {
  const ciba = new CibaAnswers(room);
  const loaded = new WeakMap<Koa.Context, Awaited<ReturnType<typeof provider.interactionDetails>>>();
  /** The library's `interactionResult` would find the interaction once more; one that is gone meanwhile is not stored again. */
  const result = async (ctx: Koa.Context, answer: InteractionResults): Promise<string> => {
    const interaction = loaded.get(ctx);
    if (!interaction) throw new Error('An interaction is answered that was not loaded.');
    interaction.result = 'error' in answer ? answer : { ...interaction.lastSubmission, ...answer };
    await interaction.persist().catch(orExpired);
    return interaction.returnTo;
  };
  return {
    /** @throws `gone` when the browser has no such interaction any more. */
    async load(ctx: Koa.Context, uid: string) {
      pinOrigin(ctx, room.origin);
      // Only for the browser that says that it is there: whether that is so, the library looks at next.
      const underWay = ctx.cookies.get(COOKIES.interaction) === uid ? await readUnderWay(room, ctx, uid) : undefined;
      const details = await during(ctx.req, () => provider.interactionDetails(ctx.req, ctx.res)).catch(orExpired);
      if (details.uid !== uid) throw expired();
      loaded.set(ctx, details);
      const client = await clients.find(String(details.params.client_id));
      const asks = details.deviceCode !== undefined && isCibaCode(details.deviceCode) ? await ciba.about(details.deviceCode) : undefined;
      const scopes = details.prompt.details.scopes;
      const prompt: 'consent' | 'login' = details.prompt.name === 'consent' ? 'consent' : 'login';
      return {
        uid,
        cid: details.cid,
        prompt,
        selects: details.prompt.name === 'select_account',
        scopes: Array.isArray(scopes) ? scopes.filter((scope) => typeof scope === 'string') : [],
        params: details.params,
        clientId: String(details.params.client_id),
        client: client?.row,
        login: underWay?.login,
        subject: subjectAsked(details.params),
        session: details.session?.accountId ? { uid: details.session.uid, accountId: details.session.accountId } : undefined,
        device: details.deviceCode !== undefined,
        asks: asks && { message: asks.message, at: asks.at, scopes: asks.scopes },
        again: details.deviceCode
          ? `${provider.issuer}${ROUTES.code_verification}${asks ? `?${ASKED_ELSEWHERE}=${asks.handle}` : ''}`
          : `${provider.issuer}${ROUTES.authorization}?${queryOf(details.params)}`,
        expiresAt: details.exp * 1000,
      };
    },
    /** A sign-in that is done answers for itself when the browser comes back (under-way.ts). */
    finish: async (ctx: Koa.Context) => {
      const interaction = loaded.get(ctx);
      if (!interaction) throw new Error('An interaction is finished that was not loaded.');
      return interaction.returnTo;
    },
    allow: (ctx: Koa.Context) => result(ctx, { consent: {} }),
    deny: (ctx: Koa.Context, error: { error: string; error_description: string }) => result(ctx, { ...error }),
  };
}

/** The parameters as the application sent them; a request object or a pushed request has been unpacked into them. */
function queryOf(params: Record<string, unknown>): URLSearchParams {
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries(params)) {
    if (name === 'request' || name === 'request_uri') continue;
    for (const one of Array.isArray(value) ? value : [value]) if (typeof one === 'string' || typeof one === 'number') query.append(name, String(one));
  }
  return query;
}

/** What the library says of an interaction that is not there. */
function orExpired(cause: unknown): never {
  throw cause instanceof errors.SessionNotFound ? expired(cause) : cause;
}

const expired = (cause?: unknown) => {
  // A browser that never had a word in it is told that there is nothing; one that had, that it is over.
  const unknown = cause instanceof errors.SessionNotFound && cause.error_description?.includes('cookie') === true;
  const error = unknown ? notFound(say('error.signInOver'), 'expired') : gone(say('error.signInOver'));
  error.cause = cause;
  return error;
};
