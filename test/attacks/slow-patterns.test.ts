/**
 * Texts that others write, made so that a pattern which goes back over them would take seconds in which nobody is answered:
 * what they cost grows with their length, and no faster.
 */
import test from 'ava';
import { attributesOf } from '../../src/admin/rest/users.ts';
import { readGatePath } from '../../src/policy/gate-paths.ts';
import { parseName } from '../../src/realms/distinguished-names.ts';
import { cookieNames } from '../../src/sessions/cookies.ts';

/** As much as Node takes of all headers of a request. */
const MOST = 16_000;
const ROUNDS = 20;
/** Of this process's own time, in milliseconds: for what takes a few, whatever else the machine does meanwhile. Going back takes many times as much. */
const ENOUGH_MS = 500;

function takes(work: () => void): number {
  const before = process.cpuUsage();
  for (let round = 0; round < ROUNDS; round += 1) work();
  const { user, system } = process.cpuUsage(before);
  return (user + system) / 1000;
}

test('the Cookie header of anybody', (t) => {
  for (const header of ['a'.repeat(MOST), 'a '.repeat(MOST / 2), ';'.repeat(MOST), '"&'.repeat(MOST / 2)]) {
    t.true(takes(() => cookieNames(header)) < ENOUGH_MS, header.slice(0, 4));
    t.deepEqual(cookieNames(`${header}; b=1`).at(-1), 'b');
  }
  t.deepEqual(cookieNames('a=1; b=c=d;  e ; =f'), ['a', 'b', 'e', '']);
  t.deepEqual(cookieNames(undefined), ['']);
});

test('a path at a gate', (t) => {
  // Three dots each, when it is folded.
  for (const inner of ['…', '. ', '.', '\u00a0']) {
    const path = `/${inner.repeat(4_000 / inner.length)}x`;
    t.true(takes(() => readGatePath(path)) < ENOUGH_MS, inner);
    t.not(readGatePath(path), undefined);
  }
  t.is(readGatePath('/admin. . /x..')?.folded, '/admin/x');
});

test('what administrators look for in attributes', (t) => {
  for (const q of ['a'.repeat(MOST), '"'.repeat(MOST), '%20'.repeat(MOST / 4), 'a"'.repeat(MOST / 2)])
    t.true(takes(() => attributesOf(q)) < ENOUGH_MS, q.slice(0, 4));
  t.deepEqual(attributesOf('team:blue "job title":"team lead" x y:z:w'), [
    ['team', 'blue'],
    ['job title', 'team lead'],
    ['y', 'z:w'],
  ]);
});

test('the name of a certificate that a client registers', (t) => {
  for (const spaces of [' '.repeat(MOST), `\\ ${' '.repeat(MOST)}`]) {
    const name = `CN=a${spaces}x`;
    t.true(takes(() => parseName(name)) < ENOUGH_MS);
  }
  t.deepEqual(parseName('CN= a\\   '), [{ type: 'CN', value: 'a ' }]);
  t.deepEqual(parseName('CN=a b  '), [{ type: 'CN', value: 'a b' }]);
});
