/**
 * The admin console, at `/admin/master/console/`: a relying party of realm master (http/relying.ts), one file a page. Its
 * pages call the operations of admin/resources, as the command line does.
 *
 * Administrators always prove a second factor, whatever the realm asks of others: without aal2 there is no page.
 *
 * This file holds what the pages share.
 */
import type Koa from 'koa';
import type { ConsoleSession, Relying } from '../../http/relying.ts';
import { say, type Words } from '../../languages/messages.ts';
import type { RealmContext } from '../../realms/registry.ts';
import type { Database } from '../../store/database.ts';
import { loweredFloorOf } from '../resources/overview.ts';

export interface AdminConsoleDeps {
  db: Database;
  relying: Relying;
  origin: string;
  render(ctx: Koa.Context, view: string, model: object, status?: number): Promise<void>;
  now(): number;
}

/** One request for the admin console. */
export interface AdminRequest extends AdminConsoleDeps {
  ctx: Koa.Context;
  master: RealmContext;
  base: string;
}

export const shownRealm = ({ master: { realm } }: AdminRequest) => ({ name: realm.name, displayName: realm.displayName });

/** What stands on every page for as long as it is so: null where nothing has to be said. */
export function standingWarning({ master: { realm, policy } }: AdminRequest): Words | null {
  const level = loweredFloorOf(policy.document);
  return level === null ? null : say('policy.floor.lowered', { level, realm: realm.name });
}

export function shownUser({ user }: ConsoleSession) {
  return { username: user.username, displayName: [user.firstName, user.lastName].filter(Boolean).join(' ') || null };
}
