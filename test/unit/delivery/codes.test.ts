/** Codes on their way: what is counted, what is kept, and what whoever asked is told. */
import { randomUUID } from 'node:crypto';
import { endPauses } from '../../../src/store/delivery-counts.ts';
import { testOnEngines } from '../../support/databases.ts';
import {
  codeByMail,
  codeBySms,
  type DeliveryWorld,
  deliveriesFor,
  deliveryWorld,
  DELIVERY_NOW as NOW,
  occasionOf,
  WatchedChannel,
} from '../../support/delivery.ts';

const SECOND = 1_000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;

const audited = async ({ db, realm }: DeliveryWorld, type: string): Promise<unknown[]> =>
  (await db.knex('audit_events').where({ realm_id: realm.id, type }).orderBy('at')).map((row) => JSON.parse(row.details));

/** Users like the one of the world, with ids of their own. */
function furtherUsers({ db, realm, user }: DeliveryWorld, count: number): Promise<DeliveryWorld['user'][]> {
  return Promise.all(
    Array.from({ length: count }, async (_, index) => {
      const [id, name] = [randomUUID(), `further-${index}`];
      await db.knex('users').insert({ realm_id: realm.id, id, username: name, username_shown: name, created_at: NOW, updated_at: NOW });
      return { ...user, id };
    }),
  );
}

testOnEngines('a code goes out at once, in the language of the page, and is in no row afterwards', async (t, db) => {
  const world = await deliveryWorld(db, { displayName: 'Acme\nInc' });
  const sms = new WatchedChannel();
  const { sendCode } = deliveriesFor(world, { sms });
  t.deepEqual(await sendCode(occasionOf(world, { language: 'de' }), codeBySms()), { ok: true, nextAfterMs: MINUTE });
  t.is(sms.sent[0]?.text, '012345 ist Ihr Code für Acme Inc. Geben Sie ihn nicht weiter.\n\n@id.example.com #012345');
  t.is(sms.sent[0]?.to.value, '+4915123456789');
  const [row] = await world.rows();
  t.is(row?.payload, '');
  t.is(row?.purpose, 'code');
  t.is(row?.delivered_at, NOW);
  t.is(row?.user_id, world.user.id);
  t.deepEqual(await audited(world, 'delivery.sent'), [{ channel: 'sms', purpose: 'sign-in', country: 'DE' }]);
  const stored = JSON.stringify([await world.rows(), await db.knex('audit_events').where({ realm_id: world.realm.id })]);
  for (const secret of ['012345 ', '+4915123456789']) t.false(stored.includes(secret), secret);
});

testOnEngines('a code mail says for what and where it is, and holds no link', async (t, db) => {
  const world = await deliveryWorld(db);
  const { sendCode } = deliveriesFor(world);
  t.true((await sendCode(occasionOf(world), codeByMail())).ok);
  const [mail] = await world.opened();
  for (const said of ['Hello Ada,', '01234567', 'to sign in to Acme', '5 minutes', 'id.example.com', 'change it'])
    t.true(mail?.text.includes(said), said);
  for (const part of [mail?.text, mail?.html]) t.notRegex(part ?? 'https://', /https?:|href|src=/);
  t.false(mail?.subject.includes('01234567'), 'a code is not for a locked screen');
  const [row] = await world.rows();
  t.is(row?.delivered_at, NOW, 'the inbox has it');
});

testOnEngines('resending waits 30, 60 and then 120 seconds, unless a code was used', async (t, db) => {
  const world = await deliveryWorld(db);
  const { sendCode } = deliveriesFor(world);
  const at = (ms: number) => sendCode(occasionOf(world, { now: NOW + ms }), codeByMail());
  t.deepEqual(await at(0), { ok: true, nextAfterMs: 30 * SECOND });
  t.deepEqual(await at(10 * SECOND), { ok: false, reason: 'wait', retryAfterMs: 20 * SECOND });
  t.deepEqual(await at(30 * SECOND), { ok: true, nextAfterMs: 60 * SECOND });
  t.deepEqual(await at(89 * SECOND), { ok: false, reason: 'wait', retryAfterMs: SECOND });
  t.deepEqual(await at(90 * SECOND), { ok: true, nextAfterMs: 120 * SECOND });
  t.deepEqual(await at(209 * SECOND), { ok: false, reason: 'wait', retryAfterMs: SECOND });
  t.deepEqual(await at(210 * SECOND), { ok: true, nextAfterMs: 120 * SECOND });
  t.deepEqual(await audited(world, 'delivery.budget'), [], 'to wait a little is nothing to record');

  await endPauses(db.knex, world.realm.id, world.user.id);
  t.deepEqual(await at(211 * SECOND), { ok: true, nextAfterMs: 30 * SECOND }, 'whoever has used one begins anew');
  await endPauses(db.knex, world.realm.id, world.user.id);
  t.deepEqual(await at(212 * SECOND), { ok: false, reason: 'wait', retryAfterMs: HOUR - 212 * SECOND }, 'but not with the hour');
  t.deepEqual(await audited(world, 'delivery.budget'), [{ channel: 'mail', purpose: 'sign-in', limit: 'user' }]);
});

testOnEngines('five within any hour, ten within any day, whichever window one looks at', async (t, db) => {
  const world = await deliveryWorld(db);
  const { sendCode } = deliveriesFor(world);
  const sentAt: number[] = [];
  for (let minute = 0; minute < 26 * 60; minute += 2) {
    await endPauses(db.knex, world.realm.id, world.user.id);
    if ((await sendCode(occasionOf(world, { now: NOW + minute * MINUTE }), codeByMail())).ok) sentAt.push(minute);
  }
  const most = (window: number) => Math.max(...sentAt.map((from) => sentAt.filter((at) => at >= from && at < from + window).length));
  t.is(most(60), 5);
  t.is(most(24 * 60), 10);
  t.deepEqual(sentAt.slice(0, 11), [0, 2, 4, 6, 8, 60, 62, 64, 66, 68, 24 * 60]);
});

testOnEngines('D02 a hundred resends at once, from any number of sign-ins: one is sent', async (t, db) => {
  const world = await deliveryWorld(db);
  const sms = new WatchedChannel();
  const { sendCode } = deliveriesFor(world, { sms });
  const answers = await Promise.all(
    Array.from({ length: 100 }, (_, index) => sendCode(occasionOf(world, { transaction: `sign-in-${index}` }), codeBySms())),
  );
  t.is(answers.filter(({ ok }) => ok).length, 1);
  t.is(sms.sent.length, 1);
});

testOnEngines('an address is counted whoever sends to it, and a user wherever they send', async (t, db) => {
  const world = await deliveryWorld(db);
  const sms = new WatchedChannel();
  const { sendCode } = deliveriesFor(world, { sms });
  const others = await furtherUsers(world, 6);
  const shared = [];
  for (const user of others) shared.push(await sendCode({ ...occasionOf(world), user }, codeBySms()));
  t.deepEqual(
    shared.map(({ ok }) => ok),
    [true, true, true, true, true, false],
    'one number, many users',
  );
  const spread = [];
  for (let index = 0; index < 7; index += 1) {
    await endPauses(db.knex, world.realm.id, world.user.id);
    spread.push(await sendCode(occasionOf(world), codeBySms({ to: `+491512345670${index}` })));
  }
  t.deepEqual(
    spread.map(({ ok }) => ok),
    [true, true, true, true, true, false, false],
    'one user, many numbers',
  );
});

testOnEngines('the budget of a realm is spent once each, by a hundred at once too, and begins anew with the hour', async (t, db) => {
  const world = await deliveryWorld(db, { settings: { smsOtp: { realmPerHour: 7, realmPerDay: 9 } } });
  const sms = new WatchedChannel();
  const { sendCode } = deliveriesFor(world, { sms });
  const users = await furtherUsers(world, 40);
  const send = (now: number) => (user: (typeof users)[number], index: number) =>
    sendCode({ ...occasionOf(world, { now }), user }, codeBySms({ to: `+4915123456${String(100 + index)}` }));
  const first = await Promise.all(users.slice(0, 20).map(send(NOW)));
  t.is(first.filter(({ ok }) => ok).length, 7);
  t.true(first.every((answer) => answer.ok || answer.reason === 'budget'));
  const next = await Promise.all(users.slice(20).map(send(NOW + HOUR)));
  t.is(next.filter(({ ok }) => ok).length, 2, 'the day has two left');
  t.is(sms.sent.length, 9);
  const limits = await audited(world, 'delivery.budget');
  t.is(limits.length, 31);
  t.deepEqual(limits[0], { channel: 'sms', purpose: 'sign-in', limit: 'realm' });
  const counts = await db.knex('delivery_counts').where({ realm_id: world.realm.id }).whereNotNull('user_id');
  t.is(counts.length, 9, 'who was refused for the budget has spent nothing of their own');
});

testOnEngines('a number that the realm does not send to costs nothing (D02)', async (t, db) => {
  const world = await deliveryWorld(db, { settings: { smsOtp: { countries: ['DE', 'US'] } } });
  const sms = new WatchedChannel();
  const { sendCode } = deliveriesFor(world, { sms });
  for (const [to, reason] of [
    ['+491805123456', 'not-allowed'],
    ['+499001234567', 'not-allowed'],
    ['+19005550123', 'not-allowed'],
    ['+18765550123', 'not-allowed'],
    ['+18095550123', 'not-allowed'],
    ['+881623456789', 'not-allowed'],
    ['+870773111632', 'not-allowed'],
    ['+33612345678', 'not-allowed'],
    ['+4930123456', 'not-allowed'],
    ['+49', 'no-address'],
    ['', 'no-address'],
    ['+4915123456789;ext=1', 'no-address'],
  ] as const) {
    t.deepEqual(await sendCode(occasionOf(world), codeBySms({ to })), { ok: false, reason }, to);
  }
  t.deepEqual(sms.sent, []);
  t.deepEqual(await world.rows(), []);
  t.is((await audited(world, 'delivery.budget')).length, 9);
});

testOnEngines('a provider that fails or is too slow is said so, and the attempt counts', async (t, db) => {
  const world = await deliveryWorld(db);
  const sms = new WatchedChannel();
  sms.before = () => Promise.reject(new Error('a text that names +4915123456789'));
  const { sendCode } = deliveriesFor(world, { sms });
  t.deepEqual(await sendCode(occasionOf(world), codeBySms()), { ok: false, reason: 'failed' });
  const [row] = await world.rows();
  t.is(row?.failed_at, NOW);
  t.is(row?.last_error, 'fault');
  t.deepEqual(await audited(world, 'delivery.failed'), [{ channel: 'sms', purpose: 'sign-in', country: 'DE', reason: 'fault' }]);
  t.deepEqual(await sendCode(occasionOf(world), codeBySms()), { ok: false, reason: 'wait', retryAfterMs: MINUTE });
});

testOnEngines('where nothing is set up, production sends nothing', async (t, db) => {
  const world = await deliveryWorld(db);
  const { sendCode, channels } = deliveriesFor(world, { config: { production: true } });
  t.deepEqual(channels.in(world.realm.settings), { mail: false, sms: false });
  t.deepEqual(await sendCode(occasionOf(world), codeByMail()), { ok: false, reason: 'not-configured' });
  t.deepEqual(await world.rows(), []);
  const off = await deliveryWorld(db, { settings: { channels: { mail: 'off' } } });
  const inDevelopment = deliveriesFor(off);
  t.deepEqual(inDevelopment.channels.in(off.realm.settings), { mail: false, sms: true });
  t.deepEqual(await inDevelopment.sendCode(occasionOf(off), codeByMail()), { ok: false, reason: 'not-configured' });
});
