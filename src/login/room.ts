/**
 * The hosted sign-in, at `/realms/{realm}/login/{uid}`.
 *
 * One dispatcher (routes.ts) decides from what is stored which page is due; no step ever redirects to another. A POST is
 * checked for its origin, counted, verified by a factor (steps.ts), moved on by the machine (machine.ts, pure), stored by
 * compare-and-set, recorded, and answered with a redirect to the same address. When the machine is done, oidc-provider is
 * told, through the narrow port that app.ts hands in, and asks for itself whether it is enough.
 *
 * This file holds what the parts of the room share.
 */
import type Koa from 'koa';
import type { Keyring } from '../crypto/keyring.ts';
import type { Notices } from '../delivery/notices.ts';
import type { ContextDeps } from '../factors/context.ts';
import type { PasswordHasher } from '../factors/factor.ts';
import type { Factors } from '../factors/index.ts';
import type { RealmContext } from '../realms/registry.ts';
import type { Browser } from '../sessions/browser.ts';
import type { SignIn, SignIns } from '../sessions/sign-ins.ts';
import type { ClientRow } from '../store/clients.ts';
import type { Database } from '../store/database.ts';
import type { LoginRow } from '../store/logins.ts';
import type { LoginState } from './state.ts';

/** What the sign-in needs to know of a request for it; oidc/interactions.ts provides it. */
export interface AskedLogin {
  uid: string;
  cid: string;
  prompt: 'login' | 'consent';
  /** The application wants its user to say who they are, whoever is signed in. */
  selects: boolean;
  scopes: string[];
  params: Record<string, unknown>;
  clientId: string;
  /** As it is known to the provider; undefined when it was switched off meanwhile. */
  client: ClientRow | undefined;
  /** The sign-in as it is stored, where it was read with the question: where the browser has a cookie of it. */
  login: { row: LoginRow | undefined } | undefined;
  /** The only user whose sign-in answers the request, when it names one. */
  subject: string | undefined;
  session: { uid: string; accountId: string } | undefined;
  /** It is a device that is signed in, and not this browser's application. */
  device: boolean;
  /** What its user is to answer, who was asked elsewhere (CIBA): the client's words for it, and when that was. */
  asks: { message: string | null; at: number; scopes: string[] } | undefined;
  /** The address of the same request anew. */
  again: string;
  expiresAt: number;
}

/** The narrow port to the provider: load what is asked, answer it once. Each answer is where the browser goes next. */
export interface LoginPort {
  load(ctx: Koa.Context, uid: string): Promise<AskedLogin>;
  finish(ctx: Koa.Context): Promise<string>;
  allow(ctx: Koa.Context): Promise<string>;
  deny(ctx: Koa.Context, error: { error: string; error_description: string }): Promise<string>;
}

export interface LoginDeps extends ContextDeps {
  db: Database;
  keyring: Keyring;
  /** Argon2id, in which every address gets its turn. */
  passwords: PasswordHasher & { from(address: string): PasswordHasher };
  factors: Factors;
  signIns: SignIns<LoginState>;
  render(ctx: Koa.Context, view: string, model: object, status?: number): Promise<void>;
  now(): number;
  log: { warn(details: object, message: string): void; error(details: object, message: string): void };
  /** Tells a user, by every way, what has changed; what it returns runs in the transaction of the change. */
  tell: Notices['tell'];
}

/** One request for the sign-in pages. */
export interface LoginRequest extends Omit<LoginDeps, 'passwords'> {
  /** With the turns of where the request comes from. */
  passwords: PasswordHasher;
  ctx: Koa.Context;
  realm: RealmContext;
  port: LoginPort;
  asked: AskedLogin;
  browser: Browser;
  at: number;
}

/** What proofs are checked with: a request for these pages, or one of a sign-in that has none (direct.ts). */
export type Proving = Omit<LoginRequest, 'port' | 'asked'> & { asked: Pick<AskedLogin, 'clientId'> };

export type Login = SignIn<LoginState>;
