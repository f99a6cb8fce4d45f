/**
 * OpenID Connect: the only room that knows oidc-provider.
 *
 * A request comes in through dispatch.ts, which pins the origin and hands it to the realm's Provider (provider.ts). The
 * Provider asks authentication.ts whether what was proved is enough; interactions.ts is what the sign-in pages see of it.
 *
 *     storage/  where the library stores (adapter.ts), one model a class
 *     clients/  clients as it wants them (clients.ts), how they authenticate, what is fetched for them
 *     grants/   what a session may have at a client (grants.ts), and the grants that are ours: a password, an exchange
 *     ciba/     users who are asked elsewhere: limits, the mail, the pages around the sign-in
 *     tokens/   what tokens say (claims.ts, mapped.ts), which there are, and whom they are for
 *
 * This file holds what its parts share.
 */
import type Koa from 'koa';
import type { AuditBatch } from '../audit/batch.ts';
import type { ClientCertificates } from '../config/client-certificates.ts';
import type { Keyring } from '../crypto/keyring.ts';
import type { Notices } from '../delivery/notices.ts';
import type { Factors } from '../factors/index.ts';
import type { Alarm } from '../http/alarm.ts';
import type { FetchGuarded } from '../http/guarded-client.ts';
import type { RealmContext } from '../realms/registry.ts';
import type { DirectAnswer, DirectSignIn, SignInState, SignIns } from '../sessions/sign-ins.ts';
import type { Database } from '../store/database.ts';

/** What app.ts hands to this room. */
export interface OidcDeps {
  db: Database;
  keyring: Keyring;
  factors: Factors;
  signIns: SignIns<SignInState>;
  /** For rows of what happens with every request. */
  batch: Pick<AuditBatch, 'add'>;
  /** Something stored does not open. */
  alarm: Alarm;
  origin: string;
  /** Where a proxy passes the certificates of clients on; undefined where nobody does. */
  clientCertificates: ClientCertificates | undefined;
  /** The way to addresses that a client names. */
  fetchGuarded: FetchGuarded;
  /** A name, a password and a code in one request; the login room compares them, as on its pages. Throws 429 and 503. */
  signInDirectly(ctx: Koa.Context, realm: RealmContext, given: DirectSignIn): Promise<DirectAnswer>;
  /** A mail of our own words to a user; what it answers stores it. */
  writeTo: Notices['writeTo'];
  /** Shows a page of ours on any Koa context. */
  render(ctx: Koa.Context, view: string, model: object, status?: number): Promise<void>;
  /** Milliseconds since the epoch; oidc-provider itself reads Date.now. */
  now(): number;
  /** Records what must not stay unseen; `details` never hold a secret. */
  log: { info(details: object, message: string): void; warn(details: object, message: string): void; error(details: object, message: string): void };
}

/** One realm's side of the room: its context, and the Provider once it is built. */
export interface RealmRoom extends OidcDeps {
  context: RealmContext;
}

/** Seconds of clock difference between nodes and with clients that are let pass. */
export const CLOCK_TOLERANCE = 5;

/**
 * The audience of access tokens that were asked for no resource in particular. The library makes JWT access tokens for
 * resource servers only, and wants an absolute URI for one; tokens carry Keycloak's `account` instead.
 */
export const DEFAULT_RESOURCE = 'urn:cardea:realm';
export const DEFAULT_AUDIENCE = 'account';
