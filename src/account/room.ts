/**
 * The account console, at `/realms/{realm}/account`: the user's own pages, one file a page. It is a relying party of the
 * realm (http/relying.ts), and knows of a request no more than who is signed in.
 *
 * Every query names the realm and the user of the session, so that somebody else's id is nothing that is there. What
 * changes how somebody signs in asks for recent authentication, is recorded in the transaction of the change, and is told
 * to the user by mail.
 *
 * This file holds what the pages share.
 */
import type Koa from 'koa';
import type { AuditOrigin } from '../audit/event.ts';
import type { Keyring } from '../crypto/keyring.ts';
import type { Notices } from '../delivery/notices.ts';
import type { PasswordHasher } from '../factors/factor.ts';
import type { Factors } from '../factors/index.ts';
import { redirectTo } from '../http/redirect.ts';
import type { ConsoleSession, Relying } from '../http/relying.ts';
import { type MessageKey, say, type Words } from '../languages/messages.ts';
import type { RealmContext } from '../realms/registry.ts';
import { isEnoughLeftOf } from '../sessions/enough.ts';
import type { Database } from '../store/database.ts';
import type { UserRow } from '../store/users.ts';
import type { MethodsIn } from './methods.ts';

export interface AccountDeps {
  db: Database;
  keyring: Keyring;
  passwords: PasswordHasher & { from(address: string): PasswordHasher };
  factors: Factors;
  relying: Relying;
  origin: string;
  render(ctx: Koa.Context, view: string, model: object, status?: number): Promise<void>;
  now(): number;
  /** Tells a user, by every way there is; what it returns runs in the transaction of what is told. */
  tell: Notices['tell'];
}

/** One request for the account console. */
export interface AccountRequest extends Omit<AccountDeps, 'passwords'> {
  /** With the turns of where the request comes from. */
  passwords: PasswordHasher;
  ctx: Koa.Context;
  realm: RealmContext;
  /** The console's path, which is also its front page. */
  base: string;
  at: number;
}

/** The realm at hand with its factors, and what it asks of the user. */
export const methodsIn = ({ realm: on, factors, at }: AccountRequest, { known }: ConsoleSession): MethodsIn => ({
  realm: on.realm,
  factors: factors.in(on.realm.settings),
  isEnough: (left) => isEnoughLeftOf(factors, on, known, left, at),
});

/** What every page is told. */
export function common({ realm: { realm }, base }: AccountRequest, user: UserRow) {
  const displayName = [user.firstName, user.lastName].filter(Boolean).join(' ');
  return { realm: { name: realm.name, displayName: realm.displayName }, base, user: { username: user.username, displayName: displayName || null } };
}

export const auditOrigin = ({ realm, at, ctx }: AccountRequest, user: UserRow): AuditOrigin => ({
  realmId: realm.realm.id,
  at,
  actor: user.id,
  subject: user.id,
  clientId: 'account-console',
  ip: ctx.ip,
  userAgent: ctx.get('user-agent') || null,
});

/** What the next page says of what was done here. */
const NOTICES = {
  added: 'account.notice.added',
  'not-added': 'account.notice.notAdded',
  renamed: 'account.notice.renamed',
  removed: 'account.notice.removed',
  preferred: 'account.notice.preferred',
  password: 'account.notice.password',
  untrusted: 'devices.notice.untrusted',
  untrustedAll: 'devices.notice.untrustedAll',
  forgotten: 'devices.notice.forgotten',
  sessionEnded: 'sessions.notice.ended',
  awayEnded: 'sessions.notice.awayEnded',
  elsewhereEnded: 'sessions.notice.elsewhereEnded',
  takenBack: 'sessions.notice.takenBack',
} as const satisfies Record<string, MessageKey>;
export type Notice = keyof typeof NOTICES;

const COOKIE = 'cardea_account_notice';

/** Back to the front page, which says what was done. A cookie, not the address: a link cannot make the page say it. */
export function done({ ctx, base, origin }: AccountRequest, notice: Notice | null, path: string = base): void {
  if (notice !== null) setNotice(ctx, base, origin, notice);
  redirectTo(ctx, path);
}

/** The notice for this page, once. */
export function takeNotice({ ctx, base, origin }: AccountRequest): Words | null {
  const kept = ctx.cookies.get(COOKIE);
  if (kept === undefined) return null;
  setNotice(ctx, base, origin, null);
  return isNotice(kept) ? say(NOTICES[kept]) : null;
}

function setNotice(ctx: Koa.Context, base: string, origin: string, notice: Notice | null): void {
  ctx.cookies.set(COOKIE, notice, {
    path: base,
    httpOnly: true,
    sameSite: 'lax',
    secure: origin.startsWith('https:'),
    signed: false,
    overwrite: true,
  });
}

const isNotice = (text: string): text is Notice => Object.hasOwn(NOTICES, text);
