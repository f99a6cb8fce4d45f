/** The outbox is worked off: by one process each, again after a failure, and to an end. */
import { setTimeout as pause } from 'node:timers/promises';
import type { ExecutionContext } from 'ava';
import { DeliveryError } from '../../../src/delivery/channel.ts';
import { enqueue, type Parcel } from '../../../src/delivery/outbox.ts';
import type { Database } from '../../../src/store/database.ts';
import { insertOutboxRow } from '../../../src/store/outbox.ts';
import { forEachEngine } from '../../support/databases.ts';
import { type DeliveryWorld, deliveriesFor, deliveryWorld, DELIVERY_NOW as NOW, WatchedChannel } from '../../support/delivery.ts';
import { until } from '../../support/until.ts';

const MINUTE = 60_000;

/** A database of its own for each test: a postman sends whatever is due in it. */
function alone(title: string, body: (t: ExecutionContext, db: Database) => Promise<void>): void {
  forEachEngine((engine) => engine.test(title, async (t) => body(t, await engine.open())));
}

/** By text message, for which the channel is the test's own. */
async function notices(world: DeliveryWorld, count: number, now = NOW): Promise<void> {
  const parcels = Array.from({ length: count }, (_, index) => noticeFor(world, index));
  await world.db.transaction(await enqueue(world, parcels, now));
}

const noticeFor = ({ realm, user }: DeliveryWorld, index: number): Parcel => ({
  ...{ realmId: realm.id, userId: user.id, kind: 'sms' },
  payload: { to: '+4915123456789', from: 'Acme', subject: '', text: `notice ${index}`, html: null },
});

/** A clock that the test moves. */
const clock = (start = NOW) => {
  let now = start;
  return { now: () => now, advance: (ms: number) => (now += ms) };
};

alone('what is due is sent once, by however many processes, and its text is gone', async (t, db) => {
  const world = await deliveryWorld(db);
  await notices(world, 35);
  const channels = [new WatchedChannel(), new WatchedChannel(), new WatchedChannel()];
  for (const channel of channels) channel.before = () => pause(5);
  await Promise.all(channels.map((sms) => deliveriesFor(world, { sms }).postman.deliverDue()));
  const sent = channels.flatMap((channel) => channel.sent.map(({ text }) => text)).sort();
  t.deepEqual(sent, Array.from({ length: 35 }, (_, index) => `notice ${index}`).sort());
  t.true((await world.rows()).every((row) => row.payload === '' && row.delivered_at === NOW && row.claimed_until === null));
  t.is((await db.knex('audit_events').where({ realm_id: world.realm.id, type: 'delivery.sent' })).length, 35);
});

alone('a committed row wakes the sender at once, an uncommitted one does not', async (t, db) => {
  const world = await deliveryWorld(db);
  const sms = new WatchedChannel();
  const deliveries = deliveriesFor(world, { sms, now: () => Date.now() });
  deliveries.postman.start();
  try {
    await pause(50);
    const began = performance.now();
    await notices(world, 1, Date.now());
    t.true(await until(() => sms.sent.length === 1));
    t.true(performance.now() - began < 4_500, 'the next look would come after five seconds');
    const tell = await enqueue(world, [noticeFor(world, 1)], Date.now());
    await t.throwsAsync(
      db.transaction(async (trx) => {
        await tell(trx);
        throw new Error('undone');
      }),
    );
    await pause(100);
    t.is(sms.sent.length, 1);
  } finally {
    await deliveries.close();
  }
  await notices(world, 1, Date.now());
  await pause(100);
  t.is(sms.sent.length, 1, 'what is closed sends nothing more');
});

alone('a failure is tried again, ever later, and given up after a day', async (t, db) => {
  const world = await deliveryWorld(db);
  const { now, advance } = clock();
  const sms = new WatchedChannel();
  let tries = 0;
  sms.before = () => {
    tries += 1;
    throw new DeliveryError('503 20503', { permanent: false });
  };
  const { postman } = deliveriesFor(world, { sms, now });
  await notices(world, 1);
  const triedAt: number[] = [];
  for (let minute = 0; minute < 48 * 60; minute += 1) {
    const before = tries;
    await postman.deliverDue();
    if (tries > before) triedAt.push(minute);
    advance(MINUTE);
  }
  t.deepEqual(triedAt, [0, 1, 3, 13, 43, 103, 283, 643, 1363]);
  const [row] = await world.rows();
  t.is(row?.payload, '');
  t.is(row?.last_error, '503 20503');
  t.truthy(row?.failed_at);
  const failures: { details: string }[] = await db.knex('audit_events').where({ realm_id: world.realm.id, type: 'delivery.failed' });
  t.deepEqual(
    failures.map(({ details }) => JSON.parse(details)),
    [{ channel: 'sms', purpose: 'notice', reason: '503 20503' }],
  );
});

alone('what can never arrive is given up at once, and what comes good is delivered', async (t, db) => {
  const world = await deliveryWorld(db);
  const { now, advance } = clock();
  const sms = new WatchedChannel();
  const { postman } = deliveriesFor(world, { sms, now });
  sms.before = () => {
    throw new DeliveryError('400 21211', { permanent: true });
  };
  await notices(world, 1);
  await postman.deliverDue();
  t.truthy((await world.rows())[0]?.failed_at);

  sms.before = () => {
    throw new DeliveryError('ETIMEDOUT', { permanent: false });
  };
  await notices(world, 1, NOW + 1);
  advance(1);
  await postman.deliverDue();
  sms.before = () => undefined;
  await postman.deliverDue();
  t.is(sms.sent.length, 0, 'not before its time');
  advance(MINUTE);
  await postman.deliverDue();
  t.is(sms.sent.length, 1);
});

alone('what a killed process had claimed is sent by another, once the claim has run out', async (t, db) => {
  const world = await deliveryWorld(db);
  const { now, advance } = clock();
  await notices(world, 1);
  const killed = new WatchedChannel();
  killed.before = () => new Promise(() => undefined);
  void deliveriesFor(world, { sms: killed, now }).postman.deliverDue();
  t.true(await until(async () => (await world.rows())[0]?.claimed_until !== null));
  const sms = new WatchedChannel();
  const { postman } = deliveriesFor(world, { sms, now });
  await postman.deliverDue();
  t.is(sms.sent.length, 0, 'it is somebody else’s');
  advance(3 * MINUTE);
  await postman.deliverDue();
  t.is(sms.sent.length, 1);
  const [row] = await world.rows();
  t.is(row?.attempts, 2);
});

alone('a process that comes back after its claim changes nothing any more', async (t, db) => {
  const world = await deliveryWorld(db);
  const { now, advance } = clock();
  await notices(world, 1);
  const slow = new WatchedChannel();
  let goOn: (() => void) | undefined;
  slow.before = () =>
    new Promise<void>((_, reject) => {
      goOn = () => reject(new DeliveryError('ETIMEDOUT', { permanent: true }));
    });
  const first = deliveriesFor(world, { sms: slow, now }).postman.deliverDue();
  t.true(await until(() => goOn !== undefined), 'it has begun to send');
  advance(3 * MINUTE);
  await deliveriesFor(world, { sms: new WatchedChannel(), now }).postman.deliverDue();
  goOn?.();
  await first;
  const [row] = await world.rows();
  t.truthy(row?.delivered_at);
  t.is(row?.failed_at, null);
});

alone('a code is never sent late: one whose request was killed is given up', async (t, db) => {
  const world = await deliveryWorld(db);
  const sms = new WatchedChannel();
  const { postman } = deliveriesFor(world, { sms, now: () => NOW + MINUTE });
  const row = { realmId: world.realm.id, kind: 'sms' as const, purpose: 'code' as const, userId: world.user.id, payload: '', attempts: 1 };
  const times = { dueAt: NOW, deliveredAt: null, createdAt: NOW };
  await insertOutboxRow(db.knex, { ...row, ...times, id: 'over', claimedUntil: NOW + 40_000 });
  await insertOutboxRow(db.knex, { ...row, ...times, id: 'under-way', claimedUntil: NOW + 2 * MINUTE });
  await postman.deliverDue();
  t.deepEqual(sms.sent, []);
  const rows = Object.fromEntries((await world.rows()).map(({ id, failed_at, last_error }) => [String(id), [failed_at, last_error]]));
  t.deepEqual(rows, { over: [NOW + MINUTE, 'interrupted'], 'under-way': [null, null] });
});

alone('a message that does not open is an alarm, and the next one goes out', async (t, db) => {
  const world = await deliveryWorld(db);
  const sms = new WatchedChannel();
  await notices(world, 2);
  const [first, second] = await world.rows();
  await db.knex('outbox').where({ id: first?.id }).update({ payload: second?.payload });
  await deliveriesFor(world, { sms }).postman.deliverDue();
  t.is(sms.sent.length, 1);
  const alarms: { details: string }[] = await db.knex('audit_events').where({ realm_id: world.realm.id, type: 'crypto.unreadable' });
  t.deepEqual(
    alarms.map(({ details }) => JSON.parse(details)),
    [{ what: 'outbox' }],
  );
});

alone('in development a notice counts as sent and stays to be read; its channel closes with the rest', async (t, db) => {
  const world = await deliveryWorld(db);
  const deliveries = deliveriesFor(world);
  await notices(world, 1);
  await deliveries.postman.deliverDue();
  t.is((await world.opened())[0]?.text, 'notice 0');
  t.is((await world.rows())[0]?.delivered_at, NOW);
  const sms = new WatchedChannel();
  const watched = deliveriesFor(world, { sms });
  await notices(world, 1);
  await watched.postman.deliverDue();
  await watched.close();
  t.is(sms.closed, 1);
});
