/** Whatever is sealed is known to the rotation of data keys: a column that is not would lose its values with the old key. */
import { readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import test from 'ava';
import { columnName, countOutdated, outdatedValues, SEALED_COLUMNS } from '../../../src/store/sealed-columns.ts';
import { testOnEngines } from '../../support/databases.ts';
import { isKnownPlace } from '../../support/keyring.ts';

const root = fileURLToPath(new URL('../../../', import.meta.url));
const files = readdirSync(`${root}src`, { recursive: true, encoding: 'utf8' }).filter((name) => name.endsWith('.ts'));

/** Places that are written in a file: literals with a purpose and a column. */
const placesIn = (text: string): { purpose: string; column: string }[] =>
  [...text.matchAll(/\{[^{}]*\bpurpose: '([^']+)'[^{}]*\bcolumn: '([^']+)'[^{}]*\}/g)].map(([, purpose = '', column = '']) => ({ purpose, column }));

/** What is sealed and not stored: a cookie of our consoles, with a key of its own. */
const NOT_STORED = ['console-login'];

test('every place that src/ seals for is in the list', (t) => {
  const places = files.flatMap((file) => placesIn(readFileSync(`${root}src/${file}`, 'utf8')));
  t.true(places.length >= SEALED_COLUMNS.length, 'the pattern finds them');
  const unknown = places.filter((place) => !NOT_STORED.includes(place.purpose) && !isKnownPlace(place));
  t.deepEqual(unknown, []);
  t.deepEqual(placesIn(`const seal = (row) => ({\n  purpose: 'new',\n  realm: row.realmId,\n  column: 'thing',\n});`), [
    { purpose: 'new', column: 'thing' },
  ]);
  t.false(isKnownPlace({ purpose: 'new', column: 'thing' }), 'one that nobody has listed would be found');
});

test('nothing is sealed but for a place that has a name', (t) => {
  const calls = files.flatMap((file) =>
    [...readFileSync(`${root}src/${file}`, 'utf8').matchAll(/keyring\.seal\((\w+)(.)/g)].map((call) => ({ file, call })),
  );
  t.true(calls.length > 5);
  for (const { file, call } of calls) t.true(call[1] === 'value' || (call[1]?.endsWith('Seal') && call[2] === '('), `${file}: ${call[0]}`);
});

testOnEngines('every listed column is there, and bound to its row', async (t, db) => {
  for (const column of SEALED_COLUMNS) {
    t.is(await countOutdated(db.knex, column, 'no-realm', 'no-key'), 0, columnName(column));
    t.deepEqual(await outdatedValues(db.knex, column, 'no-realm', 'no-key', { after: 'a', limit: 1 }), []);
    const also = Object.fromEntries((column.also ?? []).map((name) => [name, 'x']));
    const [one, other] = ['a', 'b'].map((realmId) => column.place({ realmId, key: 'k', also }));
    t.is(one?.column, column.column);
    t.not(one?.realm, other?.realm);
    if (column.realm === undefined) t.not(one?.row, column.place({ realmId: 'a', key: 'l', also }).row, columnName(column));
  }
});
