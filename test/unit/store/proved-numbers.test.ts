import { proveNumber } from '../../../src/store/proved-numbers.ts';
import { testOnEngines } from '../../support/databases.ts';
import { deliveryWorld, DELIVERY_NOW as NOW } from '../../support/delivery.ts';

const WAIT = 72 * 3_600_000;

testOnEngines('the first number of a user is good at once, every other one waits, and each keeps its time', async (t, db) => {
  const { realm, user } = await deliveryWorld(db);
  const prove = (number: string, now: number) => proveNumber(db.knex, { realmId: realm.id, userId: user.id, number }, { now, waitMs: WAIT });
  t.is(await prove('first', NOW), NOW);
  t.is(await prove('first', NOW + 10), NOW, 'proved again, it is as good as before');
  t.is(await prove('second', NOW + 20), NOW + 20 + WAIT);
  t.is(await prove('second', NOW + 30), NOW + 20 + WAIT, 'proving it again shortens nothing');
  t.is(await prove('third', NOW + 40), NOW + 40 + WAIT);
  t.is(await prove('first', NOW + 50), NOW, 'the way back is open');

  const other = await deliveryWorld(db);
  const elsewhere = { realmId: other.realm.id, userId: other.user.id, number: 'second' };
  t.is(await proveNumber(db.knex, elsewhere, { now: NOW, waitMs: WAIT }), NOW, 'somebody else’s numbers do not count');
  await db.knex('users').where({ realm_id: realm.id, id: user.id }).delete();
  t.deepEqual(await db.knex('proved_numbers').where({ realm_id: realm.id }), []);
});
