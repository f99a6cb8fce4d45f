/** Consent: the library's second prompt, for applications that are not the company's own. */
import { record } from '../audit/record.ts';
import type { AppError } from '../errors.ts';
import { redirectTo } from '../http/redirect.ts';
import { scopeWords } from '../realms/scope-words.ts';
import { clientByClientId } from '../store/clients.ts';
import { allowScopes } from '../store/consents.ts';
import { userById } from '../store/users.ts';
import { clientModel } from './application.ts';
import { noticeOf, realmModel } from './pages.ts';
import type { LoginRequest } from './room.ts';

/** Asks whether the application may see what it asks for. */
export async function showConsent(request: LoginRequest, problem?: AppError): Promise<void> {
  const { realm, asked, db, ctx } = request;
  const user = asked.session ? await userById(db.knex, realm.realm.id, asked.session.accountId) : undefined;
  const described = new Map(realm.scopes.map((scope) => [scope.name, scope.description]));
  const describe = (name: string) => ({ name, description: scopeWords(name, described.get(name) ?? name) });
  const model = {
    realm: realmModel(request),
    client: await clientModel(request),
    version: '',
    errors: problem ? [{ field: null, message: problem.said }] : [],
    account: { username: user?.username ?? '' },
    notice: asked.asks ? null : noticeOf(request),
    // Claims that are asked for one by one may mean more than the scopes that are named.
    scopes: [...new Set([...(asked.asks?.scopes ?? []), ...asked.scopes])].map(describe),
  };
  if (!asked.asks) return request.render(ctx, 'login/consent', model, problem?.status ?? 200);
  // The one page on which a user says yes: to the request, and to all that the application gets by it.
  const { message, at } = asked.asks;
  await request.render(ctx, 'login/ciba', { ...model, message, at: new Date(at).toISOString() }, problem?.status ?? 200);
}

/** Remembers what was allowed, or tells the application that it was not. */
export async function answerConsent(request: LoginRequest, answer: string | undefined): Promise<void> {
  const { realm, asked, db, ctx, port, at } = request;
  if (answer !== 'allow' && answer !== 'deny' && answer !== 'cancel') return showConsent(request);
  const userId = asked.session?.accountId ?? null;
  const origin = {
    realmId: realm.realm.id,
    at,
    actor: userId,
    subject: userId,
    clientId: asked.clientId,
    transactionId: asked.cid,
    ip: ctx.ip,
    userAgent: ctx.get('user-agent') || null,
  };
  if (answer !== 'allow' || userId === null) {
    await record(db.knex, origin, { type: 'consent.denied', details: {} });
    return redirectTo(ctx, await port.deny(ctx, { error: 'access_denied', error_description: 'the user did not allow it' }));
  }
  const client = await clientByClientId(db.knex, realm.realm.id, asked.clientId);
  // Where nobody is asked what an application may have, nothing of it is remembered.
  if (client && (client.consentRequired || !asked.asks)) {
    await db.transaction(async (trx) => {
      await allowScopes(trx, { realmId: realm.realm.id, userId, clientRowId: client.id, scopes: asked.scopes, now: at });
      await record(trx, origin, { type: 'consent.given', details: { scopes: asked.scopes } });
    });
  }
  return redirectTo(ctx, await port.allow(ctx));
}
