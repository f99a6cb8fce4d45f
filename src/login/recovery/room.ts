/**
 * A forgotten password, at `/realms/{realm}/login-actions`: a new one is set by whoever has the mailbox and, where one is
 * owned, another second factor. Nobody is signed in by it.
 *
 *     GET/POST reset-credentials          a name is typed; the answer is the same whoever's it is     (ask.ts)
 *     a mail, once the answer is out      a link, for half an hour, once, in the browser that asked
 *     or a mail that an administrator has sent, with more to do than that                           (invite.ts)
 *     GET/POST action-token?key=…         a page that does nothing by itself, and its button         (link.ts)
 *     GET/POST reset-credentials/continue the page that is due: a factor, the new password            (steps.ts)
 *
 * As in the sign-in, one dispatcher decides from what is stored, a pure machine (machine.ts) says where a step leads, and
 * what is stored moves by compare-and-set. The browser is known by a cookie of its own.
 *
 * This file holds what the parts share.
 */
import type Koa from 'koa';
import type { AuditOrigin } from '../../audit/event.ts';
import type { Notices } from '../../delivery/notices.ts';
import type { PasswordHasher } from '../../factors/factor.ts';
import { loginPath, realmPath } from '../../realms/issuer.ts';
import type { RealmContext } from '../../realms/registry.ts';
import { Throttle } from '../../sessions/throttle.ts';
import type { LoginDeps } from '../room.ts';
import type { Recoveries, Recovery } from './recoveries.ts';

/** How long a link is good for, and all that follows it. */
export const LIFETIME_MS = 30 * 60_000;

export interface RecoveryDeps extends Omit<LoginDeps, 'signIns'> {
  recoveries: Recoveries;
  writeTo: Notices['writeTo'];
}

/** One request for these pages. */
export interface RecoveryRequest extends Omit<RecoveryDeps, 'passwords'> {
  /** With the turns of where the request comes from. */
  passwords: PasswordHasher;
  ctx: Koa.Context;
  realm: RealmContext;
  /** What everything here lies under, with the cookie. */
  base: string;
  at: number;
}

export const basePath = (realmName: string): string => `${realmPath(realmName)}/login-actions`;

const COOKIE = 'cardea_recovery';

export const cookieOf = ({ ctx }: RecoveryRequest): string | undefined => ctx.cookies.get(COOKIE);

export function setCookie({ ctx, base, origin, at }: RecoveryRequest, value: string, expiresAt: number): void {
  ctx.cookies.set(COOKIE, value, {
    path: base,
    httpOnly: true,
    // The link is opened from a mail program: the browser comes from elsewhere, by a GET.
    sameSite: 'lax',
    secure: origin.startsWith('https:'),
    signed: false,
    overwrite: true,
    maxAge: Math.max(0, expiresAt - at),
  });
}

/** Whether users of this realm may set a new password so: the realm allows it, and can write to them. */
export const isOffered = ({ factors }: Pick<RecoveryDeps, 'factors'>, { realm: { settings } }: RealmContext): boolean =>
  settings.resetPasswordAllowed && factors.channels(settings).mail;

/** An id of an interaction as oidc-provider makes them; anything else leads nowhere. */
const UID = /^[A-Za-z0-9_-]{20,64}$/;
export const uidOf = (value: unknown): string | null => (typeof value === 'string' && UID.test(value) ? value : null);

/** Where the first page of a recovery is, for a sign-in that it comes back to. */
export const recoveryAddress = (realmName: string, from: { login: string; language: string }): string =>
  `${basePath(realmName)}/reset-credentials?${new URLSearchParams({ login: from.login, ui_locales: from.language })}`;

/** The sign-in that this began from; null when there was none. Only ever an address of our own. */
export const wayBack = ({ realm }: RecoveryRequest, login: string | null): string | null =>
  login === null ? null : loginPath(realm.realm.name, login);

export const realmModel = ({ realm: { realm } }: RecoveryRequest) => ({ name: realm.name, displayName: realm.displayName });

export const throttleOf = ({ db, realm, ctx, log }: RecoveryRequest): Throttle =>
  new Throttle(
    db,
    { id: realm.realm.id, rootSecret: realm.rootSecret, settings: realm.realm.settings },
    { ip: ctx.ip, userAgent: ctx.get('user-agent') || null, log },
  );

export const auditOrigin = ({ realm, at, ctx }: RecoveryRequest, recovery: Pick<Recovery, 'row'> | null, subject: string | null): AuditOrigin => ({
  realmId: realm.realm.id,
  at,
  actor: subject,
  subject,
  transactionId: recovery?.row.id ?? null,
  ip: ctx.ip,
  userAgent: ctx.get('user-agent') || null,
});
