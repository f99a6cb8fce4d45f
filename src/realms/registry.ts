/**
 * The realms that are in use on this node: each with its settings, keys and whatever `build` makes of them, once.
 *
 * A bounded cache by name. An entry is used while nothing says that the realm changed, the order of its keys holds, and
 * it is not older than FRESH_MS; then one small query compares the version, and only a changed realm is built again.
 * Names of realms that do not exist are remembered too, so that guessing them builds and asks nothing.
 */

import type { JWK } from 'jose';
import { LRUCache } from 'lru-cache';
import type { Keyring } from '../crypto/keyring.ts';
import { type ClientScopeRow, clientScopes } from '../store/clients.ts';
import type { Database } from '../store/database.ts';
import { type Policy, policyInForce } from '../store/policies.ts';
import { mappersOfScopes } from '../store/protocol-mappers.ts';
import { type RealmRow, realmByName, rootSecretSeal } from '../store/realms.ts';
import { type SigningKeyRow, signingKeySeal } from '../store/signing-keys.ts';
import { nextKeyChange, orderedKeys, storedJwk } from './keys.ts';
import { type ScopeMappers, scopeMappers } from './mappers/applied.ts';
import { validRealmName } from './names.ts';
import { completedKeys } from './signing-keys.ts';

/** How long a cached realm is believed without asking, should a notice of its change be lost. */
const FRESH_MS = 5_000;

export interface RealmContext {
  realm: RealmRow;
  /** What cookie keys and the like are derived from. */
  rootSecret: Buffer;
  scopes: ClientScopeRow[];
  /** What tokens say by these scopes. */
  mappers: ScopeMappers;
  /** Who must prove what, as it is in force. */
  policy: Policy;
  /** Private and public JWKs in the order in which they are used; the first of an algorithm signs. */
  keys: { row: SigningKeyRow; publicJwk: JWK; privateJwk: JWK }[];
}

interface Entry<Built> {
  context: RealmContext;
  built: Built;
  checkedAt: number;
  keysChangeAt: number;
  stale: boolean;
}

export class RealmRegistry<Built> {
  #db: Database;
  #keyring: Keyring;
  #build: (context: RealmContext) => Built;
  #clientsChanged: (built: Built) => void;
  #entries = new LRUCache<string, Promise<Entry<Built>>>({ max: 2_000 });
  #unknown: LRUCache<string, true>;

  /** @param options.clientsChanged told when something about a realm's clients has changed */
  constructor(options: { db: Database; keyring: Keyring; build: (context: RealmContext) => Built; clientsChanged: (built: Built) => void }) {
    this.#db = options.db;
    this.#keyring = options.keyring;
    this.#build = options.build;
    this.#clientsChanged = options.clientsChanged;
    this.#unknown = new LRUCache<string, true>({ max: 10_000, ttl: FRESH_MS });
    this.#db.changes.onChange((topic) => this.#onChange(topic));
  }

  /** The realm of that name as it is now; undefined when there is none or it is switched off. */
  async get(name: string, now: number): Promise<{ context: RealmContext; built: Built } | undefined> {
    if (!validRealmName(name)) return undefined;
    this.#db.changes.poll();
    if (this.#unknown.has(name)) return undefined;

    const pending = this.#entries.get(name);
    const known = await pending;
    if (known && !known.stale && now < known.keysChangeAt && now - known.checkedAt < FRESH_MS) return known;

    const row = await realmByName(this.#db.knex, name);
    if (!row?.enabled) {
      this.#entries.delete(name);
      if (!row) this.#unknown.set(name, true);
      return undefined;
    }
    if (known && known.context.realm.id === row.id && known.context.realm.version === row.version && now < known.keysChangeAt) {
      known.checkedAt = now;
      known.stale = false;
      return known;
    }
    // Whoever comes while it is built waits for the same one, unless somebody began before us.
    if (this.#entries.get(name) !== pending) return this.get(name, now);
    const building = this.#load(row, now);
    this.#entries.set(name, building);
    building.catch(() => {
      if (this.#entries.get(name) === building) this.#entries.delete(name);
    });
    return building;
  }

  async #load(row: RealmRow, now: number): Promise<Entry<Built>> {
    const [secret, scopes, mappers, policy, rows] = await Promise.all([
      this.#keyring.open(rootSecretSeal(row.id), row.rootSecret),
      clientScopes(this.#db.knex, row.id),
      mappersOfScopes(this.#db.knex, row.id),
      policyInForce(this.#db.knex, row.id),
      completedKeys({ db: this.#db, keyring: this.#keyring }, row.id, now),
    ]);
    const keys = await Promise.all(
      orderedKeys(rows, now).map(async (key) => ({
        row: key,
        publicJwk: storedJwk(key.publicJwk),
        privateJwk: storedJwk(await this.#keyring.openText(signingKeySeal(key), key.privateJwk)),
      })),
    );
    const context = { realm: row, rootSecret: secret, scopes, mappers: scopeMappers(mappers), policy, keys };
    return { context, built: this.#build(context), checkedAt: now, keysChangeAt: nextKeyChange(rows, now), stale: false };
  }

  #onChange(topic: string): void {
    if (topic === '*' || topic.startsWith('realm-name:')) this.#unknown.clear();
    if (topic.startsWith('realm-name:')) return;
    for (const [, entry] of this.#entries.entries()) {
      void entry.then(
        (known) => {
          const { id } = known.context.realm;
          if (topic === '*' || topic === `realm:${id}`) known.stale = true;
          if (topic === '*' || topic === `client:${id}`) this.#clientsChanged(known.built);
        },
        () => undefined,
      );
    }
  }
}
