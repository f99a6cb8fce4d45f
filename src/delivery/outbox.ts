/** The outbox: messages as sealed rows, written in the transaction of what they tell about. */
import { randomUUID } from 'node:crypto';
import { z } from 'zod';
import type { Keyring } from '../crypto/keyring.ts';
import { corrupted } from '../errors.ts';
import type { Database } from '../store/database.ts';
import { isTransaction } from '../store/lastly.ts';
import { insertOutboxRow, OUTBOX_TOPIC, type OutboxRow, outboxSeal } from '../store/outbox.ts';
import type { Queries } from '../store/rows.ts';
import type { Address } from './channel.ts';

const payload = z.object({ to: z.string(), from: z.string(), subject: z.string(), text: z.string(), html: z.string().nullable() });
/** What a row holds of a message. */
export type Payload = z.infer<typeof payload>;

/** A message for somebody, in the words that it arrives in. */
export interface Parcel {
  realmId: string;
  userId: string | null;
  kind: Address['kind'];
  payload: Payload;
}

/** Runs in the transaction of what the message tells about. */
export type Tell = (trx: Queries) => Promise<void>;

/**
 * Puts messages into the outbox, in two steps: they are sealed now, and stored by what this answers, within a transaction.
 * Sealing may ask the database for a key, which nothing inside a transaction may.
 */
export async function enqueue({ db, keyring }: { db: Database; keyring: Keyring }, parcels: readonly Parcel[], now: number): Promise<Tell> {
  const rows = await Promise.all(
    parcels.map(async (parcel): Promise<OutboxRow> => {
      const { realmId, userId, kind } = parcel;
      const id = randomUUID();
      const sealed = await sealPayload(keyring, { realmId, id }, parcel.payload);
      return {
        ...{ realmId, id, kind, purpose: 'notice', userId, payload: sealed },
        ...{ attempts: 0, dueAt: now, claimedUntil: null, deliveredAt: null, createdAt: now },
      };
    }),
  );
  return async (trx) => {
    for (const row of rows) await insertOutboxRow(trx, row);
    // Whoever sends is woken when this has been committed, on every node.
    if (rows.length > 0) await db.changes.announce(OUTBOX_TOPIC, isTransaction(trx) ? trx : undefined);
  };
}

/** Bound to its row. */
export const sealPayload = (keyring: Keyring, key: { realmId: string; id: string }, message: Payload): Promise<string> =>
  keyring.seal(outboxSeal(key), JSON.stringify(message));

/** Opens a message of the outbox. */
export async function openMessage(keyring: Keyring, row: Pick<OutboxRow, 'realmId' | 'id' | 'payload'>): Promise<Payload> {
  const opened: unknown = JSON.parse(await keyring.openText(outboxSeal(row), row.payload));
  const result = payload.safeParse(opened);
  if (!result.success) throw corrupted('A stored message is not one.');
  return result.data;
}
