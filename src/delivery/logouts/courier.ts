/**
 * Tells applications that a session has ended (OpenID Connect Back-Channel Logout 1.0), by what store/logout-notices.ts holds.
 *
 *     a notice that is due ─► a fresh logout token ─► POST logout_token=… ─► 200, or 204: done
 *                                                                        └► again until then, for a day (../courier.ts)
 *
 * A notice that arrives twice has the same `jti`. 400 says that the application refuses the token or could not sign its user
 * out (section 2.8): the next token may be to its liking, such as when it has read our new keys, but a fourth will not.
 * Nothing is ever dropped because there is too much: there is at most one notice for each client of each session.
 */
import { record } from '../../audit/record.ts';
import type { Keyring } from '../../crypto/keyring.ts';
import { isCorrupted } from '../../errors.ts';
import type { Database } from '../../store/database.ts';
import { addresseeOf, claimNotices, finishNotice, LOGOUT_URL, type NoticeRow, onNotices, putOffNotice } from '../../store/logout-notices.ts';
import { realmById } from '../../store/realms.ts';
import { Courier, type CourierLog } from '../courier.ts';
import { post, type Send, type Sent } from '../post.ts';
import { logoutToken } from './token.ts';

export interface LogoutCourierDeps {
  db: Database;
  keyring: Keyring;
  /** Our own. */
  origin: string;
  send: Send;
  now(): number;
  log: CourierLog;
  /** Told of every attempt. */
  report(call: { result: 'delivered' | 'again' | 'failed'; ms: number }): void;
}

/** So often an application may refuse, over less than three minutes. */
export const MOST_REFUSALS = 4;

export function logoutCourier(deps: LogoutCourierDeps): Courier<NoticeRow> {
  const { db, now, log, report } = deps;
  return new Courier({
    ...{ name: 'back-channel logouts', log, now },
    onNews: onNotices,
    claim: (claim) => claimNotices(db.knex, claim),
    receiverOf: (row) => row.clientRowId,
    send: (row) => send(deps, row),
    finish: (row, state, sent) => finish(deps, row, state, sent),
    putOff: (row, dueAt, sent) => putOffNotice(db.knex, row, dueAt, sent),
    report: (result, ms) => report({ result, ms }),
  });
}

async function send({ db, keyring, origin, send: call, now, log }: LogoutCourierDeps, row: NoticeRow): Promise<Sent> {
  try {
    const [client, realm] = await Promise.all([addresseeOf(db.knex, row), realmById(db.knex, row.realmId)]);
    const url = client?.attributes[LOGOUT_URL];
    if (!client || !realm || !url) return { ok: false, status: null, error: 'the client has no address for it any more', gone: true };
    const token = await logoutToken({ db, keyring, origin }, { ...row, ...client, realm }, now());
    const headers = { 'content-type': 'application/x-www-form-urlencoded', 'user-agent': 'Cardea-Logout' };
    const body = String(new URLSearchParams({ logout_token: token }));
    return await post(call, url, { headers, body }, (status) => ({
      ok: status === 200 || status === 204,
      gone: status === 400 && row.attempts >= MOST_REFUSALS,
    }));
  } catch (err) {
    log.error({ err, delivery: row.id }, 'a logout token could not be made or sent');
    // What does not open now will not open tomorrow either.
    return { ok: false, status: null, error: 'a fault of ours', gone: isCorrupted(err) };
  }
}

/** What is given up is recorded: somebody may still be signed in there. */
function finish({ db, now }: LogoutCourierDeps, row: NoticeRow, state: 'delivered' | 'failed', sent: Sent): Promise<boolean> {
  if (state === 'delivered') return finishNotice(db.knex, row, state, sent, now());
  return db.transaction(async (trx) => {
    const at = now();
    const client = await addresseeOf(trx, row);
    if (!(await finishNotice(trx, row, state, sent, at))) return false;
    const origin = { realmId: row.realmId, at, subject: row.userId, clientId: client?.clientId ?? null };
    const details = { attempts: row.attempts, status: sent.status, reason: sent.error ?? 'failed' };
    await record(trx, origin, { type: 'logout.untold', details });
    return true;
  });
}
