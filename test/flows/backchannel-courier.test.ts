/** What brings logout tokens to applications: again until they arrive, by any number of processes; on both engines. */
import { randomUUID } from 'node:crypto';
import { decodeJwt } from 'jose';
import { changeClient } from '../../src/admin/resources/client-changes.ts';
import { createClient } from '../../src/admin/resources/clients.ts';
import type { Operator } from '../../src/admin/resources/context.ts';
import { createRealm } from '../../src/admin/resources/realms.ts';
import { createUser } from '../../src/admin/resources/users.ts';
import { loadConfig } from '../../src/config.ts';
import { type LogoutCourierDeps, logoutCourier, MOST_REFUSALS } from '../../src/delivery/logouts/courier.ts';
import { createGuardedClient } from '../../src/http/guarded-client.ts';
import { endSessionsIn, endSessionsOf } from '../../src/sessions/sessions.ts';
import type { ClientRow } from '../../src/store/clients.ts';
import { insertSession, joinSessionClient } from '../../src/store/sessions.ts';
import { forEachEngine } from '../support/databases.ts';
import { quickHasher } from '../support/factors.ts';
import { keyringOn } from '../support/keyring.ts';
import { logoutReceiver } from '../support/logouts.ts';

const HOUR = 3_600_000;
const ORIGIN = 'https://id.example.com';

forEachEngine((engine) => {
  /** A realm without a server, and workers whose clock is the test's. */
  async function scene() {
    const db = await engine.open();
    const clock = { now: Date.now() };
    const keyring = keyringOn(db);
    const outboundAllow = loadConfig({ CARDEA_OUTBOUND_ALLOW: 'localhost:*' }).outboundAllow;
    const operator = (): Operator => ({ db, keyring, passwords: quickHasher(), outboundAllow, actor: 'test', now: clock.now });
    const realm = await createRealm(operator(), { name: 'told', mfa: 'off' });
    const user = await createUser(operator(), realm, { username: 'erin', password: 'a good password' });
    const reported: string[] = [];
    const log: string[] = [];
    const note = (details: object, message: string): void => void log.push(`${message} ${JSON.stringify(details)}`);
    const courier = (send?: LogoutCourierDeps['send'], allow = 'localhost:*') =>
      logoutCourier({
        ...{ db, keyring, origin: ORIGIN, now: () => clock.now, log: { warn: note, error: note } },
        send: send ?? createGuardedClient({ allow: loadConfig({ CARDEA_OUTBOUND_ALLOW: allow }).outboundAllow }),
        report: ({ result }) => reported.push(result),
      });
    const client = async (url: string, clientId = `client-${randomUUID()}`): Promise<ClientRow> =>
      (await createClient(operator(), realm, { clientId, redirectUris: ['https://app.example/cb'], attributes: { 'backchannel.logout.url': url } }))
        .client;
    /** A session at these clients, which ends. */
    const end = async (...clients: ClientRow[]): Promise<void> => {
      const id = randomUUID();
      const common = { realmId: realm.id, userId: user.id, createdAt: clock.now, lastSeenAt: clock.now, endsAt: clock.now + HOUR, endedAt: null };
      await insertSession(db.knex, { ...common, id, uid: id, proofs: [], facts: { skipped: false }, remember: false, ip: null, userAgent: null });
      for (const { id: clientRowId } of clients)
        await db.transaction((trx) =>
          joinSessionClient(trx, {
            ...{ realmId: realm.id, sessionId: id, clientRowId, sid: randomUUID(), grantId: randomUUID(), instead: null, now: clock.now },
          }),
        );
      await endSessionsOf(db, realm.id, { id }, clock.now);
    };
    const rows = (of: ClientRow) => db.knex('logout_notices').where({ client_id: of.id }).orderBy('created_at');
    return { db, clock, operator, realm, user, courier, client, end, rows, reported, log };
  }

  engine.test('what fails is tried again, ever later, with a fresh token of the same jti, and is given up after a day', async (t) => {
    const { db, courier, client, end, rows, clock, reported, realm, user, log } = await scene();
    const { received, url } = await logoutReceiver((response) => response.writeHead(503).end());
    const app = await client(url, 'wiki');
    await end(app);
    const begun = clock.now;
    const worker = courier();
    for (let attempt = 1; attempt <= 20; attempt += 1) {
      await worker.deliverDue();
      const [row] = await rows(app);
      if (row.state !== 'waiting') break;
      t.like(row, { attempts: attempt, last_status: 503, last_error: 'answered 503', claimed_until: null });
      clock.now = row.due_at - 1;
      await worker.deliverDue();
      t.is(received.length, attempt, 'not before its time');
      clock.now = row.due_at;
    }
    const [row] = await rows(app);
    t.like(row, { state: 'failed', attempts: received.length, last_status: 503 });
    t.true(clock.now - begun > 22 * HOUR && clock.now - begun < 28 * HOUR, `${(clock.now - begun) / HOUR} hours`);
    const tokens = received.map((token) => decodeJwt(token));
    t.is(new Set(tokens.map(({ jti }) => jti)).size, 1);
    t.is(new Set(tokens.map(({ iat }) => iat)).size, received.length, 'none is old');
    t.true(tokens.every(({ iat = 0, exp = 0, aud, iss }) => exp - iat === 120 && aud === 'wiki' && iss === `${ORIGIN}/realms/told`));
    t.deepEqual([reported.filter((result) => result === 'again').length, reported.at(-1)], [received.length - 1, 'failed']);
    const audited = await db.knex('audit_events').where({ realm_id: realm.id, type: 'logout.untold' });
    t.is(audited.length, 1);
    t.like(audited[0], { subject: user.id, client_id: 'wiki' });
    t.deepEqual(JSON.parse(audited[0].details), { attempts: received.length, status: 503, reason: 'answered 503' });
    t.false(log.join('\n').includes(received[0] ?? 'x'), 'no token in the log');
  });

  engine.test('200 and 204 are believed, other successes are not; 400 is given another three chances', async (t) => {
    const { courier, client, end, rows, clock } = await scene();
    const statuses = [200, 204, 202, 400, 500];
    const apps = [];
    for (const status of statuses) {
      const receiver = await logoutReceiver((response) => response.writeHead(status).end());
      apps.push(await client(receiver.url));
    }
    await end(...apps);
    const worker = courier();
    for (let attempt = 1; attempt <= MOST_REFUSALS; attempt += 1) {
      await worker.deliverDue();
      clock.now += 5 * 60_000;
    }
    const states = await Promise.all(apps.map(async (app) => (await rows(app))[0]));
    t.deepEqual(
      states.map(({ state, attempts, last_status }) => [state, attempts, last_status]),
      [
        ['delivered', 1, 200],
        ['delivered', 1, 204],
        ['waiting', 4, 202],
        ['failed', 4, 400],
        ['waiting', 4, 500],
      ],
    );
  });

  engine.test('an application that is down, or was moved, hears of it when it is back', async (t) => {
    const { courier, client, end, rows, clock, operator, realm } = await scene();
    const app = await client('http://localhost:9/backchannel');
    await end(app);
    await courier().deliverDue();
    t.like((await rows(app))[0], { state: 'waiting', last_status: null, last_error: 'cannot be reached' });
    const receiver = await logoutReceiver();
    await changeClient(operator(), realm, app.id, { attributes: { 'backchannel.logout.url': receiver.url } });
    clock.now += 10_000;
    await courier().deliverDue();
    t.is(receiver.received.length, 1);
    t.like((await rows(app))[0], { state: 'delivered', attempts: 2 });
    await end(app);
    await changeClient(operator(), realm, app.id, { attributes: { 'backchannel.logout.url': '' } });
    await courier().deliverDue();
    t.like((await rows(app))[1], { state: 'failed', last_error: 'the client has no address for it any more' });
    t.is(receiver.received.length, 1);
  });

  engine.test('two workers at once send each logout once; what a killed one had begun is sent by another, with the same jti', async (t) => {
    const { courier, client, end, rows, clock } = await scene();
    const receiver = await logoutReceiver();
    const app = await client(receiver.url);
    for (let count = 0; count < 12; count += 1) await end(app);
    const [one, two] = [courier(), courier()];
    await Promise.all([one.deliverDue(), two.deliverDue()]);
    t.is(receiver.received.length, 12);
    t.is(new Set(receiver.received.map((token) => decodeJwt(token).jti)).size, 12);

    await end(app);
    const { promise: begun, resolve } = Promise.withResolvers<string>();
    const killed = courier((_url, { body }) => {
      resolve(new URLSearchParams(body).get('logout_token') ?? '');
      return new Promise(() => undefined);
    });
    void killed.deliverDue();
    const { jti } = decodeJwt(await begun);
    await courier().deliverDue();
    t.is(receiver.received.length, 12, 'it is somebody’s');
    clock.now += 61_000;
    await courier().deliverDue();
    t.is(receiver.received.length, 13);
    t.is(decodeJwt(receiver.received[12] ?? '').jti, jti);
    t.true((await rows(app)).every(({ state }) => state === 'delivered'));
  });

  engine.test('E09 no redirect is followed, no private address is called, and what hangs or never ends keeps nobody waiting', async (t) => {
    const { db, courier, client, end, rows } = await scene();
    const inner = await logoutReceiver();
    const outer = await logoutReceiver((response) => response.writeHead(307, { location: inner.url }).end());
    const endless = await logoutReceiver((response) => {
      response.writeHead(200);
      const more = (): void => void (response.writable && response.write('x'.repeat(65_536), more));
      more();
    });
    const hanging = await logoutReceiver(() => undefined);
    const quick = await logoutReceiver();
    const [redirecting, talking, silent, good] = [
      await client(outer.url),
      await client(endless.url),
      await client(hanging.url),
      await client(quick.url),
    ];
    const hidden = [];
    for (const address of [
      'https://127.0.0.1/',
      'https://[::1]/',
      'https://169.254.169.254/latest/meta-data',
      'https://10.0.0.1/',
      'https://localhost:1/',
    ])
      hidden.push(await client(address));
    // It was allowed when it was saved.
    const plain = await client(`http://localhost:${inner.port}/`);
    await db
      .knex('clients')
      .where({ id: plain.id })
      .update({ attributes: JSON.stringify({ 'backchannel.logout.url': `http://127.0.0.1:${inner.port}/` }) });
    await end(silent, redirecting, talking, ...hidden, plain);
    for (let count = 0; count < 5; count += 1) await end(silent, good);
    const open = [outer, endless, hanging, quick].map(({ port }) => `localhost:${port}`).join();
    const guarded = createGuardedClient({ allow: loadConfig({ CARDEA_OUTBOUND_ALLOW: open }).outboundAllow });
    const working = courier((url, init) => guarded(url, { ...init, timeoutMs: 3_000 })).deliverDue();
    await quick.until(5);
    t.is(quick.received.length, 5);
    t.true(
      (await rows(silent)).some(({ claimed_until }) => claimed_until !== null),
      'while the silent one is waited for',
    );
    await working;
    t.is(outer.received.length, 1);
    t.is(inner.received.length, 0);
    for (const one of [redirecting, talking, silent])
      t.like((await rows(one))[0], { state: 'waiting', last_status: null, last_error: 'no answer that can be used' });
    for (const one of hidden) t.like((await rows(one))[0], { state: 'waiting', last_status: null, last_error: 'cannot be reached' });
    t.like((await rows(plain))[0], { state: 'failed', last_error: 'the address may not be called' });
    t.is((await rows(good)).length, 5);
  });

  engine.test('an ending that does not happen is not told', async (t) => {
    const { db, courier, client, realm, user, clock } = await scene();
    const receiver = await logoutReceiver();
    const app = await client(receiver.url);
    const id = randomUUID();
    const common = { realmId: realm.id, userId: user.id, createdAt: clock.now, lastSeenAt: clock.now, endsAt: clock.now + HOUR, endedAt: null };
    await insertSession(db.knex, { ...common, id, uid: id, proofs: [], facts: { skipped: false }, remember: false, ip: null, userAgent: null });
    const place = { realmId: realm.id, sessionId: id, clientRowId: app.id, sid: randomUUID(), grantId: randomUUID(), instead: null, now: clock.now };
    await db.transaction((trx) => joinSessionClient(trx, place));
    const failing = db.transaction(async (trx) => {
      await endSessionsIn(trx, realm.id, { id }, clock.now);
      throw new Error('no');
    });
    await t.throwsAsync(failing);
    await courier().deliverDue();
    t.is(receiver.received.length, 0);
  });
});
