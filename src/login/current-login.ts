/** The sign-in that a request is about: found or begun, and held to the browser that made its newest proof. */
import { record } from '../audit/record.ts';
import { AppError, gone } from '../errors.ts';
import { say } from '../languages/messages.ts';
import { loginPath, realmPath } from '../realms/issuer.ts';
import { isNewestCookie, transactionCookie } from '../sessions/sign-ins.ts';
import { userById } from '../store/users.ts';
import { beginDiscovery } from './discovery.ts';
import { start } from './machine.ts';
import type { Login, LoginRequest } from './room.ts';
import type { LoginState } from './state.ts';
import { auditOrigin, rulesOf } from './steps.ts';

/** The sign-in of this interaction as it is stored; undefined when there is none. */
export const storedLogin = ({ asked, realm, signIns, at }: LoginRequest): Promise<Login | undefined> =>
  asked.login ? signIns.open(asked.login.row, at) : signIns.load(realm.realm.id, asked.cid, at);

/** The sign-in of this interaction, begun when there is none; undefined when another request began it in this moment. */
export async function currentLogin(request: LoginRequest): Promise<Login | undefined> {
  const { asked, realm, signIns, at } = request;
  const login = await storedLogin(request);
  if (login) {
    await requireNewestBrowser(request, login);
    if (login.row.uid === asked.uid) return login;
    // The provider has asked once more within the same request, such as after consent: begin again in the same browser.
    const state = await firstState(request, login.row.createdAt);
    if (!(await signIns.advance(login, state, { renew: false, uid: asked.uid }))) return undefined;
    return signIns.load(realm.realm.id, asked.cid, at);
  }
  const state = await firstState(request, at);
  const begun = await signIns.begin({ realmId: realm.realm.id, id: asked.cid, uid: asked.uid, state, now: at, expiresAt: asked.expiresAt });
  if (!begun) {
    // It was begun in this moment, or long ago, and is over.
    if (!(await signIns.load(realm.realm.id, asked.cid, at))) throw gone(say('error.signInOver'));
    return undefined;
  }
  setCookie(request, begun.cookie);
  return begun.signIn;
}

async function firstState(request: LoginRequest, startedAt: number): Promise<LoginState> {
  const { asked, realm, db } = request;
  const answers = asked.session && !asked.selects && (asked.subject === undefined || asked.subject === asked.session.accountId);
  const user = asked.session && answers ? await userById(db.knex, realm.realm.id, asked.session.accountId) : undefined;
  const userId = user?.enabled ? user.id : null;
  const rules = await rulesOf(request, { row: { createdAt: startedAt }, state: null }, userId);
  return start(rules, { userId, discovery: await beginDiscovery(request) }, request.at);
}

/** @throws other_browser where somebody else holds the newest cookie of this sign-in, or nobody does any more */
export async function requireNewestBrowser(request: LoginRequest, login: Login | undefined): Promise<void> {
  if (!login || isNewestCookie(login.row, request.ctx.cookies.get(transactionCookie(request.asked.cid)))) return;
  await record(request.db.knex, auditOrigin(request, login, undefined), { type: 'flow.refused', details: { reason: 'another browser' } });
  throw new AppError({
    code: 'other_browser',
    status: 403,
    message: say('error.otherBrowser'),
    link: signInAgain(request),
  });
}

/** The browser that makes a proof is the one that may go on: each gives it a new cookie. */
export function setCookie({ ctx, asked, realm, origin, at }: LoginRequest, value: string): void {
  ctx.cookies.set(transactionCookie(asked.cid), value, {
    path: realmPath(realm.realm.name),
    httpOnly: true,
    sameSite: 'lax',
    secure: origin.startsWith('https:'),
    signed: false,
    overwrite: true,
    maxAge: Math.max(0, asked.expiresAt - at),
  });
}

/** The way back to the first page, for those who cannot go on. */
export const signInAgain = ({ asked }: LoginRequest) => ({ href: asked.again, label: say('login.signInAgain') });

/** Where every step of this sign-in is shown and posted. */
export const selfOf = ({ origin, realm, asked }: LoginRequest): string => `${origin}${loginPath(realm.realm.name, asked.uid)}`;
