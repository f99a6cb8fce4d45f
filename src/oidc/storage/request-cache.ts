/**
 * Rows that one request has read already. The library asks for the same session, grant and account from several places, and
 * each would be a round trip; what is kept here is forgotten with the request.
 */
import { AsyncLocalStorage } from 'node:async_hooks';
import type { IncomingMessage } from 'node:http';
import Provider, { type AdapterPayload } from 'oidc-provider';
import type { KnownUser } from '../../sessions/facts.ts';
import type { SignIn, SignInState } from '../../sessions/sign-ins.ts';
import type { EffectiveRole } from '../../store/effective-roles.ts';
import type { PayloadRow } from '../../store/oidc-payloads.ts';
import type { Grace } from '../../store/refresh-chains.ts';
import type { Impersonator, SessionRow } from '../../store/sessions.ts';
import type { About, Wanted } from '../../store/token-subject.ts';
import type { UserRow } from '../../store/users.ts';
import type { Exchange } from '../grants/exchanged.ts';
import type { Claims } from '../tokens/access-tokens.ts';

interface Read {
  /** What the access token that is shown says, once it was verified. */
  claims?: { value: string; of: Promise<Claims | undefined> };
  /** Our session behind the library's; null when there is none that is alive. */
  session?: { uid: string; row: SessionRow | undefined };
  /** Who acts as the user of the access token that is shown. */
  impersonator?: Impersonator;
  /** What the token that is shown, or made, was exchanged from. */
  exchange?: Exchange;
  /** The line of the refresh token that is used, and the place of this one in it. */
  line?: { id: string; generation: number; grace: Grace };
  /** How the user of a token that is being made signed in, where no code and no refresh token says it. */
  signedIn?: { acr?: unknown; amr?: unknown; authTime?: unknown; sid?: unknown };
  user?: UserRow;
  /** What a decision needs of a user (known.ts). */
  known?: { userId: string; user: KnownUser };
  /** The code that this request has made, until it is stored. */
  code?: Omit<PayloadRow, 'uses'> | undefined;
  /** What was read of a user besides the row. */
  about?: { userId: string; wanted: Wanted; about: About };
  /** A user's roles, as far as one client and scope let them pass. */
  roles?: { key: string; roles: Promise<readonly EffectiveRole[]> };
  /** The interaction that was read together with its sign-in (under-way.ts), and the sign-in that dispatch.ts has looked at. */
  interaction?: { id: string; payload: AdapterPayload };
  signIn?: SignIn<SignInState>;
  /** The device code that is approved or denied, as it was read. */
  deviceCode?: { id: string; payload: string };
  /** The request of CIBA that is answered, as it was read, and what became of it. */
  ciba?: { id: string; payload: string; answered?: 'approved' | 'denied' };
  /** A grant's payload as it is stored. */
  grant?: { id: string; payload: string };
  /** The library's session as it was read. */
  saved?: { id: string; payload: string; expiresAt: number | null };
  /** The library's session behind the code or the refresh token that is shown; for the one that asks for it next. */
  behind?: PayloadRow | undefined;
}

const reads = new WeakMap<object, Read>();

/** The request that the library is asked something about outside of its own handling. */
const asking = new AsyncLocalStorage<IncomingMessage>();

/** Asks the library something about a request that it is not handling itself, such as which interaction it is of. */
export const during = <T>(req: IncomingMessage, ask: () => Promise<T>): Promise<T> => asking.run(req, ask);

/**
 * What this request has read; outside of one of the library's requests, nothing is kept.
 *
 * @param req for callers around the library's own handling, where it does not say which request it is at
 */
export function requestCache(req: IncomingMessage | undefined = Provider.ctx?.req ?? asking.getStore()): Read {
  if (!req) return {};
  let read = reads.get(req);
  if (!read) {
    read = {};
    reads.set(req, read);
  }
  return read;
}
