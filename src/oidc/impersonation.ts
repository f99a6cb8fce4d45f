/**
 * Where an administrator begins to act as a user, at `/realms/{realm}/impersonation`. To open the link does nothing and
 * says what is about to happen, so that it cannot be slipped to somebody else unseen; the button spends it, once, and
 * begins a session in that browser which names its impersonator and has no proof of anybody's.
 */
import { randomUUID } from 'node:crypto';
import type Koa from 'koa';
import { z } from 'zod';
import type { AuditOrigin } from '../audit/event.ts';
import { recordInChain } from '../audit/record.ts';
import { sha256 } from '../crypto/codes.ts';
import { forbidden } from '../errors.ts';
import { sameOrigin } from '../http/csrf.ts';
import { securityHeaders } from '../http/headers.ts';
import { readForm } from '../http/input.ts';
import { askLanguage } from '../http/language.ts';
import { say } from '../languages/messages.ts';
import { realmPath } from '../realms/issuer.ts';
import { impersonationEnds, mayImpersonate } from '../sessions/impersonation.ts';
import { endSessionsIn } from '../sessions/sessions.ts';
import { type ImpersonationRow, openImpersonation, spendImpersonation } from '../store/impersonations.ts';
import type { Queries } from '../store/rows.ts';
import { insertSession, type SessionRow } from '../store/sessions.ts';
import { type UserRow, userById } from '../store/users.ts';
import { pinOrigin } from './dispatch.ts';
import { setStatus } from './login-status.ts';
import { COOKIES, ROUTES } from './names.ts';
import type { OidcRealm } from './provider.ts';

const KEY = /^[A-Za-z0-9_-]{43}$/;
const form = z.object({ key: z.string() });
const MINUTE = 60_000;

interface Request {
  oidc: OidcRealm;
  ctx: Koa.Context;
  at: number;
}

/** Answers `GET` and `POST /realms/{realm}/impersonation`. */
export async function handleImpersonation(oidc: OidcRealm, ctx: Koa.Context): Promise<void> {
  const { room } = oidc;
  ctx.set(securityHeaders({ origin: room.origin }));
  ctx.set('Cache-Control', 'no-store');
  askLanguage(ctx, ctx.query);
  const request = { oidc, ctx, at: room.now() };
  if (ctx.method !== 'POST') return ask(request);
  if (!sameOrigin(ctx.req.headers, room.origin)) throw forbidden(say('error.foreignForm'), 'foreign_origin');
  await begin(request);
}

async function ask(request: Request): Promise<void> {
  const { oidc, ctx, at } = request;
  const { db, context, render } = oidc.room;
  const key = keyOf(ctx.query.key);
  const row = key === undefined ? undefined : await openImpersonation(db.knex, context.realm.id, sha256(key), at);
  const user = row && (await standing(db.knex, request, row));
  if (!row || !user) return over(request);
  await render(ctx, 'login/impersonate', {
    ...modelOf(request, user, impersonationEnds(context.realm, at)),
    ...{ key, administrator: row.impersonator.username },
  });
}

async function begin(request: Request): Promise<void> {
  const { oidc, ctx, at } = request;
  const { provider, room } = oidc;
  const { db, context, keyring } = room;
  const { realm } = context;
  const key = keyOf((await readForm(ctx, form)).key);
  if (key === undefined) return over(request);
  pinOrigin(ctx, room.origin);
  const library = provider.createContext(ctx.req, ctx.res);
  const before = await provider.Session.get(library);
  const fresh = new provider.Session();
  const begun = await db.transaction(async (trx) => {
    const row = await spendImpersonation(trx, realm.id, sha256(key), at);
    const user = row && (await standing(trx, request, row));
    if (!row || !user) return undefined;
    const origin: AuditOrigin = {
      ...{ realmId: realm.id, at, actor: row.impersonator.id, subject: user.id },
      ...{ ip: ctx.ip, userAgent: ctx.get('user-agent') || null },
    };
    if (before.accountId) {
      const sessions = await endSessionsIn(trx, realm.id, { uid: before.uid }, at);
      recordInChain(trx, keyring.auditKey, { ...origin, subject: before.accountId }, { type: 'session.ended', details: { sessions } });
    }
    const session = sessionOf(request, row, fresh.uid);
    await insertSession(trx, session);
    recordInChain(trx, keyring.auditKey, origin, { type: 'user.impersonated', details: { session: session.id } });
    return { user, session };
  });
  if (!begun) return over(request);
  if (before.accountId) await before.destroy();
  // It ends with the browser, at the latest.
  fresh.loginAccount({ accountId: begun.user.id, loginTs: Math.floor(at / 1000), transient: true });
  await fresh.save(Math.ceil((begun.session.endsAt - at) / 1000));
  library.cookies.set(COOKIES.session, fresh.jti, {
    ...{ path: realmPath(realm.name), httpOnly: true, sameSite: 'lax', signed: true },
    ...{ secure: room.origin.startsWith('https:'), overwrite: true },
  });
  setStatus(room, library.cookies, fresh.uid);
  await room.render(ctx, 'login/impersonating', {
    ...modelOf(request, begun.user, begun.session.endsAt),
    signOut: `${realmPath(realm.name)}${ROUTES.end_session}`,
  });
}

/** The user, while there is still one to act as and somebody who may. */
async function standing(queries: Queries, { oidc, at }: Request, row: ImpersonationRow): Promise<UserRow | undefined> {
  const { realm } = oidc.room.context;
  const user = await userById(queries, realm.id, row.userId);
  if (!user?.enabled || user.serviceAccountOf !== null || user.id === row.impersonator.id) return undefined;
  return (await mayImpersonate(queries, realm, row.impersonator, at)) ? user : undefined;
}

function sessionOf({ oidc, ctx, at }: Request, row: ImpersonationRow, uid: string): SessionRow {
  const { realm } = oidc.room.context;
  return {
    ...{ realmId: realm.id, id: randomUUID(), uid, userId: row.userId },
    proofs: [],
    facts: { skipped: false, impersonator: row.impersonator },
    remember: false,
    ip: ctx.ip,
    userAgent: ctx.get('user-agent').slice(0, 300) || null,
    ...{ createdAt: at, lastSeenAt: at, endsAt: impersonationEnds(realm, at), endedAt: null },
  };
}

function over({ oidc, ctx }: Request): Promise<void> {
  return oidc.room.render(
    ctx,
    'message',
    {
      realm: realmModel(oidc),
      title: say('login.impersonation.over.title'),
      message: say('login.impersonation.over.message'),
      ...{ hint: null, reference: null, link: null },
    },
    410,
  );
}

const modelOf = ({ oidc, at }: Request, user: UserRow, endsAt: number) => ({
  realm: realmModel(oidc),
  user: user.username,
  minutes: Math.max(1, Math.floor((endsAt - at) / MINUTE)),
});

const realmModel = ({ room }: OidcRealm) => ({ name: room.context.realm.name, displayName: room.context.realm.displayName });

const keyOf = (value: unknown): string | undefined => (typeof value === 'string' && KEY.test(value) ? value : undefined);
