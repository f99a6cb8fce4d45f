/** The outbox: messages as sealed rows, written in the transaction of what they tell about. */
import { randomUUID } from 'node:crypto';
import { z } from 'zod';
import type { Keyring } from '../crypto/keyring.ts';
import { badInput, corrupted } from '../errors.ts';
import { insertOutboxRow, type OutboxRow, outboxSeal } from '../store/outbox.ts';
import type { Queries } from '../store/rows.ts';
import { oneLine } from './channel.ts';

const payload = z.object({ to: z.string(), subject: z.string().nullable(), text: z.string() });
export type Payload = z.infer<typeof payload>;

export interface Mail {
  realmId: string;
  to: string;
  subject: string;
  text: string;
}

/** RFC 5321 section 4.5.3.1.3 allows 254 characters between the brackets. */
const MAX_ADDRESS = 254;

/**
 * Puts a mail into the outbox, in two steps: it is sealed now, and stored by what this answers, within a transaction.
 * Sealing may ask the database for a key, which nothing inside a transaction may.
 * @throws `bad_input` for an address that is more than one line
 */
export async function enqueueMail(keyring: Keyring, mail: Mail, now: number): Promise<(trx: Queries) => Promise<void>> {
  if (mail.to.length > MAX_ADDRESS || oneLine(mail.to) !== mail.to || /[\s,;<>]/.test(mail.to))
    throw badInput('email', 'This is not an email address.');
  const key = { realmId: mail.realmId, id: randomUUID() };
  const message: Payload = { to: mail.to, subject: oneLine(mail.subject), text: mail.text };
  const row: OutboxRow = { ...key, kind: 'mail', payload: await keyring.seal(outboxSeal(key), JSON.stringify(message)), dueAt: now, createdAt: now };
  return (trx) => insertOutboxRow(trx, row);
}

/** Opens a message of the outbox. */
export async function openMessage(keyring: Keyring, row: OutboxRow): Promise<Payload> {
  const result = payload.safeParse(JSON.parse(await keyring.openText(outboxSeal(row), row.payload)));
  if (!result.success) throw corrupted('A stored message is not one.', result.error);
  return result.data;
}
