/**
 * The accounts that a realm sends mail and text messages by, where it has its own instead of the installation's: set whole,
 * shown without their secrets, tried with one message, and removed again.
 *
 * An account is never changed in part. Whoever may name another host must not have the old password sent there, and so has
 * to know it.
 */
import { z } from 'zod';
import {
  accountSid,
  authToken,
  defaultTls,
  type MailAccount,
  mailbox,
  mailHost,
  messagingService,
  type SmsAccount,
  smsSender,
} from '../../config/delivery.ts';
import { mailAccount, openAccount, sealAccount, smsAccount } from '../../delivery/accounts.ts';
import { atOnceKey, insertAtOnce, sendAtOnce } from '../../delivery/at-once.ts';
import { type Address, isMailAddress, oneLine } from '../../delivery/channel.ts';
import type { Deliveries } from '../../delivery/delivery.ts';
import { sayPlainly, write } from '../../delivery/letter.ts';
import { budgetOf } from '../../delivery/limits.ts';
import { type Payload, sealPayload } from '../../delivery/outbox.ts';
import { AppError, badInput, conflict, tooMany } from '../../errors.ts';
import { readNumber } from '../../factors/sms-otp/numbers.ts';
import { ENGLISH } from '../../languages/languages.ts';
import { translatorFor } from '../../languages/messages.ts';
import { deleteDeliveryAccount, deliveryAccount, storeDeliveryAccount } from '../../store/delivery-accounts.ts';
import { spendBudget } from '../../store/delivery-counts.ts';
import type { RealmRow } from '../../store/realms.ts';
import { audit, type Operator, validated } from './context.ts';
import { type AlongWith, updateRealmSettings } from './realm-settings.ts';

type Channel = 'mail' | 'sms';
/** As much of the delivery room as one message needs. */
type Sending = Pick<Deliveries, 'html' | 'db' | 'log'> & { channels: Pick<Deliveries['channels'], 'of'> };

const newMail = z.object({
  host: mailHost,
  port: z.number().int().min(1).max(65_535).optional(),
  /** By default `required`, but for a server on this machine and for port 465, where TLS is from the first byte. */
  tls: z.enum(['implicit', 'required', 'optional', 'off']).optional(),
  login: z.object({ user: z.string().min(1).max(255), password: z.string().min(1).max(1_024) }).optional(),
  /** `Name <address>`, or an address alone for the display name of the realm. */
  from: mailbox,
  replyTo: mailbox.optional(),
  /** Certificates in PEM that the server's may be signed by. */
  ca: z.string().optional(),
});
export type NewMail = z.input<typeof newMail>;

const newSms = z
  .object({ accountSid, authToken, from: smsSender.optional(), messagingService: messagingService.optional() })
  .refine(({ from, messagingService: service }) => (from === undefined) !== (service === undefined), {
    path: ['from'],
    message: 'is given, or else a messaging service, and not both',
  });
export type NewSms = z.input<typeof newSms>;

/** A mail account as it is shown. */
export type ShownMail = Omit<MailAccount, 'login' | 'ca'> & { user: string | null; ownCertificates: boolean };
/** An account for text messages as it is shown. */
export type ShownSms = Omit<SmsAccount, 'authToken'>;

/** What a realm sends by. `account` is null unless it has one of its own. */
export interface ShownChannel<Shown> {
  source: 'installation' | 'realm' | 'off';
  /** Whether anything can be sent. */
  available: boolean;
  account: Shown | null;
}

/** Has the realm send its mail by an account of its own. */
export async function setMail(operator: Operator, realm: RealmRow, input: NewMail): Promise<RealmRow> {
  const account = mailAccountOf(input);
  return change(operator, realm, 'mail', await plannedAccount(operator, realm, 'mail', { account, at: mailAccountAt(account) }));
}

/** What the audit calls it. */
export const mailAccountAt = ({ host, port }: MailAccount): string => `${host}:${port}`;

/** @throws AppError 400 naming the field */
function mailAccountOf(input: NewMail): MailAccount {
  const { host, port, tls, login, from, replyTo, ca } = validated(newMail, input);
  const implicit = tls === 'implicit' || (tls === undefined && port === 465);
  return validated(mailAccount, {
    host: host.toLowerCase(),
    port: port ?? (implicit ? 465 : 587),
    tls: implicit ? 'implicit' : (tls ?? defaultTls(host.toLowerCase())),
    login: login ?? null,
    from,
    replyTo: replyTo ?? null,
    ca: ca ?? null,
  });
}

/** A realm's own mail account, with its password: for whoever compares, tries or shows it without. */
export async function ownMail(operator: Operator, realm: Pick<RealmRow, 'id'>): Promise<MailAccount | undefined> {
  const row = await deliveryAccount(operator.db.knex, realm.id, 'mail');
  return row && openAccount(operator.keyring, row, mailAccount);
}

/** Has the realm send its text messages by an account of its own at Twilio. */
export async function setSms(operator: Operator, realm: RealmRow, input: NewSms): Promise<RealmRow> {
  const { from = '', messagingService: service, ...account } = validated(newSms, input);
  const sender = service === undefined ? { from } : { messagingService: service };
  return change(operator, realm, 'sms', await plannedAccount(operator, realm, 'sms', { account: { ...account, sender }, at: account.accountSid }));
}

export async function showMail(operator: Operator, realm: RealmRow, channels: Deliveries['channels']): Promise<ShownChannel<ShownMail>> {
  const row = await deliveryAccount(operator.db.knex, realm.id, 'mail');
  const account = row && (await openAccount(operator.keyring, row, mailAccount));
  return { ...stateOf(realm, 'mail', channels), account: account ? shownMail(account) : null };
}

const shownMail = ({ login, ca, ...shown }: MailAccount): ShownMail => ({ ...shown, user: login?.user ?? null, ownCertificates: ca !== null });

export async function showSms(operator: Operator, realm: RealmRow, channels: Deliveries['channels']): Promise<ShownChannel<ShownSms>> {
  const row = await deliveryAccount(operator.db.knex, realm.id, 'sms');
  const account = row && (await openAccount(operator.keyring, row, smsAccount));
  return { ...stateOf(realm, 'sms', channels), account: account ? shownSms(account) : null };
}

const shownSms = ({ authToken: _secret, ...shown }: SmsAccount): ShownSms => shown;

/** Forgets the realm's own account: it sends by the installation's again. 409 when it has none. */
export const removeAccount = (operator: Operator, realm: RealmRow, channel: Channel): Promise<RealmRow> =>
  change(operator, realm, channel, plannedRemoval(realm, channel));

/** To be part of a larger change of the realm: the setting, and what happens beside it. */
export type PlannedAccount = Required<AlongWith> & { source: 'installation' | 'realm' };

export function plannedRemoval(realm: RealmRow, channel: Channel): PlannedAccount {
  return {
    source: 'installation',
    event: { type: 'delivery.account-removed', details: { channel } },
    within: async (trx) => {
      if (!(await deleteDeliveryAccount(trx, realm.id, channel))) throw conflict(`Realm "${realm.name}" has no account of its own for that.`);
    },
  };
}

/**
 * Sends one mail by whatever the realm sends by. It counts against the realm's budget.
 * @throws AppError 400 for an address that is none, 409 when nothing is set up, 429 when the budget is used up, 502 when it was not taken over
 */
export async function testMail(operator: Operator, realm: RealmRow, to: string, deliveries: Sending): Promise<void> {
  if (!isMailAddress(to)) throw badInput('to', 'This is not an email address.');
  const letter = { language: ENGLISH, realm: realm.displayName, name: to, subject: sayPlainly('mail.test.subject', { realm: realm.displayName }) };
  const said = [{ kind: 'text' as const, words: sayPlainly('mail.test.said', { realm: realm.displayName }) }];
  await test(operator, realm, deliveries, { kind: 'mail', value: to }, { to, ...(await write({ ...letter, parts: said }, deliveries.html)) });
}

/** The same by an account that is not stored. */
export async function tryMail(operator: Operator, realm: RealmRow, account: MailAccount, to: string, deliveries: Deliveries): Promise<void> {
  const channel = deliveries.channels.unkept(account);
  try {
    await testMail(operator, realm, to, { ...deliveries, channels: { of: async () => channel } });
  } finally {
    channel.close();
  }
}

/** Sends one text message, as `testMail` sends a mail. */
export async function testSms(operator: Operator, realm: RealmRow, to: string, deliveries: Deliveries): Promise<void> {
  const read = readNumber(to, realm.settings.smsOtp.countries);
  if (!read.ok) throw badInput('to', REFUSED_NUMBER[read.reason]);
  const from = oneLine(realm.displayName);
  const text = translatorFor(ENGLISH)('mail.test.sms', { realm: from });
  await test(operator, realm, deliveries, { kind: 'sms', value: read.number }, { to: read.number, from, subject: '', text, html: null });
}

const REFUSED_NUMBER = {
  malformed: 'This is not a telephone number with its country code, such as +49 151 23456789.',
  country: 'The realm does not send to that country (smsOtp.countries).',
  kind: 'This is not a mobile number.',
} as const;

async function test(operator: Operator, realm: RealmRow, deliveries: Sending, to: Address, message: Payload): Promise<void> {
  const { db, keyring, now } = operator;
  const channel = await deliveries.channels.of(realm, to.kind);
  if (!channel) throw conflict(`Nothing is set up that realm "${realm.name}" could send by.`);
  const key = atOnceKey(realm.id, now);
  const payload = channel.keeps ? await sealPayload(keyring, key, message) : '';
  const within = await db.transaction(async (trx) => {
    const spent = await spendBudget(trx, { realmId: realm.id, channel: to.kind, ...budgetOf(realm.settings, to.kind) }, now);
    if (spent) await insertAtOnce(trx, key, { kind: to.kind, purpose: 'test', userId: null, payload }, now);
    return spent;
  });
  if (!within) throw tooMany(`Realm "${realm.name}" has sent as much as it may in this hour or day.`, 3_600);
  const failed = await sendAtOnce(deliveries, {
    ...{ key, channel, to, message, validMs: null, now, facts: { channel: to.kind, purpose: 'test' } },
    audit: (event, trx) => audit(operator, { realmId: realm.id }, event, trx),
  });
  if (failed !== undefined) throw new AppError({ code: 'not_delivered', status: 502, message: `It was not taken over: ${failed}.` });
}

const stateOf = ({ settings }: RealmRow, channel: Channel, channels: Deliveries['channels']) => ({
  source: settings.channels[channel],
  available: channels.in(settings)[channel],
});

/** An account that is ready to be stored. */
export async function plannedAccount(
  operator: Operator,
  realm: Pick<RealmRow, 'id'>,
  channel: Channel,
  { account, at }: { account: MailAccount | SmsAccount; at: string },
): Promise<PlannedAccount> {
  const row = await sealAccount(operator.keyring, { realmId: realm.id, channel }, account, operator.now);
  return {
    source: 'realm',
    event: { type: 'delivery.account-set', details: { channel, at } },
    within: (trx) => storeDeliveryAccount(trx, row),
  };
}

/** The account, and that the realm uses it, in one transaction. */
async function change(operator: Operator, realm: RealmRow, channel: Channel, { source, event, within }: PlannedAccount): Promise<RealmRow> {
  if (realm.settings.channels[channel] !== source) {
    return (await updateRealmSettings(operator, realm, { channels: { [channel]: source } }, { event, within })).realm;
  }
  await operator.db.transaction(async (trx) => {
    await within(trx);
    await audit(operator, { realmId: realm.id }, event, trx);
  });
  return realm;
}
