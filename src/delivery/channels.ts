/**
 * Which way a realm's messages go: by an account of its own, by the installation's, into the development inbox where
 * nothing is set up, and in production then nowhere.
 */
import { LRUCache } from 'lru-cache';
import type { DeliveryConfig, MailAccount, SmsAccount } from '../config/delivery.ts';
import type { Keyring } from '../crypto/keyring.ts';
import type { RealmSettings } from '../realms/settings.ts';
import type { Database } from '../store/database.ts';
import { deliveryAccount } from '../store/delivery-accounts.ts';
import { mailAccount, openAccount, smsAccount } from './accounts.ts';
import type { Channel } from './channel.ts';
import { inboxChannel } from './inbox.ts';
import { type ConnectGuarded, createSmtp } from './smtp.ts';
import { createTwilio } from './twilio.ts';

/** Realms whose connections are kept at a time. */
const REALMS_CONNECTED = 50;

export type Kind = 'mail' | 'sms';

type Installed = DeliveryConfig & { readonly production: boolean };

/** What a realm can send by, as far as its settings and those of the installation say. */
export function channelsIn(config: Installed, { channels }: Pick<RealmSettings, 'channels'>): Record<Kind, boolean> {
  const has = (kind: Kind): boolean =>
    channels[kind] === 'realm' || (channels[kind] === 'installation' && (config[kind] !== null || !config.production));
  return { mail: has('mail'), sms: has('sms') };
}

export interface ChannelsOptions {
  db: Database;
  keyring: Keyring;
  config: Installed;
  /** What sends text messages; tests hand in one that goes to a server of theirs. */
  sms?: (account: SmsAccount) => Channel;
  /** To mail servers that realms chose. */
  connect?: ConnectGuarded;
}

/** The channels of an installation and its realms, each made when it is first used and closed when its account changes. */
export class ChannelMap {
  readonly #options: ChannelsOptions;
  readonly #sms: (account: SmsAccount) => Channel;
  readonly #installation = new Map<Kind, Channel>();
  readonly #realms = new LRUCache<string, { version: string; channel: Channel }>({
    max: REALMS_CONNECTED,
    dispose: ({ channel }) => channel.close(),
  });

  constructor(options: ChannelsOptions) {
    this.#options = options;
    this.#sms = options.sms ?? createTwilio;
  }

  /** What a realm can send by, as far as its settings say. */
  in(settings: Pick<RealmSettings, 'channels'>): Record<Kind, boolean> {
    return channelsIn(this.#options.config, settings);
  }

  /** The way of a realm's messages of that kind; undefined when there is none. */
  async of(realm: { id: string; settings: Pick<RealmSettings, 'channels'> }, kind: Kind): Promise<Channel | undefined> {
    switch (realm.settings.channels[kind]) {
      case 'off':
        return undefined;
      case 'realm':
        return this.#own(realm.id, kind);
      case 'installation':
        return this.#shared(kind);
    }
  }

  /** A way by an account that is not kept: whoever made it closes it. */
  unkept(account: MailAccount): Channel {
    return createSmtp(account, this.#options.connect);
  }

  /** Ends all connections. */
  close(): void {
    for (const channel of this.#installation.values()) channel.close();
    this.#installation.clear();
    this.#realms.clear();
  }

  #shared(kind: Kind): Channel | undefined {
    const { config } = this.#options;
    const made = this.#installation.get(kind) ?? this.#make(kind, config);
    if (made) this.#installation.set(kind, made);
    return made ?? (config.production ? undefined : inboxChannel);
  }

  #make(kind: Kind, { mail, sms }: DeliveryConfig): Channel | undefined {
    if (kind === 'mail') return mail === null ? undefined : createSmtp(mail);
    return sms === null ? undefined : this.#sms(sms);
  }

  /** One query a message: the account may have been changed by another process a moment ago. */
  async #own(realmId: string, kind: Kind): Promise<Channel | undefined> {
    const { db, keyring } = this.#options;
    const row = await deliveryAccount(db.knex, realmId, kind);
    if (!row) return undefined;
    const key = `${kind}:${realmId}`;
    const kept = this.#realms.get(key);
    if (kept?.version === row.version) return kept.channel;
    const channel =
      kind === 'mail' ? this.unkept(await openAccount(keyring, row, mailAccount)) : this.#sms(await openAccount(keyring, row, smsAccount));
    this.#realms.set(key, { version: row.version, channel });
    return channel;
  }
}
