/** The delivery room, put together: what the server and every command send by. */
import type { DeliveryConfig, SmsAccount } from '../config/delivery.ts';
import type { Keyring } from '../crypto/keyring.ts';
import type { SendCode } from '../factors/context.ts';
import type { Database } from '../store/database.ts';
import type { Channel } from './channel.ts';
import { ChannelMap } from './channels.ts';
import { createCodeDelivery } from './codes.ts';
import type { LetterHtml } from './letter.ts';
import { createNotices, type Notices } from './notices.ts';
import { Postman, type PostmanDeps } from './postman.ts';
import type { ConnectGuarded } from './smtp.ts';

export interface DeliveryOptions {
  db: Database;
  keyring: Keyring;
  config: DeliveryConfig & { readonly production: boolean; readonly origin: string };
  html: LetterHtml;
  log: PostmanDeps['log'];
  now(): number;
  /** What sends text messages; tests hand in one that goes to a server of theirs. */
  sms?: (account: SmsAccount) => Channel;
  /** To mail servers that realms chose; without it they are not reached. */
  connect?: ConnectGuarded;
}

export interface Deliveries {
  channels: ChannelMap;
  sendCode: SendCode;
  notices: Notices;
  /** Does nothing before it is started: a command leaves what it wrote to the server. */
  postman: Postman;
  html: LetterHtml;
  db: Database;
  log: PostmanDeps['log'];
  close(): Promise<void>;
}

export function createDeliveries({ db, keyring, config, html, log, now, sms, connect }: DeliveryOptions): Deliveries {
  const { origin } = config;
  const channels = new ChannelMap({ db, keyring, config, ...(sms ? { sms } : {}), ...(connect ? { connect } : {}) });
  const postman = new Postman({ db, keyring, channels, now, log });
  return {
    channels,
    sendCode: createCodeDelivery({ db, keyring, channels, html, origin, log }),
    notices: createNotices({ db, keyring, html, origin, channels: (settings) => channels.in(settings) }),
    postman,
    html,
    db,
    log,
    async close() {
      await postman.close();
      channels.close();
    },
  };
}

/** What is missing, for the log of a server that starts in production; empty in development, which has its inbox. */
export function missingChannels(config: DeliveryConfig & { readonly production: boolean }): string[] {
  if (!config.production) return [];
  return [
    ...(config.mail === null
      ? ['SMTP_URL is not set: realms without a mail server of their own send no codes by mail and tell users nothing of changes to their accounts.']
      : []),
    ...(config.sms === null ? ['TWILIO_ACCOUNT_SID is not set: realms without an account of their own send no text messages.'] : []),
  ];
}
