/** The chain of administrators' rows: it holds whatever is appended at once, and every way of tampering is told. */
import { randomUUID } from 'node:crypto';
import { setTimeout as pause } from 'node:timers/promises';
import test from 'ava';
import { forgetPerson, verifyAudit } from '../../../src/admin/resources/audit.ts';
import { audit, type Operator } from '../../../src/admin/resources/context.ts';
import { canonical, linked, numbersIn, rangesOf } from '../../../src/audit/chain.ts';
import type { AuditEvent } from '../../../src/audit/event.ts';
import { onRecorded, record } from '../../../src/audit/record.ts';
import { type ChainedRow, chainEnd, chainedRows, insertChainedRows } from '../../../src/store/audit.ts';
import { type Database, openDatabase } from '../../../src/store/database.ts';
import type { Queries } from '../../../src/store/rows.ts';
import { atEnd } from '../../support/cleanup.ts';
import { forEachEngine, testOnEngines } from '../../support/databases.ts';
import { quickHasher } from '../../support/factors.ts';
import { keyringOn } from '../../support/keyring.ts';
import fc from '../../support/property.ts';

const NOW = Date.UTC(2030, 0, 15, 12);
const ALICE = randomUUID();
const ERIN = randomUUID();

interface World {
  db: Database;
  realm: { id: string };
  operator: Operator;
}

/** A realm without anything in it, and an administrator. */
async function world(db: Database, realm: { id: string } = { id: randomUUID() }): Promise<World> {
  const row = { id: realm.id, name: `r-${realm.id}`, display_name: 'A realm', settings: '{}', root_secret: 'none', created_at: NOW, updated_at: NOW };
  await db.knex('realms').insert(row).onConflict('id').ignore();
  const from = { ip: '192.0.2.7', userAgent: 'Browser/1.0' };
  return { db, realm, operator: { db, keyring: keyringOn(db), passwords: quickHasher(), actor: ALICE, now: NOW, from } };
}

const note = ({ realm, operator }: World, event: AuditEvent, subject: string | null = null): Promise<void> =>
  audit(operator, { realmId: realm.id, subject }, event);

/** A chain of that many rows, every third about Erin. */
async function chainOf(db: Database, rows: number): Promise<World> {
  const made = await world(db);
  for (let n = 1; n <= rows; n += 1) {
    if (n % 3 === 0) await note(made, { type: 'user.created', details: { name: `erin-${n}` } }, ERIN);
    else await note(made, { type: 'group.created', details: { path: `/group-${n}` } });
  }
  return made;
}

const rowsOf = ({ db, realm }: World): Promise<ChainedRow[]> => chainedRows(db.knex, realm.id, { after: 0, until: 1_000_000, limit: 1_000_000 });

/** What the check finds: `kind row`. */
async function found(made: World): Promise<string[]> {
  const { breaks } = await verifyAudit(made.operator, made.realm);
  return breaks.map(({ kind, row }) => `${kind} ${row}`);
}

const change = (made: World, seq: number, change: object) => made.db.knex('audit_events').where({ realm_id: made.realm.id, seq }).update(change);

testOnEngines('rows of administrators follow one another, and others stand beside them', async (t, db) => {
  const made = await chainOf(db, 4);
  await record(db.knex, { realmId: made.realm.id, at: NOW, actor: ERIN, subject: ERIN }, { type: 'logout', details: { sessions: 1 } });
  const rows = await rowsOf(made);
  t.deepEqual(
    rows.map((row) => row.seq),
    [1, 2, 3, 4],
  );
  t.deepEqual(
    rows.map((row) => row.prev),
    ['', ...rows.slice(0, -1).map((row) => row.hash)],
  );
  t.like(rows[2], { actor: ALICE, subject: ERIN, ip: '192.0.2.7', userAgent: 'Browser/1.0', type: 'user.created' });
  t.false(JSON.stringify(rows.map((row) => [row.hash, row.digests])).includes('erin'));
  t.like(await verifyAudit(made.operator, made.realm), { ok: true, rows: 4, erased: 0, breaks: [] });
});

forEachEngine((engine) => {
  engine.test('whoever appends at once, in one process or two, finds a place of their own and nobody waits for ever', async (t) => {
    const settings = await engine.settings();
    const open = async (): Promise<Database> => {
      const db = await openDatabase(settings);
      atEnd(() => db.close());
      return db;
    };
    const here = await world(await open());
    const there = await world(await open(), here.realm);
    const other = await world(here.db);
    // All want one more row; some write it before they record and some after, and to the chains in both orders.
    const wanted = `wanted-${here.realm.id}`;
    await here.db.knex('installation').insert({ name: wanted, value: '' });
    const work = async ({ db, operator }: World, index: number): Promise<void> => {
      const write = (trx: Queries) =>
        trx('installation')
          .where({ name: wanted })
          .update({ value: String(index) });
      const recordIn = (trx: Queries, { realm }: World, type: 'group.created' | 'group.deleted') =>
        audit(operator, { realmId: realm.id }, { type, details: { path: `/g${index}` } }, trx);
      await db.transaction(async (trx) => {
        if (index % 2 === 0) await write(trx);
        for (const one of index % 2 === 0 ? [here, other] : [other, here]) await recordIn(trx, one, 'group.created');
        if (index % 2 === 1) await write(trx);
        await recordIn(trx, here, 'group.deleted');
      });
    };
    await Promise.all(Array.from({ length: 40 }, (_, index) => work(index % 3 === 0 ? there : here, index)));
    t.like(await verifyAudit(here.operator, here.realm), { ok: true, rows: 80, breaks: [] });
    t.like(await verifyAudit(here.operator, other.realm), { ok: true, rows: 40, breaks: [] });
  });

  engine.test('the check of a chain that grows meanwhile finds nothing', async (t) => {
    const made = await chainOf(await engine.database(), 3);
    let stop = false;
    const growing = (async () => {
      for (; !stop; await pause(1)) await note(made, { type: 'group.created', details: { path: '/more' } });
    })();
    for (let times = 0; times < 20; times += 1, await pause(5)) t.deepEqual((await verifyAudit(made.operator, made.realm)).breaks, []);
    stop = true;
    await growing;
  });
});

testOnEngines('a change that is taken back leaves no row, and is not counted', async (t, db) => {
  const made = await chainOf(db, 1);
  const told: string[] = [];
  const stop = onRecorded((event) => told.push(event.type === 'role.created' ? event.details.role : ''));
  const mark = randomUUID();
  const create = (role: string, fail: boolean) =>
    db.transaction(async (trx) => {
      await audit(made.operator, { realmId: made.realm.id }, { type: 'role.created', details: { role, client: null } }, trx);
      if (fail) throw new Error('changed my mind');
    });
  await t.throwsAsync(create(`lost ${mark}`, true), { message: 'changed my mind' });
  await create(`kept ${mark}`, false);
  await pause(10);
  stop();
  t.deepEqual(
    told.filter((role) => role.includes(mark)),
    [`kept ${mark}`],
  );
  t.is((await rowsOf(made)).length, 2);
  t.deepEqual(await found(made), []);
});

testOnEngines('a row that was changed is named, whatever was changed in it', async (t, db) => {
  const changes: [column: string, value: unknown][] = [
    ['at', NOW + 1],
    ['type', 'user.password-set'],
    ['actor', ERIN],
    ['actor', null],
    ['subject', ALICE],
    ['subject', null],
    ['client_id', 'another'],
    ['transaction_id', 'another'],
    ['ip', '192.0.2.8'],
    ['user_agent', null],
    ['factor', 'totp'],
    ['details', '{"name":"mallory"}'],
    ['details', '{}'],
    ['details', 'not JSON'],
    ['prev', 'x'],
    ['hash', 'x'],
    ['digests', '{}'],
    ['actor_salt', 'x'],
  ];
  for (const [column, value] of changes) {
    const made = await chainOf(db, 4);
    await change(made, 3, { [column]: value });
    t.true((await found(made)).includes('changed 3'), `${column} = ${value}: ${await found(made)}`);
  }
});

testOnEngines('a row that was made anew with all its hashes is named by the row that follows another one', async (t, db) => {
  const made = await chainOf(db, 5);
  const forged = await chainOf(db, 5);
  const [, , third] = await rowsOf(made);
  const theirs = (await rowsOf(forged))[2];
  if (!third || !theirs) throw new Error('There are five rows.');
  await made.db.knex('audit_events').where({ realm_id: made.realm.id, seq: 3 }).delete();
  await insertChainedRows(db.knex, [{ ...theirs, realmId: made.realm.id }]);
  t.true((await found(made)).includes('changed 3'));
});

testOnEngines('rows that were taken out, put in, moved or cut off are told apart', async (t, db) => {
  const knex = db.knex;
  const rowsAt = (made: World, from: number, to = from) => knex('audit_events').where({ realm_id: made.realm.id }).whereBetween('seq', [from, to]);
  const renumber = async (made: World, from: number, by: number): Promise<void> => {
    await rowsAt(made, from, 100).update({ seq: knex.raw('-(seq + ?)', [by]) });
    await knex('audit_events')
      .where({ realm_id: made.realm.id })
      .where('seq', '<', 0)
      .update({ seq: knex.raw('-seq') });
  };

  const removed = await chainOf(db, 6);
  await rowsAt(removed, 3, 4).delete();
  t.deepEqual(await found(removed), ['removed 3']);

  const first = await chainOf(db, 3);
  await rowsAt(first, 1).delete();
  t.deepEqual(await found(first), ['removed 1']);

  const closedUp = await chainOf(db, 6);
  await rowsAt(closedUp, 3).delete();
  await renumber(closedUp, 4, -1);
  t.deepEqual(await found(closedUp), ['removed 3', 'truncated 6']);

  const inserted = await chainOf(db, 6);
  const [, second] = await rowsOf(inserted);
  if (!second) throw new Error('There are six rows.');
  await renumber(inserted, 3, 1);
  await insertChainedRows(knex, [linked({ ...second, id: randomUUID() }, 3, second.hash)]);
  t.deepEqual(await found(inserted), ['inserted 3', 'inserted 7']);

  const moved = await chainOf(db, 6);
  await rowsAt(moved, 3).update({ seq: 1_000 });
  await rowsAt(moved, 5).update({ seq: 3 });
  await rowsAt(moved, 1_000).update({ seq: 5 });
  const movements = await found(moved);
  t.true(movements.length > 0 && movements.every((one) => one.startsWith('moved ')), String(movements));

  const cutOff = await chainOf(db, 6);
  await rowsAt(cutOff, 5, 6).delete();
  t.deepEqual(await found(cutOff), ['truncated 5']);

  const emptied = await chainOf(db, 2);
  await rowsAt(emptied, 1, 2).delete();
  t.deepEqual(await found(emptied), ['truncated 1']);

  const longer = await chainOf(db, 2);
  const [last] = await rowsAt(longer, 2);
  await knex('audit_events').insert({ ...last, id: randomUUID(), seq: 3 });
  t.deepEqual(await found(longer), ['inserted 3']);
});

testOnEngines('whoever can write to the database cannot write the end of the chain', async (t, db) => {
  const made = await chainOf(db, 5);
  const short = await chainOf(db, 3);
  const ends = db.knex('audit_chains').where({ realm_id: made.realm.id });
  const { head } = await chainEnd(db.knex, made.realm.id);
  const rows = await rowsOf(made);
  await db.knex('audit_events').where({ realm_id: made.realm.id }).where('seq', '>', 3).delete();

  await ends.clone().update({ count: 3, hash: rows[2]?.hash });
  t.deepEqual(await found(made), ['end 3'], 'an end of their own');
  const { head: theirs } = await chainEnd(db.knex, short.realm.id);
  await ends.clone().update({ ...theirs });
  t.true((await found(made)).includes('end 3'), "another realm's end");
  await ends.clone().delete();
  t.deepEqual(await found(made), ['end 3'], 'no end at all');
  await ends.clone().insert({ realm_id: made.realm.id, ...head });
  t.deepEqual(await found(made), ['truncated 4']);
});

testOnEngines('an old end that was put back is told by whoever has written down a later one', async (t, db) => {
  const made = await chainOf(db, 3);
  const { head: old } = await chainEnd(db.knex, made.realm.id);
  await note(made, { type: 'group.created', details: { path: '/treason' } });
  const { head: known } = await verifyAudit(made.operator, made.realm);
  if (!known) throw new Error('The chain has an end.');
  t.true((await verifyAudit(made.operator, made.realm, { known })).ok);

  await db.knex('audit_events').where({ realm_id: made.realm.id, seq: 4 }).delete();
  await db
    .knex('audit_chains')
    .where({ realm_id: made.realm.id })
    .update({ ...old });
  t.true((await verifyAudit(made.operator, made.realm)).ok, 'nothing in the database tells');
  const { breaks } = await verifyAudit(made.operator, made.realm, { known });
  t.like(breaks[0], { kind: 'truncated', row: 4 });
  t.like((await verifyAudit(made.operator, made.realm, { known: { count: 3, hash: known.hash } })).breaks[0], { kind: 'changed', row: 3 });
});

testOnEngines('a person is erased and the chain still holds, with a record of it', async (t, db) => {
  const made = await chainOf(db, 7);
  const origin = { realmId: made.realm.id, at: NOW, actor: ERIN, subject: ERIN, ip: '198.51.100.3' };
  await record(db.knex, origin, { type: 'logout', details: { sessions: 1 } });
  t.is(await forgetPerson(made.operator, made.realm, ERIN), 3);

  t.like(await verifyAudit(made.operator, made.realm), { ok: true, rows: 8, erased: 2, breaks: [] });
  const left = await db.knex('audit_events').where({ realm_id: made.realm.id });
  t.false(JSON.stringify(left).includes(ERIN) || JSON.stringify(left).includes('erin') || JSON.stringify(left).includes('198.51.100.3'));
  const rows = await rowsOf(made);
  t.like(rows[2], { subject: null, details: '{}', subjectSalt: null, actor: ALICE, ip: '192.0.2.7' });
  t.like(rows[7], { type: 'audit.erased', details: '{"rows":"3,6"}', subject: null });
  t.is(await forgetPerson(made.operator, made.realm, ERIN), 0, 'once');

  t.is(await forgetPerson(made.operator, made.realm, ALICE), 8, 'an administrator too, by her own hand');
  t.like(await verifyAudit(made.operator, made.realm), { ok: true, rows: 9, erased: 8, breaks: [] });
  t.false(JSON.stringify(await db.knex('audit_events').where({ realm_id: made.realm.id })).includes(ALICE));
  t.like((await rowsOf(made))[2], { actor: null, ip: null, userAgent: null, actorSalt: null });
});

testOnEngines('whoever erases a person without a record of it is told, and so is another name in the place', async (t, db) => {
  const made = await chainOf(db, 6);
  await change(made, 3, { subject: null, subject_salt: null, details: '{}' });
  t.deepEqual(await found(made), ['erased 3']);
  await change(made, 3, { subject: ALICE });
  t.deepEqual(await found(made), ['changed 3', 'erased 3']);
  await change(made, 3, { subject: null, details: '{"name":"mallory"}' });
  t.deepEqual(await found(made), ['changed 3', 'erased 3']);
});

testOnEngines('random tampering never goes unnoticed', async (t, db) => {
  const tampering = fc.oneof(
    fc.record({ how: fc.constant('delete' as const), seq: fc.integer({ min: 1, max: 7 }) }),
    fc.record({ how: fc.constant('swap' as const), seq: fc.integer({ min: 1, max: 6 }) }),
    fc.record({
      how: fc.constantFrom('actor', 'subject', 'ip', 'user_agent', 'client_id', 'transaction_id', 'type', 'details', 'prev', 'hash', 'digests'),
      seq: fc.integer({ min: 1, max: 7 }),
      value: fc.string({ minLength: 1, maxLength: 8 }).map((text) => text.replaceAll('\0', ' ')),
    }),
  );
  await fc.assert(
    fc.asyncProperty(fc.array(tampering, { minLength: 1, maxLength: 3 }), async (steps) => {
      const made = await chainOf(db, 7);
      const whole = JSON.stringify(await rowsOf(made));
      const at = (seq: number) => db.knex('audit_events').where({ realm_id: made.realm.id, seq });
      for (const step of steps) {
        if (step.how === 'delete') await at(step.seq).delete();
        else if (step.how === 'swap') {
          await at(step.seq).update({ seq: 1_000 });
          await at(step.seq + 1).update({ seq: step.seq });
          await at(1_000).update({ seq: step.seq + 1 });
        } else await at(step.seq).update({ [step.how]: 'value' in step ? step.value : '' });
      }
      const same = JSON.stringify(await rowsOf(made)) === whole;
      t.is((await found(made)).length === 0, same);
    }),
    { numRuns: 25 },
  );
});

test('the same content is always written alike', (t) => {
  t.is(canonical({ b: 1, a: [{ d: null, c: 'x' }] }), canonical({ a: [{ c: 'x', d: null }], b: 1 }));
  t.not(canonical({ a: '1' }), canonical({ a: 1 }));
  fc.assert(fc.property(fc.jsonValue(), (value) => canonical(JSON.parse(JSON.stringify(value))) === canonical(JSON.parse(canonical(value)))));
});

test('numbers of rows are written as ranges and read again', (t) => {
  t.is(rangesOf([7, 1, 2, 3, 9]), '1-3,7,9');
  t.is(rangesOf([]), '');
  for (const nonsense of ['', 'x', '1-', '1,,2', '-3', '1;2']) t.deepEqual(numbersIn(nonsense), []);
  t.true(numbersIn('1-999999999999').length < 100_000, 'a forged record does not take the memory');
  fc.assert(
    fc.property(fc.uniqueArray(fc.integer({ min: 1, max: 500 })), (numbers) => {
      t.deepEqual(
        numbersIn(rangesOf(numbers)),
        [...numbers].sort((a, b) => a - b),
      );
    }),
  );
});
