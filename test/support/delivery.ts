/** What tests of delivery stand on: a realm with a user, and what is sent by channels that are watched. */
import { randomBytes } from 'node:crypto';
import { createRealm, type NewRealm } from '../../src/admin/resources/realms.ts';
import { createUser } from '../../src/admin/resources/users.ts';
import type { DeliveryConfig } from '../../src/config/delivery.ts';
import type { Address, Channel, Message } from '../../src/delivery/channel.ts';
import { createDeliveries } from '../../src/delivery/delivery.ts';
import type { LetterHtml } from '../../src/delivery/letter.ts';
import { createNotices, type NoticeDeps } from '../../src/delivery/notices.ts';
import { openMessage, type Payload } from '../../src/delivery/outbox.ts';
import type { Occasion } from '../../src/factors/context.ts';
import type { Delivery } from '../../src/factors/factor.ts';
import { createWriter } from '../../src/http/render.ts';
import type { Database } from '../../src/store/database.ts';
import { newestMessages, type OutboxRow } from '../../src/store/outbox.ts';
import { type RealmRow, rootSecretSeal } from '../../src/store/realms.ts';
import type { UserRow } from '../../src/store/users.ts';
import { quickHasher } from './factors.ts';
import { keyringOn } from './keyring.ts';

export const DELIVERY_NOW = Date.UTC(2027, 0, 4, 9, 30);
export const ORIGIN = 'https://id.example.com';

const write = createWriter({ production: true });
/** The product's own view. */
export const letterHtml: LetterHtml = (model, language) => write('mail/letter', model, language);

/** A channel that keeps what it is given, or does what the test says. */
export class WatchedChannel implements Channel {
  readonly id = 'watched';
  readonly keeps = false;
  readonly sent: (Message & { to: Address })[] = [];
  closed = 0;
  /** Runs before a message counts as sent. */
  before: (to: Address) => Promise<void> | void = () => undefined;

  async deliver(to: Address, message: Message): Promise<void> {
    await this.before(to);
    this.sent.push({ ...message, to });
  }

  close(): void {
    this.closed += 1;
  }
}

const ACCOUNT_SID = `AC${'0'.repeat(32)}`;
/** An account that nothing answers to; the channel is the test's. */
const SOME_SMS = { accountSid: ACCOUNT_SID, authToken: 'x'.repeat(32), sender: { from: '+15005550006' } };

export interface DeliveryWorld {
  db: Database;
  keyring: ReturnType<typeof keyringOn>;
  operator: ReturnType<typeof operatorOn>;
  realm: RealmRow;
  rootSecret: Buffer;
  user: UserRow;
  /** What of this realm is kept in the outbox, newest first. */
  mine(): Promise<OutboxRow[]>;
  opened(): Promise<Payload[]>;
  /** All outbox rows of this realm, as they are stored. */
  rows(): Promise<Record<string, unknown>[]>;
  notices: (some?: Partial<NoticeDeps>) => ReturnType<typeof createNotices>;
}

function operatorOn(db: Database) {
  return { db, keyring: keyringOn(db), passwords: quickHasher(), actor: 'test', now: DELIVERY_NOW };
}

export async function deliveryWorld(db: Database, options: { displayName?: string; settings?: NewRealm['settings'] } = {}): Promise<DeliveryWorld> {
  const operator = operatorOn(db);
  const { keyring } = operator;
  const name = `delivery-${randomBytes(3).toString('hex')}`;
  const realm = await createRealm(operator, { name, displayName: options.displayName ?? 'Acme', settings: options.settings ?? {} });
  const user = await createUser(operator, realm, { username: 'ada', email: 'ada@example.com', firstName: 'Ada' });
  const mine = async () => (await newestMessages(db.knex, 500)).filter((row) => row.realmId === realm.id);
  return {
    db,
    keyring,
    operator,
    realm,
    rootSecret: await keyring.open(rootSecretSeal(realm.id), realm.rootSecret),
    user,
    mine,
    opened: async () => Promise.all((await mine()).map((row) => openMessage(keyring, row))),
    rows: () => db.knex('outbox').where({ realm_id: realm.id }).orderBy('created_at'),
    notices: (some = {}) => createNotices({ db, keyring, html: letterHtml, origin: ORIGIN, channels: () => ({ mail: true, sms: true }), ...some }),
  };
}

/** What sends, with text messages by a channel of the test. */
export function deliveriesFor(
  { db, keyring }: DeliveryWorld,
  options: { sms?: Channel; config?: Partial<DeliveryConfig> & { production?: boolean }; now?: () => number } = {},
) {
  const { sms } = options;
  return createDeliveries({
    db,
    keyring,
    html: letterHtml,
    log: { warn: () => undefined, error: () => undefined },
    now: options.now ?? (() => DELIVERY_NOW),
    config: { mail: null, sms: sms ? SOME_SMS : null, production: false, origin: ORIGIN, ...options.config },
    ...(sms ? { sms: () => sms } : {}),
  });
}

/** What a factor of the world's user asks for. */
export const occasionOf = ({ realm, rootSecret, user }: DeliveryWorld, some: Partial<Occasion> = {}): Occasion => ({
  realm,
  rootSecret,
  user,
  administrator: false,
  transaction: 'sign-in-1',
  now: DELIVERY_NOW,
  ...some,
});

export const codeByMail = (some: Partial<Delivery> = {}): Delivery => ({
  factor: 'email-otp',
  channel: 'mail',
  to: 'ada@example.com',
  code: '01234567',
  purpose: 'sign-in',
  validMs: 300_000,
  ...some,
});

export const codeBySms = (some: Partial<Delivery> = {}): Delivery =>
  codeByMail({ factor: 'sms-otp', channel: 'sms', to: '+4915123456789', code: '012345', ...some });
