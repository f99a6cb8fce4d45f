/** The accounts that realms send by: whole, sealed, never shown, and in use at once. */

import type { Operator } from '../../../src/admin/resources/context.ts';
import { removeAccount, setMail, setSms, showMail, showSms, testMail, testSms } from '../../../src/admin/resources/delivery.ts';
import { AppError } from '../../../src/errors.ts';
import { realmById } from '../../../src/store/realms.ts';
import { testOnEngines } from '../../support/databases.ts';
import { type DeliveryWorld, deliveriesFor, deliveryWorld, DELIVERY_NOW as NOW, WatchedChannel } from '../../support/delivery.ts';
import { MAIL_LOGIN, startMailServer } from '../../support/mail-server.ts';

const TOKEN = '0123456789abcdef0123456789abcdef';
const SID = `AC${'0a'.repeat(16)}`;

const current = async ({ db, realm }: DeliveryWorld) => (await realmById(db.knex, realm.id)) ?? realm;
const at = (world: DeliveryWorld, now = NOW): Operator => ({ ...world.operator, now });
const audited = async ({ db, realm }: DeliveryWorld) =>
  (await db.knex('audit_events').where({ realm_id: realm.id }).where('type', 'like', 'delivery.%').orderBy('at')).map((row) => [
    row.type,
    JSON.parse(row.details),
  ]);

testOnEngines('a realm sends mail by a server of its own from the next message on, and by the installation’s again', async (t, db) => {
  const world = await deliveryWorld(db, { displayName: 'Acme' });
  const [installations, first, second] = await Promise.all([
    startMailServer(),
    startMailServer({ disabledCommands: ['STARTTLS'], allowInsecureAuth: true, authOptional: false }),
    startMailServer(),
  ]);
  const deliveries = deliveriesFor(world, { config: { mail: installations.account(), production: true } });
  const own = { host: 'localhost', from: 'Acme <post@acme.example>', tls: 'off' as const };
  await testMail(at(world), await current(world), 'ada@example.com', deliveries);

  await setMail(at(world, NOW + 1), await current(world), { ...own, port: first.port, login: MAIL_LOGIN, replyTo: 'help@acme.example' });
  await testMail(at(world, NOW + 2), await current(world), 'ada@example.com', deliveries);
  await setMail(at(world, NOW + 3), await current(world), { ...own, port: second.port });
  await testMail(at(world, NOW + 4), await current(world), 'ada@example.com', deliveries);
  await removeAccount(at(world, NOW + 5), await current(world), 'mail');
  await testMail(at(world, NOW + 6), await current(world), 'ada@example.com', deliveries);

  t.deepEqual([installations.mails.length, first.mails.length, second.mails.length], [2, 1, 1]);
  t.is(first.mails[0]?.user, MAIL_LOGIN.user);
  t.is(first.mails[0]?.from, 'post@acme.example');
  t.deepEqual(first.mails[0]?.headers.get('reply-to'), ['help@acme.example']);
  t.deepEqual(first.mails[0]?.headers.get('subject'), ['A test of mail from Acme']);
  t.deepEqual(await db.knex('delivery_accounts').where({ realm_id: world.realm.id }), []);
  t.deepEqual(await audited(world), [
    ['delivery.sent', { channel: 'mail', purpose: 'test' }],
    ['delivery.account-set', { channel: 'mail', at: `localhost:${first.port}` }],
    ['delivery.sent', { channel: 'mail', purpose: 'test' }],
    ['delivery.account-set', { channel: 'mail', at: `localhost:${second.port}` }],
    ['delivery.sent', { channel: 'mail', purpose: 'test' }],
    ['delivery.account-removed', { channel: 'mail' }],
    ['delivery.sent', { channel: 'mail', purpose: 'test' }],
  ]);
  await deliveries.close();
});

testOnEngines('what is stored is sealed to its realm, and what is shown has no secret', async (t, db) => {
  const world = await deliveryWorld(db);
  const other = await deliveryWorld(db);
  const { channels } = deliveriesFor(world);
  await setMail(at(world), world.realm, {
    host: 'SMTP.example.com',
    login: { user: 'post', password: 'hunter2 hunter2' },
    from: 'no-reply@example.com',
  });
  await setSms(at(world), await current(world), { accountSid: SID, authToken: TOKEN, from: '+15005550006' });
  const realm = await current(world);
  t.deepEqual(await showMail(at(world), realm, channels), {
    source: 'realm',
    available: true,
    account: {
      host: 'smtp.example.com',
      port: 587,
      tls: 'required',
      from: { name: null, address: 'no-reply@example.com' },
      replyTo: null,
      user: 'post',
      ownCertificates: false,
    },
  });
  t.deepEqual(await showSms(at(world), realm, channels), {
    source: 'realm',
    available: true,
    account: { accountSid: SID, sender: { from: '+15005550006' } },
  });
  const rows = await db.knex('delivery_accounts').where({ realm_id: world.realm.id });
  const everything = JSON.stringify([rows, await audited(world), await db.knex('realms').where({ id: world.realm.id })]);
  for (const secret of ['hunter2', TOKEN, 'post"']) t.false(everything.includes(secret), secret);

  await db.knex('delivery_accounts').insert({ ...rows.find((row) => row.channel === 'mail'), realm_id: other.realm.id });
  await t.throwsAsync(showMail(at(other), other.realm, channels), { code: 'corrupted' });
});

testOnEngines('what cannot be is refused, field by field, and nothing of it is kept', async (t, db) => {
  const world = await deliveryWorld(db);
  const good = { host: 'smtp.example.com', from: 'no-reply@example.com' };
  for (const [input, field] of [
    [{ ...good, host: 'smtp.example.com/path' }, 'host'],
    [{ ...good, host: 'user@smtp.example.com' }, 'host'],
    [{ ...good, host: 'a\r\nb' }, 'host'],
    [{ ...good, port: 0 }, 'port'],
    [{ ...good, port: 70_000 }, 'port'],
    [{ ...good, from: 'Example' }, 'from'],
    [{ ...good, from: 'a@b.example\r\nBcc: c@d.example' }, 'from'],
    [{ ...good, login: { user: 'post', password: '' } }, 'login.password'],
    [{ ...good, ca: 'not a certificate' }, 'ca'],
  ] as const) {
    const error = await t.throwsAsync(setMail(at(world), world.realm, input), { code: 'bad_input' });
    t.is(error instanceof AppError && error.field, field);
  }
  for (const input of [
    { accountSid: 'AC1', authToken: TOKEN, from: '+15005550006' },
    { accountSid: SID, authToken: 'short', from: '+15005550006' },
    { accountSid: SID, authToken: TOKEN, from: 'A name that is too long' },
    { accountSid: SID, authToken: TOKEN },
    { accountSid: SID, authToken: TOKEN, from: '+15005550006', messagingService: `MG${'0'.repeat(32)}` },
  ]) {
    const error = await t.throwsAsync(setSms(at(world), world.realm, input), { code: 'bad_input' });
    t.false(error?.message.includes(TOKEN));
  }
  await t.throwsAsync(removeAccount(at(world), world.realm, 'mail'), { code: 'conflict' });
  t.deepEqual(await db.knex('delivery_accounts').where({ realm_id: world.realm.id }), []);
  t.deepEqual((await current(world)).settings.channels, { mail: 'installation', sms: 'installation' });
});

testOnEngines('a test says what became of it, and counts', async (t, db) => {
  const world = await deliveryWorld(db, { settings: { smsOtp: { realmPerHour: 2 } } });
  const sms = new WatchedChannel();
  const deliveries = deliveriesFor(world, { sms });
  await testSms(at(world), world.realm, '+49 151 23456789', deliveries);
  t.is(sms.sent[0]?.text, 'Acme can send text messages. Somebody who administers it asked for this one.');
  for (const to of ['+491805123456', '+18765550123', 'ada@example.com']) {
    await t.throwsAsync(testSms(at(world), world.realm, to, deliveries), { code: 'bad_input' }, to);
  }
  await t.throwsAsync(testMail(at(world), world.realm, 'ada@example.com, eve@example.com', deliveries), { code: 'bad_input' });
  sms.before = () => Promise.reject(new Error('+4915123456789 is unknown'));
  const error = await t.throwsAsync(testSms(at(world), world.realm, '+49 151 23456789', deliveries), { code: 'not_delivered' });
  t.is(error?.message, 'It was not taken over: fault.');
  await t.throwsAsync(testSms(at(world), world.realm, '+49 151 23456789', deliveries), { code: 'too_many_attempts' });
  t.deepEqual(
    (await audited(world)).map(([type]) => type),
    ['delivery.sent', 'delivery.failed'],
  );
  const nothing = deliveriesFor(world, { config: { production: true } });
  await t.throwsAsync(testMail(at(world), world.realm, 'ada@example.com', nothing), { code: 'conflict' });
});
