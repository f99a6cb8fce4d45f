/**
 * F01 over REST: ids of one realm used at another, at every operation of the document and in every place of its path, are
 * not there, for the other realm's administrator as for those of master. Nothing of the one realm is changed by it, and
 * nothing of the other comes to refer to it.
 */
import type { RealmRow } from '../../src/store/realms.ts';
import { adminOf } from '../support/admin.ts';
import { type Cardea, startCardea } from '../support/cardea.ts';
import { forEachEngine } from '../support/databases.ts';
import { type Documented, documentedOperations, filled, inParallel, openApiOf, request } from '../support/document.ts';
import { fingerprint, rowsOf, tablesOf } from '../support/fingerprint.ts';
import { limitedClient } from '../support/keycloak.ts';
import { type Places, placesOf, RestWorld } from '../support/rest-world.ts';
import { type Components, fitting } from '../support/schema-values.ts';

/** What is long and holds digits was made by chance: nothing built in is called so. */
const ID = /^(?=.*\d)[\w-]{20,}$/;
/** What happened is noted on both sides, with what was asked for. */
const DIARIES = ['audit_events', 'audit_chains', 'attempts', 'oidc_payloads'];

interface World {
  server: Cardea;
  operations: Documented[];
  components: Components;
  a: RestWorld;
  b: RestWorld;
  tokens: { ofRealm: string; ofMaster: string };
  /** What could not be made by its own description. */
  notMade: string[];
}

async function build(server: Cardea): Promise<World> {
  const admin = await adminOf(server);
  const operations = await documentedOperations(server);
  const components = (await openApiOf(server)).components.schemas;
  const notMade: string[] = [];
  const furnished = async (realm: RealmRow): Promise<RestWorld> => {
    const world = new RestWorld(server, realm, admin.token, operations);
    notMade.push(...(await world.furnish(components)));
    return world;
  };
  const a = await furnished(await server.realm({ mfa: 'off' }));
  const b = await furnished(await server.realm({ mfa: 'off' }));
  const { token: ofRealm } = await limitedClient(server, b.realm, ['realm-admin']);
  return { server, operations, components, a, b, tokens: { ofRealm, ofMaster: admin.token }, notMade };
}

/** Every way to put something of A into a path at B: in each of its places alone, and in all of them. */
async function foreignPlaces({ a, b }: World, { method, path }: Documented): Promise<Places[]> {
  const names = placesOf(path).filter((name) => name !== 'realm');
  const [theirs, ours] = [await a.places(path), await b.places(path)];
  if (!theirs || names.length === 0) return [];
  const choices = names.map((name) => [name]).concat(names.length > 1 ? [names] : []);
  return choices.flatMap((foreign) => {
    const byName = foreign.filter((name) => !ID.test(theirs[name] ?? '') || a.isOurs(theirs[name]));
    // By a name that both have it is B's own, and what is posted to a name is made under it.
    if (byName.some((name) => !a.isOurs(theirs[name]) || (method === 'POST' && path.endsWith(`{${name}}`)))) return [];
    if (!ours && foreign.length < names.length) return [];
    return [{ ...(ours ?? theirs), ...Object.fromEntries(foreign.map((name) => [name, theirs[name] ?? ''])), realm: b.realm.name }];
  });
}

/** Bodies of the shape that an operation takes in which something is named by that id. */
function bodiesNaming(id: string, { body }: Documented, components: Components): unknown[] {
  if (body?.schema.type === 'array') return [[{ id }], [{ id, name: 'x' }], [id]];
  const fits = Object(fitting(body?.schema ?? {}, components));
  return [
    { id, name: `x-${id}` },
    { id, username: `u-${id.slice(0, 8)}`, groups: [id] },
    { containerId: id, parentId: id },
  ].map((one) => ({ ...fits, ...one }));
}

forEachEngine((engine) => {
  let shared: Promise<World> | undefined;
  const world = () => {
    shared ??= engine.database().then(async (db) => build(await startCardea(db)));
    return shared;
  };

  engine.serial('what is of another realm is not there, whatever is asked of it', async (t) => {
    const here = await world();
    const { server, operations, components, a, b, tokens } = here;
    const before = await fingerprint(server.db, { realmId: a.realm.id, except: DIARIES });
    const [wrong, untried]: [string[], string[]] = [[], []];
    const tries: { operation: Documented; path: string; token: string }[] = [];
    for (const operation of operations.filter(({ inRealm, path }) => inRealm && placesOf(path).length > 1)) {
      const places = await foreignPlaces(here, operation);
      if (places.length === 0) untried.push(operation.id);
      for (const one of places) for (const token of Object.values(tokens)) tries.push({ operation, path: filled(operation.path, one), token });
    }
    await inParallel(tries, async ({ operation, path, token }) => {
      const body = operation.body && fitting(operation.body.schema, components, '', (field) => field === 'id');
      const { status, body: said } = await request(server, operation, path, { token, body });
      // What stands against it in B's own, such as a webhook that is switched off, is said before anything is looked for.
      if (status !== 404 && status !== 409 && !(status === 200 && Array.isArray(said) && said.length === 0) && status !== 501)
        wrong.push(`${operation.id} ${path}: ${status} ${JSON.stringify(said).slice(0, 200)}`);
    });
    t.log(`${tries.length} requests; not tried: ${untried.join(', ') || 'nothing'}; not made: ${[...new Set(here.notMade)].join(', ') || 'nothing'}`);
    t.deepEqual(wrong, []);
    t.deepEqual(await fingerprint(server.db, { realmId: a.realm.id, except: DIARIES }), before);
    t.true(tries.length > 100 && b.realm.id !== a.realm.id);
  });

  engine.serial('nor does it come into the realm by the body of a request', async (t) => {
    const { server, operations, components, a, b, tokens } = await world();
    const before = await fingerprint(server.db, { realmId: a.realm.id, except: DIARIES });
    const foreign: string[] = [];
    for (const table of ['users', 'roles', 'groups', 'clients', 'client_scopes', 'sessions', 'credentials'])
      foreign.push(...(await server.db.knex(table).where({ realm_id: a.realm.id }).limit(3).pluck('id')));
    const tries: { operation: Documented; path: string; body: unknown }[] = [];
    for (const operation of operations) {
      // The realm itself is left as it is: it is where the ids would come into.
      const places = operation.body && operation.path !== '/realms/{realm}' ? await b.places(operation.path) : undefined;
      if (places)
        for (const body of foreign.flatMap((id) => bodiesNaming(id, operation, components)))
          tries.push({ operation, path: filled(operation.path, places), body });
    }
    await inParallel(tries, async ({ operation, path, body }) => {
      const { status, body: said } = await request(server, operation, path, { token: tokens.ofMaster, body });
      if (status >= 500 && status !== 501) t.fail(`${operation.id}: ${status} ${JSON.stringify(said)}`);
    });
    t.deepEqual(await fingerprint(server.db, { realmId: a.realm.id, except: DIARIES }), before);
    const known = new Set(foreign);
    for (const table of (await tablesOf(server.db)).filter((name) => !DIARIES.includes(name))) {
      const rows = await rowsOf(server.db, table, b.realm.id);
      const referring = rows.filter((row) =>
        Object.entries<unknown>(JSON.parse(row)).some(([column, value]) => /_id$/.test(column) && known.has(String(value))),
      );
      t.deepEqual(referring, [], table);
    }
    t.log(`${tries.length} requests`);
  });
});
