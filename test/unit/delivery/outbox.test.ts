import { randomBytes } from 'node:crypto';
import test from 'ava';
import { createRealm } from '../../../src/admin/resources/realms.ts';
import { createUser } from '../../../src/admin/resources/users.ts';
import { oneLine } from '../../../src/delivery/channel.ts';
import { readInbox } from '../../../src/delivery/inbox.ts';
import { createNotices } from '../../../src/delivery/notices.ts';
import { enqueueMail, openMessage } from '../../../src/delivery/outbox.ts';
import type { Database } from '../../../src/store/database.ts';
import { newestMessages } from '../../../src/store/outbox.ts';
import { testOnEngines } from '../../support/databases.ts';
import { quickHasher } from '../../support/factors.ts';
import { keyringOn } from '../../support/keyring.ts';

const NOW = Date.UTC(2027, 0, 4, 9, 30);
const origin = 'https://id.example.com';

async function world(db: Database, displayName = 'Acme') {
  const keyring = keyringOn(db);
  const operator = { db, keyring, passwords: quickHasher(), actor: 'test', now: NOW };
  const realm = await createRealm(operator, { name: `delivery-${randomBytes(3).toString('hex')}`, displayName });
  const user = await createUser(operator, realm, { username: 'ada', email: 'ada@example.com', firstName: 'Ada' });
  const mine = async () => (await newestMessages(db.knex, 50)).filter((row) => row.realmId === realm.id);
  return { keyring, operator, realm, user, mine };
}

testOnEngines('a mail is stored only with the transaction that it belongs to, and sealed', async (t, db) => {
  const { keyring, realm, mine } = await world(db);
  const mail = { realmId: realm.id, to: 'ada@example.com', subject: 'Hello', text: 'A secret of ours' };
  const store = await enqueueMail(keyring, mail, NOW);
  t.deepEqual(await mine(), []);
  await t.throwsAsync(
    db.transaction(async (trx) => {
      await store(trx);
      throw new Error('the change failed');
    }),
  );
  t.deepEqual(await mine(), []);

  await db.transaction(store);
  const [row] = await mine();
  t.truthy(row);
  if (!row) return;
  t.false(JSON.stringify(row).includes('secret'));
  t.deepEqual(await openMessage(keyring, row), { to: 'ada@example.com', subject: 'Hello', text: 'A secret of ours' });
  await t.throwsAsync(openMessage(keyring, { ...row, id: 'another-row' }), { code: 'corrupted' });
});

testOnEngines('a subject and an address are one line, whatever was typed', async (t, db) => {
  const { keyring, realm, mine } = await world(db);
  const mail = { realmId: realm.id, to: 'ada@example.com', subject: 'Hello\r\nBcc: eve@example.com\u202e', text: 'x' };
  await db.transaction(await enqueueMail(keyring, mail, NOW));
  const [row] = await mine();
  t.is(row && (await openMessage(keyring, row)).subject, 'Hello Bcc: eve@example.com');
  for (const to of [
    'ada@example.com\nBcc: eve@example.com',
    'ada@example.com, eve@example.com',
    'Ada <ada@example.com>',
    `${'a'.repeat(250)}@example.com`,
  ]) {
    await t.throwsAsync(enqueueMail(keyring, { ...mail, to }, NOW), { code: 'bad_input' }, to);
  }
});

testOnEngines('a user is told of a method that was added or removed, and what to do about it', async (t, db) => {
  const { keyring, user, realm, mine } = await world(db, 'Acme\r\nWorkshop');
  const notices = createNotices({ db, keyring, origin, deliverable: true });
  await db.transaction(await notices.tellOfNewFactor(user, 'Authenticator app', NOW));
  await db.transaction(await notices.tellOfRemovedFactor(user, { name: 'Authenticator app', label: 'Phone\nAccount: root' }, NOW + 1));

  const [removed, added] = await Promise.all((await mine()).map((row) => openMessage(keyring, row)));
  t.is(added?.to, 'ada@example.com');
  t.is(added?.subject, 'A sign-in method was added to your account');
  for (const said of [
    'Hello Ada,',
    'at Acme Workshop.',
    'Authenticator app',
    'Monday',
    '4 January 2027',
    '09:30 UTC',
    `${origin}/realms/${realm.name}/account`,
    'If it was not you',
  ]) {
    t.true(added?.text.includes(said), said);
  }
  t.is(removed?.subject, 'A sign-in method was removed from your account');
  t.true(removed?.text.includes('“Phone Account: root”'), 'a name cannot begin a line of its own');
});

testOnEngines('nobody is told without an address, or where nothing would deliver it', async (t, db) => {
  const { keyring, user, mine } = await world(db);
  const tell = (deliverable: boolean, email: string | null) =>
    createNotices({ db, keyring, origin, deliverable }).tellOfNewFactor({ ...user, email }, 'Authenticator app', NOW);
  await db.transaction(await tell(false, 'ada@example.com'));
  await db.transaction(await tell(true, null));
  t.deepEqual(await mine(), []);
});

testOnEngines('the development inbox shows the newest first', async (t, db) => {
  const { keyring, realm } = await world(db);
  const mail = { realmId: realm.id, to: 'ada@example.com', text: 'x' };
  await db.transaction(await enqueueMail(keyring, { ...mail, subject: 'older' }, NOW + 3_600_000));
  await db.transaction(await enqueueMail(keyring, { ...mail, subject: 'newer' }, NOW + 3_600_001));
  const messages = await readInbox({ db, keyring });
  t.deepEqual(
    messages.slice(0, 2).map(({ subject }) => subject),
    ['newer', 'older'],
  );
  t.deepEqual({ ...messages[0] }, { at: '2027-01-04T10:30:00.001Z', channel: 'email', to: 'ada@example.com', subject: 'newer', text: 'x' });
});

test('one line of text has no breaks and turns no writing around', (t) => {
  t.is(oneLine('  a\r\n\tb\u0000c\u2028d \u202e e '), 'a b c d e');
  t.is(oneLine('Zoë مكتبة 東京'), 'Zoë مكتبة 東京');
});
