import { randomUUID } from 'node:crypto';
import { say } from '../../../src/languages/messages.ts';
import { credentialSeal, insertCredential } from '../../../src/store/credentials.ts';
import { testOnEngines } from '../../support/databases.ts';
import { type DeliveryWorld, deliveryWorld, DELIVERY_NOW as NOW, ORIGIN } from '../../support/delivery.ts';

async function giveNumber({ db, keyring, user }: DeliveryWorld, number: string): Promise<void> {
  const key = { realmId: user.realmId, userId: user.id, id: randomUUID() };
  const secret = await keyring.seal(credentialSeal(key), JSON.stringify({ number, usableFrom: NOW }));
  const rest = { label: '', counter: null, enabled: true, level: null, lookup: null, createdAt: NOW, lastUsedAt: null };
  await insertCredential(db.knex, { ...key, factor: 'sms-otp', secret, ...rest });
}

testOnEngines('a user is told of a method that was added or removed, and what to do about it', async (t, db) => {
  const world = await deliveryWorld(db, { displayName: 'Acme\r\nWorkshop' });
  const { user, realm } = world;
  const notices = world.notices();
  await db.transaction(await notices.tell(user, { kind: 'methodAdded', method: 'Authenticator app' }, NOW));
  await db.transaction(await notices.tell(user, { kind: 'methodRemoved', method: 'Authenticator app', label: 'Phone\nAccount: root' }, NOW + 1));

  const [removed, added] = await world.opened();
  t.is(added?.to, 'ada@example.com');
  t.is(added?.from, 'Acme Workshop');
  t.is(added?.subject, 'A sign-in method was added to your account');
  for (const said of [
    'Hello Ada,',
    'at Acme Workshop.',
    'Authenticator app',
    'Monday',
    '4 January 2027',
    '09:30 UTC',
    `${ORIGIN}/realms/${realm.name}/account`,
    'If it was not you',
  ]) {
    t.true(added?.text.includes(said), said);
    t.true(added?.html?.includes(said), `${said} in HTML`);
  }
  t.is(removed?.subject, 'A sign-in method was removed from your account');
  t.true(removed?.text.includes('“Phone Account: root”'), 'a name cannot begin a line of its own');
});

testOnEngines('what somebody chose is markup nowhere', async (t, db) => {
  const world = await deliveryWorld(db, { displayName: '<b>Acme</b>' });
  const user = { ...world.user, firstName: '<script>alert(1)</script>', username: '"><img src=x>' };
  await db.transaction(await world.notices().tell(user, { kind: 'methodRemoved', method: 'App', label: '<a href=//evil.example>x</a>' }, NOW));
  const [mail] = await world.opened();
  t.regex(mail?.html ?? '', /&lt;script&gt;/);
  t.notRegex(mail?.html ?? '', /<script|<img|<b>|evil\.example>/);
  t.deepEqual(
    [...(mail?.html ?? '').matchAll(/(?:href|src)="([^"]*)"/g)].map(([, address]) => address),
    [`${ORIGIN}/realms/${world.realm.name}/account`],
    'the one link is ours',
  );
});

testOnEngines('a user with a proved number is told there too, and a text message costs the budget of the realm', async (t, db) => {
  const world = await deliveryWorld(db, { settings: { smsOtp: { realmPerHour: 2 } } });
  await giveNumber(world, '+4915123456789');
  for (const at of [NOW, NOW + 1, NOW + 2]) await db.transaction(await world.notices().tell(world.user, { kind: 'passwordChanged' }, at));
  const told = await world.opened();
  t.is(told.filter(({ to }) => to === 'ada@example.com').length, 3, 'a mail costs nothing');
  const messages = told.filter(({ to }) => to === '+4915123456789');
  t.is(messages.length, 2);
  t.is(messages[0]?.text, 'Acme: Your password was changed (ada). Not you? Tell your administrator at once.');
  const limits: { details: string }[] = await db.knex('audit_events').where({ realm_id: world.realm.id, type: 'delivery.budget' });
  t.deepEqual(
    limits.map(({ details }) => JSON.parse(details)),
    [{ channel: 'sms', purpose: 'notice', limit: 'realm' }],
  );
});

testOnEngines('a number where the realm does not send is left alone, and one that does not open stops nothing', async (t, db) => {
  const world = await deliveryWorld(db);
  await giveNumber(world, '+18765550123');
  await giveNumber(world, '+4915123456789');
  await db.knex('credentials').where({ realm_id: world.realm.id, factor: 'sms-otp' }).orderBy('created_at').limit(1).first();
  const [first] = await db.knex('credentials').where({ realm_id: world.realm.id, factor: 'sms-otp' });
  await db.knex('credentials').where({ realm_id: world.realm.id }).whereNot({ id: first.id, factor: 'password' }).update({ secret: first.secret });
  await db.transaction(await world.notices().tell(world.user, { kind: 'passwordChanged' }, NOW));
  t.deepEqual(
    (await world.opened()).map(({ to }) => to).filter((to) => to === '+18765550123'),
    [],
  );
});

testOnEngines('everything there is to tell has its words in the language of the user', async (t, db) => {
  const world = await deliveryWorld(db);
  await db.knex('user_attributes').insert({
    ...{ realm_id: world.realm.id, user_id: world.user.id, name: 'locale', position: 0, value: 'de-AT', value_key: 'de-at' },
  });
  const notices = world.notices();
  for (const notice of [
    { kind: 'methodAdded', method: say('factor.totp.name') },
    { kind: 'methodChanged', method: 'x' },
    { kind: 'methodDisabled', method: 'x' },
    { kind: 'numberChanged', waitMs: 72 * 3_600_000 },
    { kind: 'passwordChanged' },
    { kind: 'passwordReset' },
    { kind: 'recoveryMade' },
    { kind: 'passIssued' },
    { kind: 'passUsed' },
    { kind: 'recoveryUsed', left: 1 },
    { kind: 'newDevice', device: 'Firefox', address: '192.0.2.1' },
  ] as const) {
    await db.transaction(await notices.tell(world.user, notice, NOW));
    const mail = (await world.opened()).find(({ text }) => text.includes('Guten Tag Ada,'));
    t.truthy(mail, notice.kind);
    t.notRegex(mail?.text ?? '', /mail\.|\{\{|If /, notice.kind);
    await db.knex('outbox').where({ realm_id: world.realm.id }).delete();
  }
});

testOnEngines('nobody is told without an address that a mail can be sent to, or where nothing would deliver it', async (t, db) => {
  const world = await deliveryWorld(db);
  const tell = async (mail: boolean, email: string | null) =>
    db.transaction(
      await world
        .notices({ channels: () => ({ mail, sms: false }) })
        .tell({ ...world.user, email }, { kind: 'methodAdded', method: 'Authenticator app' }, NOW),
    );
  await tell(false, 'ada@example.com');
  await tell(true, null);
  for (const to of [
    'ada@example.com\nBcc: eve@example.com',
    'ada@example.com, eve@example.com',
    'Ada <ada@example.com>',
    '"ada eve"@example.com',
    `${'a'.repeat(250)}@example.com`,
  ]) {
    await tell(true, to);
  }
  t.deepEqual(await world.mine(), []);
});
