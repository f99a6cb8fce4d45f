/**
 * Rows that one request has read already. The library asks for the same session, grant and account from several places, and
 * each would be a round trip; what is kept here is forgotten with the request.
 */
import Provider from 'oidc-provider';
import type { SessionRow } from '../store/sessions.ts';
import type { UserRow } from '../store/users.ts';

interface Read {
  /** Our session behind the library's; null when there is none that is alive. */
  session?: { uid: string; row: SessionRow | undefined };
  user?: UserRow;
  /** A grant's payload as it is stored. */
  grant?: { id: string; payload: string };
  /** The library's session as it was read. */
  saved?: { id: string; payload: string; expiresAt: number | null };
}

const reads = new WeakMap<object, Read>();

/**
 * What this request has read; outside of one of the library's requests, nothing is kept.
 *
 * @param ctx for callers around the library's own handling, where it does not say which request it is at
 */
export function requestCache(ctx: object | undefined = Provider.ctx): Read {
  if (!ctx) return {};
  let read = reads.get(ctx);
  if (!read) {
    read = {};
    reads.set(ctx, read);
  }
  return read;
}
