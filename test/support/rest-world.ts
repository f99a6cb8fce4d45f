/**
 * A realm with one of everything, made through the REST API by its own document: what is listed as made by a POST is made,
 * and what a path needs is looked up where the API lists it. So whatever is added to the API is in there, too.
 */
import { createClient } from '../../src/admin/resources/clients.ts';
import { createGate } from '../../src/admin/resources/gates.ts';
import { addMember, createGroup } from '../../src/admin/resources/groups.ts';
import { createRole } from '../../src/admin/resources/roles.ts';
import { linkIdentity } from '../../src/admin/resources/user-sessions.ts';
import { createWebhook } from '../../src/admin/resources/webhooks.ts';
import { insertEnrolmentPass } from '../../src/store/enrolment-passes.ts';
import type { RealmRow } from '../../src/store/realms.ts';
import type { Cardea } from './cardea.ts';
import { type Documented, filled, request } from './document.ts';
import { type Components, fitting } from './schema-values.ts';
import { relyingParty, signIn } from './sign-in.ts';

/** Values for the places of a path, in the order in which they stand there. */
export type Places = Record<string, string>;

export const placesOf = (path: string): string[] => [...path.matchAll(/\{([^}]+)\}/g)].map(([, name = '']) => name);

/** The lists that a path leads through, the longest first. */
function above(path: string): string[] {
  const parts = path.split('/');
  return parts.map((_, index) => parts.slice(0, parts.length - 1 - index).join('/')).filter((one) => one.split('/').length > 3);
}

export class RestWorld {
  readonly server: Cardea;
  readonly realm: RealmRow;
  readonly #token: string;
  readonly #operations: readonly Documented[];
  readonly #preferred: string[] = [];
  readonly #found = new Map<string, Promise<string | undefined>>();

  constructor(server: Cardea, realm: RealmRow, token: string, operations: readonly Documented[]) {
    this.server = server;
    this.realm = realm;
    this.#token = token;
    this.#operations = operations;
  }

  /** What a realm has by the functions of the product, and by every POST that makes something. */
  async furnish(components: Components): Promise<string[]> {
    const { server, realm } = this;
    const operator = server.operator();
    const user = await server.user(realm);
    await linkIdentity(operator, realm, user, { provider: `elsewhere-${realm.name}`, subject: `s-${user.id}`, username: null });
    await createRole(operator, realm, { name: `reader-${realm.name}` });
    const group = await createGroup(operator, realm, { name: `readers-${realm.name}` });
    await createGroup(operator, realm, { name: 'young', parent: group.path });
    await createClient(operator, realm, { clientId: 'service', secret: 'a secret of sixteen characters', serviceAccount: true });
    const client = await server.client(realm);
    await createRole(operator, realm, { name: `editor-${realm.name}`, client: client.clientId });
    await signIn(server, await relyingParty(server, realm, client), user);
    this.#preferred.push(user.id, client.row.id, group.id);
    await addMember(operator, realm, group.path, user);
    await createGate(operator, realm, server.origin, { origin: `https://${realm.name}.site.example` });
    await createWebhook(operator, realm, { url: 'https://hook.example/', events: ['nothing.ever'] }, () => undefined);
    const { now } = operator;
    await insertEnrolmentPass(server.db.knex, {
      ...{ realmId: realm.id, id: crypto.randomUUID(), userId: user.id, reason: 'lost', requestedBy: 'test', dual: true },
      ...{ lifetimeMs: 3_600_000, requestedAt: now, expiresAt: now + 3_600_000, approvedBy: null, approvedAt: null, endedAs: null, endedAt: null },
    });
    const notMade: string[] = [];
    const makers = this.#operations.filter(({ method, inRealm, body, statuses }) => method === 'POST' && inRealm && body && statuses.includes('201'));
    for (const maker of makers.toSorted((a, b) => a.path.length - b.path.length)) {
      const places = await this.places(maker.path);
      const body = fitting(maker.body?.schema ?? {}, components, '', (field) => field === 'id');
      const { status } = await request(server, maker, filled(maker.path, places ?? {}), { token: this.#token, body });
      if (status !== 201) notMade.push(`${maker.id}: ${status}`);
    }
    this.#found.clear();
    return notMade;
  }

  /** Ids of this realm for every place of a path; undefined where there is none for one of them. */
  async places(path: string): Promise<Places | undefined> {
    const places: Places = { realm: this.realm.name };
    for (const name of placesOf(path)) {
      if (name === 'realm') continue;
      const value = await this.#valueOf(path.slice(0, path.indexOf(`{${name}}`) - 1), name, places);
      if (value === undefined) return undefined;
      places[name] = value;
    }
    return places;
  }

  #valueOf(collection: string, name: string, places: Places): Promise<string | undefined> {
    const key = `${filled(collection, places)} ${name}`;
    const found = this.#found.get(key) ?? this.#lookUp(collection, name, places);
    this.#found.set(key, found);
    return found;
  }

  /** From the list at that path; or from the realm's list of what the path calls it; or from the table of that name. */
  async #lookUp(collection: string, name: string, places: Places): Promise<string | undefined> {
    const word = collection.split('/').at(-1) ?? '';
    const plain = word.replace(/-by-.*/, '').replace(/^.*-/, '');
    const top = [word, plain, `${plain}s`, `${name.replace(/[-_]?(uu)?id$/i, '')}s`].map((one) => `/realms/{realm}/${one}`);
    for (const list of new Set([collection, ...top, ...above(collection)])) {
      for (const item of await this.#list(list, places)) {
        const fits = await this.#keyOf(item, list, collection, name, places);
        if (fits !== undefined) return fits;
      }
    }
    return this.#fromTable(word);
  }

  async #list(path: string, places: Places): Promise<unknown[]> {
    const operation = this.#operations.find((one) => one.method === 'GET' && one.path === path);
    if (!operation) return [];
    const { status, body } = await request(this.server, operation, filled(path, places), { token: this.#token });
    if (status !== 200 || !Array.isArray(body)) return [];
    return body.toSorted((a, b) => this.#rank(b) - this.#rank(a)).slice(0, 20);
  }

  /** What most is known about comes first, and then what is of this realm alone. */
  #rank(item: unknown): number {
    const text = JSON.stringify(item) ?? '';
    if (this.#preferred.some((id) => text.includes(`"id":"${id}"`))) return 2;
    return this.isOurs(item) ? 1 : 0;
  }

  /** Whether something is of this realm alone, by an id or by a name that nothing built in has. */
  isOurs(item: unknown): boolean {
    const text = JSON.stringify(item) ?? '';
    return text.includes(this.realm.name) || /\bn\d+-[0-9a-f]{8}\b/.test(text);
  }

  /** What the path takes of an item: the first of its names by which it is found. */
  async #keyOf(item: unknown, list: string, collection: string, name: string, places: Places): Promise<string | undefined> {
    if (typeof item === 'string') return item;
    const fields = new Map(Object.entries(Object(item)));
    const names = [name, 'id', 'name', 'alias', 'providerId', 'identityProvider', 'clientId'].flatMap((field) => {
      const value = fields.get(field);
      return typeof value === 'string' ? [value] : [];
    });
    const reads = this.#operations.find((one) => one.method === 'GET' && one.path === `${collection}/{${name}}`);
    if (!reads || list !== collection) return names[0];
    for (const value of names) {
      const { status } = await request(this.server, reads, filled(reads.path, { ...places, [name]: value }), { token: this.#token });
      if (status === 200) return value;
    }
    return undefined;
  }

  async #fromTable(word: string): Promise<string | undefined> {
    const { knex } = this.server.db;
    const table = word.replaceAll('-', '_');
    if (!(await knex.schema.hasTable(table)) || !(await knex.schema.hasColumn(table, 'id')) || !(await knex.schema.hasColumn(table, 'realm_id')))
      return undefined;
    const row = await knex(table).where({ realm_id: this.realm.id }).first('id');
    return row?.id;
  }
}
