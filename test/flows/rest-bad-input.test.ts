/**
 * What nobody should send, at every operation of the OpenAPI document: bodies that are wrong in one place, by the schemas of
 * the document, and places of paths and queries that hold anything. It is refused with the name of the field, or it was
 * allowed; it is never a fault of ours, and never reaches into what all objects share.
 */
import test from 'ava';
import { operations as declared } from '../../src/admin/rest/operations.ts';
import { adminOf } from '../support/admin.ts';
import { rawRequest } from '../support/attack.ts';
import { type Cardea, startCardea } from '../support/cardea.ts';
import { forEachEngine } from '../support/databases.ts';
import { type Documented, destructiveLast, documentedOperations, filled, inParallel, openApiOf, request } from '../support/document.ts';
import fc from '../support/property.ts';
import { placesOf, RestWorld } from '../support/rest-world.ts';
import { BAD_TEXTS, type Broken, breaking, type Components } from '../support/schema-values.ts';

/** So many bodies an operation. */
const BODIES = 40;

interface World {
  server: Cardea;
  token: string;
  operations: Documented[];
  components: Components;
  filledRealm: RestWorld;
}

async function build(server: Cardea): Promise<World> {
  const { token } = await adminOf(server);
  const operations = destructiveLast(await documentedOperations(server));
  const components: Components = (await openApiOf(server)).components.schemas;
  const filledRealm = new RestWorld(server, await server.realm({ mfa: 'off' }), token, operations);
  await filledRealm.furnish(components);
  return { server, token, operations, components, filledRealm };
}

/** The fault of an answer to a body, in a few words. */
function faultOf(operation: Documented, { body, field, how }: Broken, answer: { status: number; body: { field?: unknown; errorMessage?: unknown } }) {
  const { status, body: said } = answer;
  const what = `${operation.id}, ${field || 'the whole'}: ${how}`;
  if (status === 500 || status === 503 || status === 401 || status === 405) return `${what}: ${status}`;
  const schema = declared.find(({ id }) => id === operation.id)?.body;
  // As the server reads it: without what would reach into every object, and text as it stands.
  const asText = operation.body?.type === 'text/plain';
  const sent: unknown = asText ? String(body) : JSON.parse(JSON.stringify(body ?? null), (key, value) => (key === '__proto__' ? undefined : value));
  const isWrong = schema !== undefined && !schema.safeParse(sent).success;
  if (status === 400) {
    if (typeof said.errorMessage !== 'string' || said.errorMessage === '') return `${what}: 400 without words`;
    return typeof said.field === 'string' && said.field !== '' ? undefined : `${what}: 400 names no field: ${JSON.stringify(said)}`;
  }
  return isWrong && status < 300 ? `${what}: ${status}, and the schema refuses it` : undefined;
}

forEachEngine((engine) => {
  let shared: Promise<World> | undefined;
  const world = () => {
    shared ??= engine.database().then(async (db) => build(await startCardea(db)));
    return shared;
  };

  engine.serial('a body that is wrong in one place is refused by the name of the field, or was allowed', async (t) => {
    const { server, token, operations, components, filledRealm } = await world();
    const wrong: string[] = [];
    let requests = 0;
    for (const operation of operations.filter(({ body }) => body)) {
      const places = (await filledRealm.places(operation.path)) ?? { realm: filledRealm.realm.name };
      const bodies = fc.sample(breaking(operation.body?.schema ?? {}, components), { numRuns: BODIES, seed: 4 });
      await inParallel(bodies, async (broken) => {
        requests += 1;
        const answer = await request(server, operation, filled(operation.path, places), { token, body: broken.body });
        const fault = faultOf(operation, broken, answer);
        if (fault !== undefined) wrong.push(fault);
      });
    }
    t.log(`${requests} requests`);
    t.deepEqual([...new Set(wrong)], []);
    t.is(Reflect.get({}, 'polluted'), undefined);
    t.is((await fetch(`${server.origin}/health/ready`)).status, 200);
  });

  engine.serial('bad places of paths and queries are refused, or nothing is found by them', async (t) => {
    const { server, token, operations, filledRealm } = await world();
    const wrong: string[] = [];
    // A third of the texts in each place, in turns: there are very many places.
    const inTurn = (turn: number) => BAD_TEXTS.filter((_, at) => (at + turn) % 3 === 0);
    const tries = operations.flatMap(({ id, method, path, parameters, body }, turn) => [
      ...placesOf(path).flatMap((name, index) =>
        inTurn(turn + index).map(([how, text]) => ({ id, method, path, place: { name, text }, query: '', body, how: `{${name}}: ${how}` })),
      ),
      ...parameters
        .filter((one) => one.in === 'query')
        .flatMap(({ name }, index) => [
          ...[
            ...inTurn(turn + index).map(([how, text]) => [how, `${name}=${text}`]),
            ['twice', `${name}=1&${name}=2`],
            ['an object', `${name}[a]=1`],
          ].map(([how = '', query = '']) => ({ id, method, path, place: undefined, query, body, how: `${name}: ${how}` })),
        ]),
    ]);
    // What would end the realm is not tried with places that may be right.
    const harmless = tries.filter(({ method, place }) => method === 'GET' || place !== undefined);
    await inParallel(harmless, async ({ id, method, path, place, query, how }) => {
      const values = (await filledRealm.places(path)) ?? { realm: filledRealm.realm.name };
      const target = place ? path.replace(`{${place.name}}`, place.text) : path;
      const { status } = await rawRequest(server, {
        method,
        target: `/admin${filled(target, values)}${query === '' ? '' : `?${query}`}`,
        headers: { authorization: `Bearer ${token}` },
      });
      if (status === 500 || status === 503 || status === 401) wrong.push(`${id}, ${how}: ${status}`);
    });
    t.log(`${harmless.length} requests`);
    t.deepEqual(wrong, []);
  });

  engine.serial('a body that is no JSON, too large, of another type or in pieces is refused before anything is read from it', async (t) => {
    const { server, token, operations, filledRealm } = await world();
    const headers = { authorization: `Bearer ${token}`, 'content-type': 'application/json' };
    await inParallel(
      operations.filter(({ body }) => body?.type === 'application/json'),
      async ({ id, method, path }) => {
        const url = `${server.origin}/admin${filled(path, (await filledRealm.places(path)) ?? { realm: filledRealm.realm.name })}`;
        const status = async (body: string | Uint8Array<ArrayBuffer>, more: Record<string, string> = {}): Promise<number> =>
          (await fetch(url, { method, headers: { ...headers, ...more }, body })).status;
        t.is(await status('{"username":'), 400, id);
        t.is(await status('{}', { 'content-type': 'text/xml' }), 415, id);
        t.is(await status('a=b', { 'content-type': 'application/x-www-form-urlencoded' }), 415, id);
        t.true([400, 404, 413].includes(await status(`"${'x'.repeat(100)}`)), id);
      },
    );
  });
});

test('the arbitraries are wrong in many ways', (t) => {
  const schema = {
    type: 'object',
    properties: { name: { type: 'string' }, inner: { type: 'object', properties: { list: { type: 'array', items: { type: 'string' } } } } },
  };
  const bodies = fc.sample(breaking(schema, {}), { numRuns: 500, seed: 1 });
  t.deepEqual([...new Set(bodies.map(({ field }) => field))].sort(), ['', 'inner', 'inner.list', 'name']);
  t.true(new Set(bodies.map(({ how }) => how)).size > 20);
});
