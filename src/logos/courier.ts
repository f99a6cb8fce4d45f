/**
 * Logos of applications: pictures at addresses that applications choose, shown from our own.
 *
 *     a client is saved ─► store/client-logos.ts ─► fetched (courier.ts) ─► drawn anew by a process apart (picture.ts, decoder.ts)
 *     a page is shown ─► which picture, of what size (shown.ts) ─► the browser asks us for it (http/client-logo.ts)
 *
 * Were a page to name the application's own address, its host would learn who is about to sign in, and the page's
 * Content-Security-Policy would have to be open to it. So the server fetches each logo once, through the guarded client,
 * and never while somebody waits. What goes wrong means that there is no logo, and is told to nobody but the log.
 */
import { Courier, type CourierLog } from '../delivery/courier.ts';
import { type Sent, unsent } from '../delivery/post.ts';
import { AppError } from '../errors.ts';
import { claimLogos, finishLogo, type LogoRow, logoAddress, onLogos, type Picture, putOffLogo } from '../store/client-logos.ts';
import type { Database } from '../store/database.ts';
import { NotAPicture, redrawn } from './picture.ts';

export interface LogoCourierDeps {
  db: Pick<Database, 'knex'>;
  /** The guarded client, as far as it is needed here. */
  fetch(
    address: string,
    init: { headers: Record<string, string>; timeoutMs: number; maxBytes: number; redirects: number },
  ): Promise<{ status: number; body: Buffer }>;
  /** Whether this host may be asked once more now. */
  mayAsk(host: string): boolean;
  now(): number;
  log: CourierLog;
}

/** One host is asked for one at a time, and a realm that names slow ones keeps no other waiting. */
const LIMITS = { all: 8, ofReceiver: 1, ofRealm: 2 };
/** Once more after a few seconds, and then when somebody looks again an hour later (shown.ts). */
const MOST_ATTEMPTS = 2;
const TIMEOUT_MS = 5_000;
const MAX_BYTES = 1024 * 1024;
/** Within the same origin. */
const REDIRECTS = 2;
const HEADERS = { accept: 'image/png, image/jpeg, image/webp, image/gif' };

/** An address that answers has this picture, or none; of one that does not answer nothing new is known. */
interface Fetched {
  sent: Sent;
  picture: Picture | null | undefined;
}

/** Fetches the pictures that are due, and puts them into the rows of their clients. */
export function logoCourier(deps: LogoCourierDeps): Courier<LogoRow> {
  const { db, now, log } = deps;
  const pictures = new WeakMap<LogoRow, Picture | null>();
  return new Courier<LogoRow>({
    ...{ name: 'logos of applications', limits: LIMITS, log, now },
    onNews: onLogos,
    claim: (claim) => claimLogos(db.knex, claim),
    receiverOf: (row) => row.host,
    async send(row) {
      const { sent, picture } = await fetchLogo(deps, row);
      if (picture !== undefined) pictures.set(row, picture);
      return sent;
    },
    finish: (row, state, attempted) => finishLogo(db.knex, row, { state, attempted, picture: pictures.get(row) }, now()),
    putOff: (row, dueAt, attempted) => putOffLogo(db.knex, row, dueAt, attempted),
    report: () => undefined,
  });
}

async function fetchLogo({ db, fetch, mayAsk, log }: LogoCourierDeps, row: LogoRow): Promise<Fetched> {
  const none = (error: string, status: number | null): Fetched => ({ sent: { ok: false, status, error, gone: true }, picture: null });
  const unknown = (error: string | null, status: number | null, gone: boolean): Fetched => ({
    sent: { ok: false, status, error, gone },
    picture: undefined,
  });
  const isOver = row.attempts >= MOST_ATTEMPTS;
  try {
    const address = await logoAddress(db.knex, row);
    if (address === undefined) return none('the client names another by now, or none', null);
    if (!mayAsk(row.host)) return unknown('the host was asked too often', null, false);
    const { status, body } = await fetch(address, { headers: HEADERS, timeoutMs: TIMEOUT_MS, maxBytes: MAX_BYTES, redirects: REDIRECTS });
    if (status === 429 || status >= 500) return unknown(`answered ${status}`, status, isOver);
    if (status !== 200) return none(`answered ${status}`, status);
    return { sent: { ok: true, status, error: null, gone: false }, picture: await redrawn(body) };
  } catch (error) {
    if (error instanceof NotAPicture) return none(error.message, 200);
    if (!(error instanceof AppError)) log.error({ err: error, realm: row.realmId, client: row.id }, 'a logo could not be fetched');
    const { error: reason, gone } = unsent(error);
    return gone ? none(reason, null) : unknown(reason, null, isOver);
  }
}
