/**
 * The realms' data keys: each realm has 256-bit keys of its own, stored wrapped by the master key, unwrapped only in
 * memory. The newest seals, all of them open. The database is reached through `loadRows`, which is handed in.
 *
 * Sealing or opening for a realm that is not in memory asks the database: do it before a transaction begins, not inside.
 *
 * Another process may make a newer key at any time. A notice of it (`changed`) makes the next sealing look; where the
 * notice is lost, SEALS_FOR_MS does. Whoever deletes an old key relies on that: nobody seals with it much later.
 */
import { hkdfSync, randomBytes, randomUUID } from 'node:crypto';
import { LRUCache } from 'lru-cache';
import { corrupted } from '../errors.ts';
import type { KeyProvider } from './master-key.ts';
import { keyIdOf, openWith, type SealContext, type SealKey, sealWith } from './seal.ts';

export {
  AUDIT_KEY_PLACE,
  CANARY_PLACE,
  checkCanary,
  type KeyProvider,
  type MasterKey,
  makeAuditKey,
  makeCanary,
  masterKeyOfFolder,
  masterKeyProvider,
  parseMasterKeys,
  readOrCreateMasterKey,
} from './master-key.ts';

/** A data key as it is stored. */
export interface DataKeyRow {
  realmId: string;
  id: string;
  /** By a KeyProvider, bound to realm and key id. */
  wrapped: string;
  /** Milliseconds since the epoch. */
  createdAt: number;
}

interface RealmKeys {
  byId: Map<string, Buffer>;
  /** What seals. */
  newest: SealKey;
  /** Read from the database; the others were minted here and are not stored yet. */
  stored: boolean;
  /** When the database has to be asked again before anything is sealed, by the clock of this process. */
  sealsUntil: number;
}

/** A few hundred bytes each. Beyond it a realm costs one query and one unwrapping again. */
const REALMS_IN_MEMORY = 10_000;
/** How long a realm's newest key is believed to be the newest. */
const SEALS_FOR_MS = 60_000;

export class Keyring {
  readonly #provider: KeyProvider;
  readonly #loadRows: (realmId: string) => Promise<DataKeyRow[]>;
  readonly #realms = new LRUCache<string, RealmKeys>({ max: REALMS_IN_MEMORY });
  readonly #loading = new Map<string, Promise<RealmKeys>>();
  /** Under which the ends of the audit chains are kept; 256 bits, the installation's own. */
  readonly auditKey: Buffer;

  /** @param loadRows all data keys of a realm, in any order */
  constructor(provider: KeyProvider, loadRows: (realmId: string) => Promise<DataKeyRow[]>, auditKey: Buffer) {
    this.#provider = provider;
    this.#loadRows = loadRows;
    this.auditKey = auditKey;
  }

  /**
   * Makes the first data key of a new realm. It seals at once, so that the realm's first secrets can be part of the
   * transaction that stores the key. Once that is over, whatever its end, the caller calls `forget`: from then on what
   * is stored counts, and this process hears of newer keys like any other.
   */
  async mint(realmId: string, now: number): Promise<{ row: DataKeyRow }> {
    const { row, bytes } = await this.#make(realmId, now);
    const key = { id: row.id, bytes };
    this.#realms.set(realmId, { byId: new Map([[key.id, bytes]]), newest: key, stored: false, sealsUntil: Number.POSITIVE_INFINITY });
    return { row };
  }

  /**
   * Makes a further data key of a realm. Nothing is sealed with it here before it is stored, since it might never be:
   * whoever stores it announces that, and it takes over (`changed`).
   */
  async mintNext(realmId: string, now: number): Promise<DataKeyRow> {
    return (await this.#make(realmId, now)).row;
  }

  async #make(realmId: string, now: number): Promise<{ row: DataKeyRow; bytes: Buffer }> {
    const id = randomUUID();
    const bytes = randomBytes(32);
    return { row: { realmId, id, wrapped: await this.#provider.wrap(bytes, wrappedFor(realmId, id)), createdAt: now }, bytes };
  }

  /** Seals to a row with the realm's newest data key. Throws `corrupted` when the realm has none. */
  async seal(cx: SealContext, plaintext: string | Buffer): Promise<string> {
    const held = await this.#keysOf(cx.realm);
    const { newest } = performance.now() < held.sealsUntil ? held : await (this.#loading.get(cx.realm) ?? this.#load(cx.realm));
    return sealWith(newest, cx, plaintext);
  }

  /** The id of the key that seals for a realm, as the database has it now. */
  async newestKeyId(realmId: string): Promise<string> {
    return (await this.#load(realmId)).newest.id;
  }

  /**
   * Opens what was sealed to that row with any data key of the realm. A key id that is not in memory may have been made
   * by another process a moment ago, so the rows are read once more before it counts as missing.
   */
  async open(cx: SealContext, sealed: string): Promise<Buffer> {
    let { byId } = await this.#keysOf(cx.realm);
    if (!byId.has(keyIdOf(sealed))) byId = (await this.#load(cx.realm)).byId;
    return openWith((keyId) => byId.get(keyId), cx, sealed);
  }

  /** `open`, as UTF-8 text. */
  async openText(cx: SealContext, sealed: string): Promise<string> {
    return (await this.open(cx, sealed)).toString('utf8');
  }

  /** Hears of a change (store/changes.ts): a realm that may have a newer key is looked up before it seals again. */
  changed(topic: string): void {
    const realmIds = topic === '*' ? [...this.#realms.keys(), ...this.#loading.keys()] : [topic.replace(/^realm:/, '')];
    for (const realmId of realmIds) {
      const held = this.#realms.peek(realmId);
      // What was minted here is not stored yet: nobody else can have changed it.
      if (held?.stored) held.sealsUntil = 0;
      this.#loading.delete(realmId);
    }
  }

  /** Drops a realm's keys from memory. */
  forget(realmId: string): void {
    this.#realms.delete(realmId);
    this.#loading.delete(realmId);
  }

  /** In memory, or read once however many ask at the same time. */
  #keysOf(realmId: string): Promise<RealmKeys> | RealmKeys {
    return this.#realms.get(realmId) ?? this.#loading.get(realmId) ?? this.#load(realmId);
  }

  /** Always asks the database: a reading that began earlier might have missed the key that is wanted. */
  #load(realmId: string): Promise<RealmKeys> {
    const loading = this.#read(realmId)
      .then((keys) => {
        // Not when forgotten or read again meanwhile: this answer may be the older one.
        if (this.#loading.get(realmId) === loading) this.#realms.set(realmId, keys);
        return keys;
      })
      .finally(() => {
        if (this.#loading.get(realmId) === loading) this.#loading.delete(realmId);
      });
    this.#loading.set(realmId, loading);
    return loading;
  }

  async #read(realmId: string): Promise<RealmKeys> {
    const sealsUntil = performance.now() + SEALS_FOR_MS;
    const rows = inOrder(await this.#loadRows(realmId));
    const known = this.#realms.peek(realmId)?.byId;
    const byId = new Map<string, Buffer>();
    let newest: SealKey | undefined;
    for (const row of rows) {
      const bytes = known?.get(row.id) ?? (await this.#provider.unwrap(row.wrapped, wrappedFor(realmId, row.id)));
      byId.set(row.id, bytes);
      newest = { id: row.id, bytes };
    }
    if (newest === undefined) throw corrupted('A realm has no data key.');
    return { byId, newest, stored: true, sealsUntil };
  }
}

/** Data keys of a realm, the newest last: it is the one that seals. */
export const inOrder = (rows: readonly DataKeyRow[]): DataKeyRow[] => [...rows].sort((a, b) => a.createdAt - b.createdAt || (a.id < b.id ? -1 : 1));

/** What a data key is wrapped for: realm and id are bound into it, so that one that is moved to another realm does not unwrap. */
export const wrappedFor = (realmId: string, id: string): string => JSON.stringify(['data-key', realmId, id]);

/** A key for one purpose out of a root secret (HKDF-SHA-256, RFC 5869): knowing one tells nothing of another. */
export function derive(secret: Buffer, purpose: string, length = 32): Buffer {
  return Buffer.from(hkdfSync('sha256', secret, Buffer.alloc(0), purpose, length));
}
