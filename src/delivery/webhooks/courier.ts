/**
 * Tells webhooks what happened.
 *
 *     audit row, marked ─► a delivery for each webhook that wants it ─► sent, and again until it arrives (../courier.ts)
 *
 * The mark is written by the statement that writes the row, so nothing that was committed is forgotten, and a sign-in does
 * nothing more for it. A message that arrives twice has the same `webhook-id`. So many may wait for one webhook: what is
 * beyond that is counted and dropped.
 */
import { timeOrderedId } from '../../crypto/codes.ts';
import type { Keyring } from '../../crypto/keyring.ts';
import { isCorrupted } from '../../errors.ts';
import type { Database } from '../../store/database.ts';
import {
  claimDeliveries,
  countDropped,
  type DeliveryRow,
  dispatchOf,
  finishDelivery,
  insertDeliveries,
  isAnythingUntold,
  type Listener,
  listenersIn,
  lockUntold,
  markTold,
  type NewDelivery,
  putOffDelivery,
  type UntoldEvent,
} from '../../store/webhook-deliveries.ts';
import { Courier, type CourierLog } from '../courier.ts';
import type { Send, Sent } from '../post.ts';
import { messageOf, secretsIn, sendMessage } from './message.ts';
import { wants } from './patterns.ts';

export interface WebhookCourierDeps {
  db: Database;
  keyring: Keyring;
  send: Send;
  now(): number;
  log: CourierLog;
  /** Told of every attempt, and of what was dropped. */
  report(what: { result: 'delivered' | 'again' | 'failed'; ms: number } | { result: 'dropped'; count: number }): void;
}

/** Rows that are told of in one transaction. */
const EVENTS_AT_ONCE = 200;
/** As much waits for one webhook, and no more: about a day of a realm with seven events a minute. */
export const MOST_WAITING = 10_000;

export function webhookCourier(deps: WebhookCourierDeps): Courier<DeliveryRow> {
  const { db, now, log, report } = deps;
  return new Courier({
    ...{ name: 'webhooks', log, now },
    prepare: () => prepare(deps),
    claim: (claim) => claimDeliveries(db.knex, claim),
    receiverOf: (row) => row.webhookId,
    send: (row) => send(deps, row),
    finish: (row, state, sent) => finishDelivery(db.knex, row, state, sent, now()),
    putOff: (row, dueAt, sent) => putOffDelivery(db.knex, row, dueAt, sent),
    report: (result, ms) => report({ result, ms }),
  });
}

/** Turns marked rows into deliveries; answers how many there were. */
async function prepare({ db, now, log, report }: WebhookCourierDeps): Promise<number> {
  if (!(await isAnythingUntold(db.knex))) return 0;
  const { events, dropped } = await db.transaction(async (trx) => {
    const taken = await lockUntold(trx, EVENTS_AT_ONCE);
    const listeners = await listenersIn(trx, [...new Set(taken.map(({ realmId }) => realmId))]);
    const planned = plannedFor(taken, listeners, now());
    if (planned.deliveries.length > 0) await insertDeliveries(trx, planned.deliveries);
    for (const { listener, count } of planned.dropped) await countDropped(trx, listener, count);
    if (taken.length > 0) await markTold(trx, taken);
    return { events: taken.length, dropped: planned.dropped };
  });
  for (const { listener, count } of dropped) {
    log.warn({ realm: listener.realmId, webhook: listener.id, dropped: count }, 'too much waits for a webhook; it is not told');
    report({ result: 'dropped', count });
  }
  return events;
}

async function send({ db, keyring, send: post, now, log }: WebhookCourierDeps, row: DeliveryRow): Promise<Sent> {
  try {
    const dispatch = await dispatchOf(db.knex, row);
    if (!dispatch?.enabled) return { ok: false, status: null, error: 'the event is not there any more', gone: true };
    const secrets = await secretsIn(keyring, { realmId: row.realmId, id: row.webhookId, secrets: dispatch.secrets });
    return await sendMessage(post, { url: dispatch.url, secrets }, messageOf(dispatch), now());
  } catch (err) {
    log.error({ err, delivery: row.id }, 'a message to a webhook could not be made');
    // What does not open now will not open tomorrow either.
    return { ok: false, status: null, error: 'a fault of ours', gone: isCorrupted(err) };
  }
}

/** Who is told what, and what there is no room for. */
function plannedFor(events: readonly UntoldEvent[], listeners: readonly Listener[], now: number) {
  const deliveries: NewDelivery[] = [];
  const dropped: { listener: Listener; count: number }[] = [];
  for (const listener of listeners) {
    const wanted = events.filter((event) => event.realmId === listener.realmId && wants(listener.events, event.type));
    const room = Math.max(0, MOST_WAITING - listener.waiting);
    for (const event of wanted.slice(0, room)) {
      const { realmId, id: eventId, type } = event;
      deliveries.push({ realmId, id: timeOrderedId(now), webhookId: listener.id, eventId, type, dueAt: now, createdAt: now });
    }
    if (wanted.length > room) dropped.push({ listener, count: wanted.length - room });
  }
  return { deliveries, dropped };
}
