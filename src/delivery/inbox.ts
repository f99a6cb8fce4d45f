/** The development inbox: what would have been sent. There is no such page in production. */
import type { Keyring } from '../crypto/keyring.ts';
import type { Database } from '../store/database.ts';
import { newestMessages } from '../store/outbox.ts';
import { openMessage } from './outbox.ts';

export interface InboxMessage {
  /** ISO 8601. */
  at: string;
  channel: 'email' | 'sms';
  to: string;
  subject: string | null;
  text: string;
}

const MOST_SHOWN = 50;

/** The newest messages of all realms, newest first. */
export async function readInbox({ db, keyring }: { db: Database; keyring: Keyring }): Promise<InboxMessage[]> {
  const rows = await newestMessages(db.knex, MOST_SHOWN);
  return Promise.all(
    rows.map(async (row) => ({
      at: new Date(row.createdAt).toISOString(),
      channel: row.kind === 'sms' ? ('sms' as const) : ('email' as const),
      ...(await openMessage(keyring, row)),
    })),
  );
}
