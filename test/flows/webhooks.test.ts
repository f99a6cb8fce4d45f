/** Webhooks: what happened is told where it should be, signed, whatever the other side does; on both engines. */
import { createHmac } from 'node:crypto';
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Operator } from '../../src/admin/resources/context.ts';
import { createRealm } from '../../src/admin/resources/realms.ts';
import { createWebhook, rotateSecret } from '../../src/admin/resources/webhooks.ts';
import { record } from '../../src/audit/record.ts';
import { loadConfig } from '../../src/config.ts';
import { MOST_WAITING, type WebhookCourierDeps, webhookCourier } from '../../src/delivery/webhooks/courier.ts';
import { createGuardedClient } from '../../src/http/guarded-client.ts';
import type { Database } from '../../src/store/database.ts';
import type { RealmRow } from '../../src/store/realms.ts';
import { insertDeliveries } from '../../src/store/webhook-deliveries.ts';
import { adminOf, callAdmin } from '../support/admin.ts';
import { startCardea } from '../support/cardea.ts';
import { runHere, settingsFor } from '../support/command.ts';
import { forEachEngine } from '../support/databases.ts';
import { quickHasher } from '../support/factors.ts';
import { limitedClient } from '../support/keycloak.ts';
import { keyringOn } from '../support/keyring.ts';
import { listen } from '../support/listen.ts';
import { until } from '../support/until.ts';

const HOUR = 3_600_000;

interface Received {
  id: string;
  body: string;
  // biome-ignore lint/suspicious/noExplicitAny: what a test looks into is the test's own business
  json: any;
  signature: string;
  timestamp: string;
}

/** A receiver; `answer` may do as it likes with each message. */
async function receiver(answer: (response: ServerResponse, count: number) => void = (response) => response.writeHead(204).end()) {
  const received: Received[] = [];
  const serve = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk);
    const body = Buffer.concat(chunks).toString();
    const header = (name: string): string => String(request.headers[name]);
    received.push({
      id: header('webhook-id'),
      body,
      json: JSON.parse(body),
      signature: header('webhook-signature'),
      timestamp: header('webhook-timestamp'),
    });
    answer(response, received.length);
  };
  const { port } = await listen((request, response) => {
    serve(request, response).catch(() => response.destroy());
  });
  return { received, url: `http://localhost:${port}/hook`, port };
}

/** Written from docs/webhooks.md, not with the product's own function. */
function signatureOf(secret: string, { id, timestamp, body }: Received): string {
  const key = Buffer.from(secret.replace(/^whsec_/, ''), 'base64');
  return `v1,${createHmac('sha256', key).update(`${id}.${timestamp}.${body}`).digest('base64')}`;
}

const anywhere = (): void => undefined;

forEachEngine((engine) => {
  let names = 0;
  /** A realm without a server, and workers whose clock is the test's. */
  async function scene(db?: Database) {
    const on = db ?? (await engine.open());
    const clock = { now: Date.now() };
    const keyring = keyringOn(on);
    const operator = (): Operator => ({ db: on, keyring, passwords: quickHasher(), actor: 'test', now: clock.now });
    names += 1;
    const realm = await createRealm(operator(), { name: `hooked-${engine.engine}-${names}`, mfa: 'off' });
    const reported: Parameters<WebhookCourierDeps['report']>[0][] = [];
    const log: string[] = [];
    const note = (details: object, message: string): void => {
      log.push(`${message} ${JSON.stringify(details)}`);
    };
    const courier = (send?: WebhookCourierDeps['send'], allow = 'localhost:*') =>
      webhookCourier({
        db: on,
        keyring,
        send: send ?? createGuardedClient({ allow: loadConfig({ CARDEA_OUTBOUND_ALLOW: allow }).outboundAllow }),
        now: () => clock.now,
        log: { warn: note, error: note },
        report: (what) => reported.push(what),
      });
    const hook = (url: string, events = ['*'], of: RealmRow = realm) => createWebhook(operator(), of, { url, events }, anywhere);
    const happen = (type: 'login.cancelled' | 'consent.denied' = 'login.cancelled', of: RealmRow = realm) =>
      record(on.knex, { realmId: of.id, at: clock.now, subject: 'erin', ip: '192.0.2.7', userAgent: 'A browser' }, { type, details: {} });
    const rows = (webhook: { id: string }) => on.knex('webhook_deliveries').where({ webhook_id: webhook.id }).orderBy('id');
    return { db: on, clock, operator, realm, courier, hook, happen, rows, reported, log };
  }

  engine.test('an event is told to whoever wants it, signed, with what the audit says and without where from', async (t) => {
    const { db, realm, courier, hook, happen, rows, clock, operator, reported } = await scene();
    const { received, url } = await receiver();
    const other = await createRealm(operator(), { name: 'other', mfa: 'off' });
    const { webhook, secret } = await hook(url, ['login.*']);
    await happen('login.cancelled');
    await happen('consent.denied');
    await happen('login.cancelled', other);
    await courier().deliverDue();
    t.is(received.length, 1);
    const [message] = received;
    if (!message) return;
    const event = await db.knex('audit_events').where({ realm_id: realm.id, type: 'login.cancelled' }).first();
    t.deepEqual(message.json, {
      id: event.id,
      type: 'login.cancelled',
      realm: realm.name,
      at: new Date(clock.now).toISOString(),
      actor: null,
      subject: 'erin',
      client: null,
      details: {},
    });
    t.is(message.id, event.id);
    t.is(message.timestamp, String(Math.floor(clock.now / 1000)));
    t.is(message.signature, signatureOf(secret, message));
    t.like((await rows(webhook))[0], { state: 'delivered', attempts: 1, last_status: 204 });
    t.is(await db.knex('audit_events').where({ untold: 1 }).first(), undefined);
    t.deepEqual(
      reported.map(({ result }) => result),
      ['delivered'],
    );
  });

  engine.test('what fails is tried again, ever later, and is given up after a day', async (t) => {
    const { courier, hook, happen, rows, clock, reported, log } = await scene();
    const { received, url } = await receiver((response) => response.writeHead(500).end());
    const { webhook, secret } = await hook(url, ['login.*']);
    await happen();
    const begun = clock.now;
    const worker = courier();
    const waits: number[] = [];
    for (let attempt = 1; attempt <= 20; attempt += 1) {
      await worker.deliverDue();
      const [row] = await rows(webhook);
      if (row.state !== 'waiting') break;
      t.like(row, { attempts: attempt, last_status: 500, last_error: 'answered 500', claimed_until: null });
      waits.push(row.due_at - clock.now);
      clock.now = row.due_at - 1;
      await worker.deliverDue();
      t.is(received.length, attempt, 'not before its time');
      clock.now = row.due_at;
    }
    const [row] = await rows(webhook);
    t.like(row, { state: 'failed', attempts: waits.length + 1, last_status: 500 });
    t.true(waits.every((wait, index) => index === 0 || wait > (waits[index - 1] ?? 0)));
    t.true(clock.now - begun > 22 * HOUR && clock.now - begun < 28 * HOUR, `${(clock.now - begun) / HOUR} hours`);
    t.is(new Set(received.map(({ id }) => id)).size, 1, 'one id');
    t.true(
      received.every((one) => one.signature === signatureOf(secret, one)),
      'each signed for its own moment',
    );
    t.is(reported.at(-1)?.result, 'failed');
    t.false(log.join('\n').includes(secret));
  });

  engine.test('what comes back within the day arrives; what is gone for good is given up at once', async (t) => {
    const { courier, hook, happen, rows, clock } = await scene();
    const lame = await receiver((response, count) => response.writeHead(count === 1 ? 503 : 200).end());
    const gone = await receiver((response) => response.writeHead(410).end());
    const [first, second] = [await hook(lame.url, ['login.*']), await hook(gone.url, ['login.*'])];
    await happen();
    await courier().deliverDue();
    clock.now += 10_000;
    await courier().deliverDue();
    t.like((await rows(first.webhook))[0], { state: 'delivered', attempts: 2, last_status: 200 });
    t.like((await rows(second.webhook))[0], { state: 'failed', attempts: 1, last_status: 410 });
  });

  engine.test('E09 no redirect is followed, and no private address is called', async (t) => {
    const { courier, hook, happen, rows } = await scene();
    const inner = await receiver();
    const outer = await receiver((response) => response.writeHead(302, { location: inner.url }).end());
    const redirecting = await hook(outer.url, ['login.*']);
    const addresses = [
      'https://127.0.0.1/',
      'https://[::1]/',
      'https://[::ffff:10.0.0.1]/',
      'https://169.254.169.254/latest/meta-data',
      'https://10.0.0.1/',
      'https://localhost:1/',
    ];
    const hidden = [];
    for (const address of addresses) hidden.push(await hook(address, ['login.*']));
    const plain = await hook(`http://127.0.0.1:${inner.port}/`, ['login.*']);
    await happen();
    await courier(undefined, `localhost:${outer.port}`).deliverDue();
    t.is(outer.received.length, 1);
    t.is(inner.received.length, 0);
    t.like((await rows(redirecting.webhook))[0], { state: 'waiting', last_status: null, last_error: 'no answer that can be used' });
    for (const { webhook } of hidden)
      t.like((await rows(webhook))[0], { state: 'waiting', last_status: null, last_error: 'cannot be reached' }, webhook.url);
    t.like((await rows(plain.webhook))[0], { state: 'failed', last_error: 'the address may not be called' });
  });

  engine.test('two workers at once send each message once', async (t) => {
    const { db, courier, hook, happen, rows } = await scene();
    const { received, url } = await receiver((response) => setTimeout(() => response.writeHead(200).end(), 5));
    const { webhook } = await hook(url, ['login.*']);
    for (let count = 0; count < 60; count += 1) await happen();
    await Promise.all([courier().deliverDue(), courier().deliverDue(), courier().deliverDue()]);
    t.is(received.length, 60);
    t.is(new Set(received.map(({ id }) => id)).size, 60);
    t.true((await rows(webhook)).every((row) => row.state === 'delivered' && row.attempts === 1));
    t.is(await db.knex('audit_events').where({ untold: 1 }).first(), undefined);
  });

  engine.test('what a killed worker had begun is sent by another one', async (t) => {
    const { courier, hook, happen, rows, clock } = await scene();
    const { received, url } = await receiver();
    const { webhook } = await hook(url, ['login.*']);
    await happen();
    const { promise: begun, resolve } = Promise.withResolvers<void>();
    const killed = courier(() => {
      resolve();
      return new Promise(() => undefined);
    });
    void killed.deliverDue();
    await begun;
    await courier().deliverDue();
    t.is(received.length, 0, 'it is somebody’s');
    clock.now += 61_000;
    await courier().deliverDue();
    t.is(received.length, 1);
    t.like((await rows(webhook))[0], { state: 'delivered', attempts: 2 });
  });

  engine.test('whoever answers slowly keeps nobody else waiting', async (t) => {
    const { courier, hook, happen, rows } = await scene();
    const quick = await receiver();
    const free = Promise.withResolvers<void>();
    const guarded = createGuardedClient({ allow: loadConfig({ CARDEA_OUTBOUND_ALLOW: 'localhost:*' }).outboundAllow });
    const worker = courier(async (url, init) => {
      if (!url.includes('slow')) return guarded(url, init);
      await free.promise;
      return { status: 200 };
    });
    const slow = await hook('https://slow.example/', ['login.*']);
    const { webhook } = await hook(quick.url, ['login.*']);
    for (let count = 0; count < 10; count += 1) await happen();
    const working = worker.deliverDue();
    await until(() => quick.received.length >= 10);
    t.is(quick.received.length, 10);
    const claimed = (await rows(slow.webhook)).filter((row) => row.claimed_until !== null);
    t.is(claimed.length, 4, 'so many at a time');
    // What happens meanwhile waits for no slow answer either.
    await happen();
    await until(() => quick.received.length >= 11);
    t.is(quick.received.length, 11);
    free.resolve();
    await working;
    t.true((await rows(slow.webhook)).every((row) => row.state === 'delivered'));
    t.is((await rows(webhook)).length, 11);
  });

  engine.test('a change that does not happen is not told', async (t) => {
    const { db, realm, courier, hook, clock } = await scene();
    const { received, url } = await receiver();
    await hook(url, ['login.*']);
    const failing = db.transaction(async (trx) => {
      await record(trx, { realmId: realm.id, at: clock.now }, { type: 'login.cancelled', details: {} });
      throw new Error('no');
    });
    await t.throwsAsync(failing);
    await courier().deliverDue();
    t.is(received.length, 0);
  });

  engine.test('so much waits for one webhook; the rest is counted and dropped', async (t) => {
    const { db, courier, hook, happen, clock, realm, reported, log } = await scene();
    const { webhook } = await hook('https://hook.example/', ['login.*']);
    const place = { realmId: realm.id, webhookId: webhook.id, eventId: 'x', type: 'x', dueAt: clock.now + HOUR, createdAt: clock.now };
    await insertDeliveries(
      db.knex,
      Array.from({ length: MOST_WAITING - 1 }, (_, index) => ({ ...place, id: `0-${index}` })),
    );
    for (let count = 0; count < 3; count += 1) await happen();
    await courier(async () => ({ status: 200 })).deliverDue();
    t.is((await db.knex('webhooks').where({ id: webhook.id }).first()).dropped, 2);
    t.deepEqual(
      reported.find(({ result }) => result === 'dropped'),
      { result: 'dropped', count: 2 },
    );
    t.true(log.some((line) => line.includes('too much waits')));
    t.is(reported.filter(({ result }) => result === 'delivered').length, 1);
  });

  engine.test('recording takes no more statements where there is a webhook', async (t) => {
    const { db, hook, happen } = await scene();
    const statements = async (): Promise<number> => {
      let count = 0;
      const counted = (): void => {
        count += 1;
      };
      db.knex.on('query', counted);
      await happen();
      db.knex.removeListener('query', counted);
      return count;
    };
    const before = await statements();
    await hook('https://hook.example/');
    t.is(await statements(), before);
    t.is(before, 1);
  });

  engine.test('after a rotation both secrets are good for a day', async (t) => {
    const { courier, hook, happen, clock, operator, realm } = await scene();
    const { received, url } = await receiver();
    const { webhook, secret: old } = await hook(url, ['login.*']);
    const { secret } = await rotateSecret(operator(), realm, webhook.id);
    await happen();
    await courier().deliverDue();
    clock.now += 25 * HOUR;
    await happen();
    await courier().deliverDue();
    const [first, second] = received;
    if (!first || !second) return t.fail();
    t.deepEqual(first.signature.split(' '), [signatureOf(secret, first), signatureOf(old, first)]);
    t.is(second.signature, signatureOf(secret, second));
  });

  engine.test('over REST: made with a secret that is shown once, changed, tried, listed, switched off and deleted', async (t) => {
    const db = await engine.open();
    const { received, url, port } = await receiver();
    const server = await startCardea(db, { CARDEA_OUTBOUND_ALLOW: `localhost:${port}` });
    const admin = await adminOf(server);
    const realm = await server.realm({ mfa: 'off' });
    const path = `/realms/${realm.name}/webhooks`;
    const made = await admin.call('POST', path, { body: { url, events: ['user.*'], description: 'SIEM' } });
    t.is(made.status, 201);
    t.regex(made.body.secret, /^whsec_[A-Za-z0-9+/]{43}=$/);
    const { id } = made.body;
    t.true((made.headers.get('location') ?? '').endsWith(`${path}/${id}`));
    for (const rest of ['', `/${id}`, `/${id}/deliveries`])
      t.false(JSON.stringify((await admin.call('GET', `${path}${rest}`)).body).includes('whsec_'), rest);

    await server.user(realm, { username: 'erin' });
    await until(() => received.length >= 1);
    t.like(received[0]?.json, { type: 'user.created', details: { name: 'erin' } });
    t.is(received[0]?.signature, received[0] && signatureOf(made.body.secret, received[0]));
    let listed = await admin.call('GET', `${path}/${id}/deliveries`);
    await until(async () => {
      listed = await admin.call('GET', `${path}/${id}/deliveries`);
      return listed.body.deliveries[0]?.state === 'delivered';
    });
    t.like(listed.body.deliveries[0], {
      eventId: received[0]?.id,
      type: 'user.created',
      state: 'delivered',
      attempts: 1,
      lastStatus: 204,
      dueAt: null,
    });
    t.deepEqual((await admin.call('GET', `${path}/${id}/deliveries?state=failed`)).body, { deliveries: [], next: null });
    t.is((await admin.call('POST', `${path}/${id}/deliveries/${listed.body.deliveries[0].id}/retry`)).status, 404);

    t.like((await admin.call('POST', `${path}/${id}/test`)).body, { ok: true, status: 204 });
    t.like(received.at(-1)?.json, { type: 'webhook.test', realm: realm.name });

    const read = await admin.call('GET', `${path}/${id}`);
    t.deepEqual((await admin.call('PUT', `${path}/${id}`, { body: read.body })).body, read.body, 'what was read changes nothing');
    t.like((await admin.call('PUT', `${path}/${id}`, { body: { events: ['*'] } })).body, { events: ['*'], url, description: 'SIEM' });
    const rotated = await admin.call('POST', `${path}/${id}/secret`);
    t.regex(rotated.body.secret, /^whsec_/);
    t.not(rotated.body.secret, made.body.secret);
    t.like((await admin.call('PUT', `${path}/${id}`, { body: { enabled: false } })).body, { enabled: false });

    for (const [field, body] of [
      ['url', { url: 'http://intranet.example/', events: ['*'] }],
      ['url', { url: 'ftp://hook.example/', events: ['*'] }],
      ['url', { url: 'https://a:b@hook.example/', events: ['*'] }],
      ['events', { url, events: [] }],
      ['events.0', { url, events: ['mfa*'] }],
      ['events.0', { url, events: ["' OR 1=1"] }],
    ] as const) {
      const refused = await admin.call('POST', path, { body });
      t.deepEqual([refused.status, refused.body.field], [400, field]);
    }
    t.is((await admin.call('DELETE', `${path}/${id}`)).status, 204);
    t.is((await admin.call('DELETE', `${path}/${id}`)).status, 404);
    t.is((await admin.call('GET', `${path}/${id}/deliveries`)).status, 404);
    for (let count = 0; count < 20; count += 1) t.is((await admin.call('POST', path, { body: { url, events: ['x.y'] } })).status, 201);
    t.is((await admin.call('POST', path, { body: { url, events: ['x.y'] } })).status, 409);

    const audit = JSON.stringify((await admin.call('GET', `/realms/${realm.name}/audit?type=webhook.*`)).body);
    for (const type of ['created', 'updated', 'secret-rotated', 'deleted']) t.true(audit.includes(`webhook.${type}`), type);
    for (const text of [audit, server.log.join('\n')]) t.false(text.includes('whsec_'));
    const stored = JSON.stringify(await db.knex('webhooks').select());
    t.false(stored.includes('whsec_'));

    const other = await server.realm({ mfa: 'off' });
    const [first] = (await admin.call('GET', path)).body;
    t.is((await admin.call('GET', `/realms/${other.name}/webhooks/${first.id}`)).status, 404);
    t.is((await admin.call('POST', `/realms/${other.name}/webhooks/${first.id}/test`)).status, 404);
    const { token } = await limitedClient(server, realm, ['view-events']);
    t.is((await callAdmin(server, 'GET', path, { token })).status, 200);
    for (const [method, rest] of [
      ['POST', `/${first.id}/test`],
      ['POST', `/${first.id}/secret`],
      ['DELETE', `/${first.id}`],
    ] as const)
      t.is((await callAdmin(server, method, `${path}${rest}`, { token })).status, 403, rest);
  });

  engine.test('what waits for a webhook that is switched off is given up, and can be sent once more', async (t) => {
    const db = await engine.open();
    const { received, url, port } = await receiver((response, count) => response.writeHead(count === 1 ? 500 : 204).end());
    const server = await startCardea(db, { CARDEA_OUTBOUND_ALLOW: `localhost:${port}` });
    const admin = await adminOf(server);
    const realm = await server.realm({ mfa: 'off' });
    const path = `/realms/${realm.name}/webhooks`;
    const { id } = (await admin.call('POST', path, { body: { url, events: ['user.*'] } })).body;
    await server.user(realm);
    const deliveries = async () => (await admin.call('GET', `${path}/${id}/deliveries`)).body.deliveries;
    const comesTo = async (fits: (row: { state: string; attempts: number }) => boolean): Promise<void> => {
      const is = async () => {
        const [row] = await deliveries();
        return row !== undefined && fits(row);
      };
      t.true(await until(is));
    };
    await comesTo(({ attempts }) => attempts === 1);
    await admin.call('PUT', `${path}/${id}`, { body: { enabled: false } });
    await comesTo(({ state }) => state === 'failed');
    const [row] = await deliveries();
    t.is((await admin.call('POST', `${path}/${id}/deliveries/${row.id}/retry`)).status, 409);
    await admin.call('PUT', `${path}/${id}`, { body: { enabled: true } });
    t.is((await admin.call('POST', `${path}/${id}/deliveries/${row.id}/retry`)).status, 204);
    await comesTo(({ state }) => state === 'delivered');
    t.is(received[0]?.id, received[1]?.id);
  });

  engine.test('cardea webhook: made, listed, tried, changed, its secret rotated, deleted', async (t) => {
    const { received, url, port } = await receiver();
    const env = settingsFor(await engine.settings({ empty: true }), { CARDEA_OUTBOUND_ALLOW: `localhost:${port}` });
    const ok = async (...args: string[]) => {
      const { status, stdout, stderr } = await runHere([...args, '--json'], env);
      t.is(status, 0, stderr);
      return JSON.parse(stdout);
    };
    await ok('realm', 'create', 'staff');
    const made = await ok('webhook', 'create', '--realm', 'staff', '--url', url, '--event', 'mfa.*', 'login.failed');
    t.like(made, { realm: 'staff', url, events: ['mfa.*', 'login.failed'], enabled: true });
    t.regex(made.secret, /^whsec_/);
    const listed = await ok('webhook', 'list', '--realm', 'staff');
    t.is(listed.length, 1);
    t.is(listed[0].secret, undefined);
    t.like(await ok('webhook', 'test', made.id, '--realm', 'staff'), { ok: true, status: 204 });
    t.is(received[0]?.signature, received[0] && signatureOf(made.secret, received[0]));
    t.like(await ok('webhook', 'update', made.id, '--realm', 'staff', '--off'), { enabled: false });
    t.regex((await ok('webhook', 'rotate-secret', made.id, '--realm', 'staff')).secret, /^whsec_/);
    const refused = await runHere(['webhook', 'create', '--realm', 'staff', '--url', 'http://elsewhere.example/', '--event', '*'], env);
    t.is(refused.status, 1);
    t.regex(refused.stderr, /^cardea: url: /);
    t.like(await ok('webhook', 'delete', made.id, '--realm', 'staff', '--yes'), { deleted: true });
    t.is((await runHere(['webhook', 'test', made.id, '--realm', 'staff'], env)).status, 1);
  });
});
