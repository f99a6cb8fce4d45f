/** Users with codes by mail or text message, and the codes that a server without accounts has left in its inbox. */
import { randomUUID } from 'node:crypto';
import { openMessage, type Payload } from '../../src/delivery/outbox.ts';
import type { RealmSettings } from '../../src/realms/settings.ts';
import { realmSettings } from '../../src/realms/settings.ts';
import { credentialSeal, insertCredential } from '../../src/store/credentials.ts';
import { newestMessages } from '../../src/store/outbox.ts';
import type { UserRow } from '../../src/store/users.ts';
import type { Cardea } from './cardea.ts';

async function give(server: Cardea, user: UserRow, factor: string, secret: object): Promise<string> {
  const key = { realmId: user.realmId, userId: user.id, id: randomUUID() };
  const sealed = await server.keyring.seal(credentialSeal(key), JSON.stringify(secret));
  const rest = { label: '', counter: null, enabled: true, level: null, lookup: null, createdAt: Date.now(), lastUsedAt: null };
  await insertCredential(server.db.knex, { ...key, factor, secret: sealed, ...rest });
  return key.id;
}

/** Codes by mail to the user's own address, without the pages. */
export const giveMailbox = (server: Cardea, user: UserRow, address = user.email ?? ''): Promise<string> =>
  give(server, user, 'email-otp', { address });

/** A number of the German example range, another one each time. */
let numbers = Math.floor(Math.random() * 1e6);
export const newNumber = (): string => {
  numbers += 1;
  return `+49151${String(10_000_000 + (numbers % 89_999_999)).padStart(8, '0')}`;
};

export const giveNumber = (server: Cardea, user: UserRow, number = newNumber(), usableFrom = 0): Promise<string> =>
  give(server, user, 'sms-otp', { number, usableFrom });

/** What was sent to an address, the newest first: of all that was sent, and not of the newest alone as the inbox shows. */
export async function messagesTo({ db, keyring }: Pick<Cardea, 'db' | 'keyring'>, to: string): Promise<(Payload & { kind: string })[]> {
  const messages = await Promise.all(
    (await newestMessages(db.knex, 100_000)).map(async (row) => ({ ...(await openMessage(keyring, row)), kind: row.kind })),
  );
  return messages.filter((message) => message.to === to);
}

/** The codes that were sent to an address, the newest first. */
export async function codesTo(server: Cardea, to: string): Promise<string[]> {
  return (await messagesTo(server, to)).flatMap(({ text }) => /(?:^ {4}|#)(\d+)$/m.exec(text)?.[1] ?? []);
}

export async function newestCode(server: Cardea, to: string): Promise<string> {
  const [code] = await codesTo(server, to);
  if (code === undefined) throw new Error(`No code was sent to ${to}.`);
  return code;
}

/** Another code of the same length. */
export const otherThan = (code: string): string => String((Number(code) + 1) % 10 ** code.length).padStart(code.length, '0');

/** Settings of a realm where codes are sent; sections are given in part. */
export const sending = (some: Record<string, unknown> = {}): Partial<RealmSettings> => {
  const { emailOtp, smsOtp, channels, fallback } = realmSettings.parse(some);
  return { disabledFactors: [], emailOtp, smsOtp, channels, fallback };
};
