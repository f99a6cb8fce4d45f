import test from 'ava';
import { oneLine } from '../../../src/delivery/channel.ts';
import { readInbox } from '../../../src/delivery/inbox.ts';
import { enqueue, openMessage, type Parcel } from '../../../src/delivery/outbox.ts';
import { testOnEngines } from '../../support/databases.ts';
import { deliveryWorld, DELIVERY_NOW as NOW } from '../../support/delivery.ts';

const parcel = (realmId: string, subject = 'Hello'): Parcel => ({
  realmId,
  userId: null,
  kind: 'mail',
  payload: { to: 'ada@example.com', from: 'Acme', subject, text: 'A secret of ours', html: null },
});

testOnEngines('a message is stored only with the transaction that it belongs to, and sealed', async (t, db) => {
  const world = await deliveryWorld(db);
  const { keyring, realm, mine } = world;
  const tell = await enqueue(world, [parcel(realm.id)], NOW);
  t.deepEqual(await mine(), []);
  await t.throwsAsync(
    db.transaction(async (trx) => {
      await tell(trx);
      throw new Error('the change failed');
    }),
  );
  t.deepEqual(await mine(), []);

  await db.transaction(tell);
  const [row] = await mine();
  t.truthy(row);
  if (!row) return;
  t.false(JSON.stringify(row).includes('secret'));
  t.deepEqual(await openMessage(keyring, row), parcel(realm.id).payload);
  await t.throwsAsync(openMessage(keyring, { ...row, id: 'another-row' }), { code: 'corrupted' });
});

testOnEngines('the development inbox shows the newest first', async (t, db) => {
  const world = await deliveryWorld(db);
  await db.transaction(await enqueue(world, [parcel(world.realm.id, 'older')], NOW + 3_600_000));
  await db.transaction(await enqueue(world, [parcel(world.realm.id, 'newer')], NOW + 3_600_001));
  const messages = await readInbox(world);
  t.deepEqual(
    messages.slice(0, 2).map(({ subject }) => subject),
    ['newer', 'older'],
  );
  t.deepEqual(
    { ...messages[0] },
    { at: '2027-01-04T10:30:00.001Z', channel: 'email', to: 'ada@example.com', subject: 'newer', text: 'A secret of ours' },
  );
});

test('one line of text has no breaks and turns no writing around', (t) => {
  t.is(oneLine('  a\r\n\tb\u0000c\u2028d \u202e e '), 'a b c d e');
  t.is(oneLine('Zoë مكتبة 東京'), 'Zoë مكتبة 東京');
});
