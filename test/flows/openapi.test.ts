/** The OpenAPI document is one, says what the server does, and the server does what it says. */

import { operations as declared } from '../../src/admin/rest/operations.ts';
import { adminOf } from '../support/admin.ts';
import { faultOf } from '../support/answers.ts';
import { startCardea } from '../support/cardea.ts';
import { onSqlite } from '../support/databases.ts';
import { destructiveLast, documentedOperations, filled, inParallel, openApiOf, request } from '../support/document.ts';
import { documentFaults } from '../support/openapi.ts';

let shared: Promise<Awaited<ReturnType<typeof build>>> | undefined;
async function build() {
  const server = await startCardea(await onSqlite.database());
  return { server, admin: await adminOf(server) };
}
const world = () => {
  shared ??= build();
  return shared;
};

onSqlite.test('the document is valid OpenAPI 3.1', async (t) => {
  const { server } = await world();
  const document = await openApiOf(server);
  t.deepEqual(documentFaults(document), []);
  t.is(document.openapi, '3.1.0');
  t.is(document.servers[0].url, server.origin);
});

onSqlite.test('what checks the document finds what is wrong with one', (t) => {
  const wrong = (paths: object): string[] => documentFaults({ openapi: '3.1.0', info: { title: 'x', version: '1' }, tags: [{ name: 'a' }], paths });
  const fine = { operationId: 'a', tags: ['a'], summary: 'x', responses: { 200: { description: 'Done' } } };
  t.deepEqual(wrong({ '/a': { get: fine } }), []);
  t.regex(wrong({ '/a': { get: fine }, '/b': { get: fine } }).join(), /operationId a is there twice/);
  t.regex(wrong({ '/a/{id}': { get: fine } }).join(), /\{id\} is not among the parameters/);
  t.regex(wrong({ '/a': { get: { ...fine, tags: ['b'] } } }).join(), /tag b/);
  const content = (schema: object) => ({ ...fine, responses: { 200: { description: 'x', content: { 'application/json': { schema } } } } });
  t.regex(wrong({ '/a': { get: content({ $ref: '#/components/schemas/None' }) } }).join(), /leads nowhere/);
  t.regex(wrong({ '/a': { get: content({ type: 'text' }) } }).join(), /type text/);
  t.regex(wrong({ '/a': { get: content({ type: 'object', required: ['x'], properties: { y: {} } }) } }).join(), /x is required and not there/);
  t.regex(wrong({ a: { trace2: fine } }).join(), /begins with no slash/);
});

onSqlite.test('every documented operation exists at the server, and the server has no other', async (t) => {
  const { server, admin } = await world();
  const realm = await server.realm();
  const operations = await documentedOperations(server);
  t.deepEqual(operations.map(({ id }) => id).sort(), declared.map(({ id }) => id).sort());
  const missing: string[] = [];
  await inParallel(operations, async (operation) => {
    // Asked about a realm that is not there, nothing is done; what is no operation is refused before that.
    const { status, body } = await request(server, operation, filled(operation.path, { realm: 'nobody' }), { token: admin.token });
    const isThere = operation.inRealm ? status === 404 && body.errorMessage === 'Realm not found.' : status !== 405 && status !== 404 && status < 500;
    if (!isThere) missing.push(`${operation.method} ${operation.path}: ${status} ${JSON.stringify(body)}`);
  });
  t.deepEqual(missing, []);
  for (const path of [`/realms/${realm.name}/nothing`, '/nothing/at/all']) t.is((await admin.call('GET', path)).status, 404);
});

onSqlite.test('the page of the API shows every operation to whoever asks, runs nothing and loads nothing from elsewhere', async (t) => {
  const { server } = await world();
  const page = await fetch(`${server.origin}/admin/api`);
  t.is(page.status, 200);
  t.regex(page.headers.get('content-security-policy') ?? '', /default-src 'none'/);
  const html = await page.text();
  for (const { id, path } of await documentedOperations(server)) {
    t.true(html.includes(` id="${id}"`), id);
    t.true(html.includes(path), path);
  }
  t.notRegex(html, /https?:\/\/(?!app\.example)/);
  t.is((await fetch(`${server.origin}/admin/api/`)).status, 404);
  t.log(`${html.length} characters`);
});

onSqlite.test('errors are as the document has them', async (t) => {
  const { server, admin } = await world();
  const realm = await server.realm();
  const { components } = await openApiOf(server);
  const fields = Object.keys(components.schemas.Error.properties);
  const answers = [
    await admin.call('GET', `/realms/${realm.name}/users/nobody`),
    await admin.call('GET', `/realms/${realm.name}`, { token: null }),
    await admin.call('POST', `/realms/${realm.name}/users`, { body: { username: 1 } }),
    await admin.call('PATCH', `/realms/${realm.name}`),
    await admin.call('GET', '/realms/nobody'),
  ];
  for (const { body } of answers) {
    for (const name of components.schemas.Error.required) t.is(typeof body[name], 'string');
    t.deepEqual(
      Object.keys(body).filter((name) => !fields.includes(name)),
      [],
    );
  }
});

onSqlite.test('every answer to a reading administrator fits its schema', async (t) => {
  const { server, admin } = await world();
  const realm = await server.realm();
  const operations = destructiveLast((await documentedOperations(server)).filter(({ method }) => method === 'GET'));
  // What is wrong with an answer is noted where it is made (support/answers.ts); here every list and document is asked for.
  await inParallel(operations, async (operation) => {
    const { status } = await request(server, operation, filled(operation.path, { realm: realm.name }), { token: admin.token });
    t.true(status < 500 || status === 501, `${operation.id}: ${status}`);
  });
});

onSqlite.test('what looks at answers finds those that are wrong', (t) => {
  const list = declared.find(({ id }) => id === 'users.count');
  if (!list) throw new Error('There is no users.count.');
  t.is(faultOf(list, { body: 3 }), undefined);
  t.regex(faultOf(list, { body: 'three' }) ?? '', /expected number/);
  t.regex(faultOf(list, { body: 3, status: 202 }) ?? '', /status 202/);
  t.regex(faultOf({ status: 204, answer: undefined }, { body: 3 }) ?? '', /has a body/);
  const read = declared.find(({ id }) => id === 'groups.count');
  t.regex((read && faultOf(read, { body: { count: 1, more: 2 } })) ?? '', /the body\.more is not in the schema/);
});
