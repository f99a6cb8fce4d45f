/**
 * What is sent while somebody waits: a code, or the test of an account. Its row in the outbox is claimed from the beginning,
 * so that no worker takes it, and tells afterwards how it went.
 */
import { randomUUID } from 'node:crypto';
import type { AuditEvent } from '../audit/event.ts';
import type { Database } from '../store/database.ts';
import { type Claimed, insertOutboxRow, markDelivered, markFailed, type OutboxRow } from '../store/outbox.ts';
import type { Queries } from '../store/rows.ts';
import { type Address, type Channel, reasonOf } from './channel.ts';
import type { Payload } from './outbox.ts';

/** How long a page waits for a provider, in milliseconds. Longer, and people reload it. */
const PATIENCE_MS = 10_000;
/** When the row of a request that was killed meanwhile counts as given up. */
const CLAIM_MS = 4 * PATIENCE_MS;

/** What the audit says of it. */
export type SentFacts = { channel: 'mail' | 'sms'; purpose: string; country?: string };
export type SentAudit = (event: AuditEvent, queries?: Queries) => Promise<void>;

/** The row that it will have. */
export const atOnceKey = (realmId: string, now: number): Claimed => ({ realmId, id: randomUUID(), claimedUntil: now + CLAIM_MS });

export function insertAtOnce(
  trx: Queries,
  key: Claimed,
  row: Pick<OutboxRow, 'kind' | 'purpose' | 'userId' | 'payload'>,
  now: number,
): Promise<void> {
  return insertOutboxRow(trx, { ...key, ...row, attempts: 1, dueAt: now, deliveredAt: null, createdAt: now });
}

export interface AtOnce {
  key: Claimed;
  channel: Channel;
  to: Address;
  message: Payload;
  validMs: number | null;
  now: number;
  facts: SentFacts;
  audit: SentAudit;
}

/**
 * Sends it. What became of it is in its row and in the audit, either way.
 * @returns why it was not taken over in time, as a short code; undefined when it was
 */
export async function sendAtOnce(
  { db, log }: { db: Database; log: { warn(details: object, message: string): void } },
  { key, channel, to, message, validMs, now, facts, audit }: AtOnce,
): Promise<string | undefined> {
  let reason: string | undefined;
  try {
    await channel.deliver(to, { id: key.id, ...message, validMs }, AbortSignal.timeout(PATIENCE_MS));
  } catch (error) {
    reason = reasonOf(error);
    log.warn({ channel: channel.id, purpose: facts.purpose, reason }, 'a message could not be sent');
  }
  await db.transaction(async (trx) => {
    if (reason === undefined) {
      await markDelivered(trx, key, now, channel.keeps);
      await audit({ type: 'delivery.sent', details: facts }, trx);
    } else {
      await markFailed(trx, key, reason, now);
      await audit({ type: 'delivery.failed', details: { ...facts, reason } }, trx);
    }
  });
  return reason;
}
