/**
 * The development inbox: where nothing is set up to send by, messages stay in the outbox, and a page shows what would have
 * been sent. There is neither in production.
 */
import type { Keyring } from '../crypto/keyring.ts';
import type { Database } from '../store/database.ts';
import { newestMessages } from '../store/outbox.ts';
import type { Channel } from './channel.ts';
import { openMessage } from './outbox.ts';

/** Takes everything, and leaves it where it is. */
export const inboxChannel: Channel = {
  id: 'inbox',
  keeps: true,
  deliver: async () => undefined,
  close: () => undefined,
};

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
    rows.map(async (row) => {
      const { to, subject, text } = await openMessage(keyring, row);
      return {
        at: new Date(row.createdAt).toISOString(),
        channel: row.kind === 'sms' ? ('sms' as const) : ('email' as const),
        to,
        subject: subject || null,
        text,
      };
    }),
  );
}
