/** The rules of the house hold in every file under src/, and the checker of them can fail. */
import { readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import test from 'ava';
import { importsOf, roomsKnown, violations } from './support/architecture.ts';

const root = fileURLToPath(new URL('..', import.meta.url));
const files = readdirSync(`${root}src`, { recursive: true, encoding: 'utf8' })
  .filter((name) => name.endsWith('.ts'))
  .map((name) => `src/${name.replaceAll('\\', '/')}`)
  .sort();
const textOf = (file: string): string => readFileSync(`${root}${file}`, 'utf8');

test('there are files to look at, and imports are found in them', (t) => {
  t.true(files.length > 20);
  t.true(files.includes('src/login/machine.ts'));
  t.deepEqual(importsOf(textOf('src/login/machine.ts')).sort(), ['../policy/assurance.ts', '../policy/decide.ts', './state.ts', './walk.ts']);
});

test('every file keeps the rules of the house', (t) => {
  t.deepEqual(
    files.flatMap((file) => violations(file, textOf(file))),
    [],
  );
});

test('no room knows another that knows it back', (t) => {
  const known = new Map<string, Set<string>>();
  for (const [from, to] of files.flatMap((file) => roomsKnown(file, textOf(file)))) known.set(from, (known.get(from) ?? new Set()).add(to));
  t.is(circleIn(known), undefined);
  t.is(
    circleIn(
      new Map([
        ['a', new Set(['b'])],
        ['b', new Set(['c'])],
        ['c', new Set(['a'])],
      ]),
    ),
    'a → b → c → a',
  );
});

test('nothing is written where it is shouted', (t) => {
  t.deepEqual(
    files.filter((file) => /[A-Z]/.test(file)),
    [],
  );
});

// The checker, shown to fail: what stands here must be found.
const OFFENCES: [file: string, text: string, why: RegExp][] = [
  ['src/login/routes.ts', "import { Provider } from 'oidc-provider';", /only src\/oidc/],
  ['src/login/routes.ts', "import type { Provider } from 'oidc-provider';", /only src\/oidc/],
  ['src/login/routes.ts', "const x = await import('oidc-provider');", /only src\/oidc/],
  ['src/sessions/sessions.ts', "import knex from 'knex';", /only src\/store/],
  ['src/http/csrf.ts', "import views from 'koa-views';", /render\.ts/],
  ['src/sessions/sessions.ts', "import type Koa from 'koa';", /no Koa/],
  ['src/factors/totp/totp.ts', "import Koa from 'koa';", /no Koa/],
  ['src/factors/totp/totp.ts', "import { request } from 'node:https';", /no I\/O/],
  ['src/factors/totp/totp.ts', "import { spendCounter } from '../../store/credentials.ts';", /handed what it needs/],
  ['src/login/steps.ts', "import { generate } from 'otplib';", /business of factors/],
  ['src/login/routes.ts', "import {\n  a,\n  b,\n} from '../oidc/room.ts';", /second row/],
  ['src/admin/resources/users.ts', "export { a } from '../../account/page.ts';", /second row/],
  ['src/store/users.ts', "import { decide } from '../policy/decide.ts';", /point down/],
  ['src/policy/decide.ts', "import '../login/machine.ts';", /point down/],
  ['src/realms/registry.ts', "import { build } from '../oidc/provider.ts';", /point down/],
  ['src/crypto/seal.ts', "import { row } from '../store/rows.ts';", /point down/],
  ['src/oidc/room.ts', "import { app } from '../app.ts';", /point down/],
  ['src/policy/assurance.ts', "import { decide } from './decide.ts';", /by themselves/],
  ['src/delivery/codes.ts', "const { default: twilio } = await import('twilio');", /only src\/delivery sends text messages/],
  ['src/delivery/codes.ts', "import { parsePhoneNumber } from 'libphonenumber-js/max';", /read in one place/],
  ['src/login/steps.ts', "import i18next from 'i18next';", /only src\/languages/],
  ['src/languages/messages.ts', "import { tooMany } from '../store/users.ts';", /point down/],
  ['src/login/steps.ts', "import { texts } from '../../locales/de/index.ts';", /not part of the product/],
  ['src/misc/thing.ts', "import { a } from '../errors.ts';", /no room misc/],
  ['src/login/routes.ts', "import { a } from '../utils/thing.ts';", /no room utils/],
  ['src/login/routes.ts', "import { quick } from '../../test/support/factors.ts';", /not part of the product/],
  ['src/login/routes.ts', "import { up } from '../../migrations/0001_realms.ts';", /not part of the product/],
  ['src/login/machine.ts', 'const now = Date.now();', /the clock/],
  ['src/policy/decide.ts', 'return new Date(0);', /the clock/],
  ['src/policy/policy.ts', 'export async function f() {}', /wait for/],
  ['src/policy/policy.ts', 'const r = Math.random();', /chance/],
  ['src/policy/decide.ts', "import { readFileSync } from 'node:fs';", /it is pure/],
  ['src/login/machine.ts', "import { logins } from '../store/logins.ts';", /it is pure/],
  ['src/admin/resources/users.ts', "import { record } from '../../audit/record.ts';", /in a chain/],
  ['src/http/csrf.ts', "import { Counter } from 'prom-client';", /telemetry measures/],
  ['src/http/csrf.ts', 'const port = process.env.PORT;', /config\.ts alone/],
  ['src/http/csrf.ts', "const port = process['env'].PORT;", /config\.ts alone/],
  ['src/http/csrf.ts', 'const { env } = process;', /config\.ts alone/],
  ['src/http/csrf.ts', 'const m = await import(name);', /computed/],
  ['src/http/csrf.ts', '// @ts-expect-error it is fine', /type checker/],
  ['src/http/csrf.ts', 'const x = y as unknown as string;', /cast/],
  ['src/http/csrf.ts', 'function f(x: any) {}', /cast/],
  ['src/http/csrf.ts', '// TODO later', /for later/],
];

for (const [file, text, why] of OFFENCES) {
  test(`the checker finds: ${file} · ${text.replaceAll('\n', ' ')}`, (t) => {
    const found = violations(file, text);
    t.true(found.length > 0);
    t.regex(found.join('\n'), why);
  });
}

test('the checker leaves alone what is allowed', (t) => {
  const allowed: [file: string, text: string][] = [
    ['src/oidc/provider.ts', "import { Provider, errors } from 'oidc-provider';\nimport type { Context } from 'koa';"],
    ['src/store/database.ts', "import knex from 'knex';\nimport { migrationSource } from '../../migrations/index.ts';"],
    ['src/store/sessions.ts', "import { LEVELS } from '../policy/assurance.ts';"],
    [
      'src/login/machine.ts',
      "/** Never calls Date.now(), which a process would. */\nimport { decide } from '../policy/decide.ts'; // no async\nconst url = 'https://example.com';",
    ],
    ['src/config.ts', 'export const load = () => process.env;'],
    ['src/http/csrf.ts', '// says that process.env is read by config.ts alone\n/* and import(name) is not done */\nconst s = 1;'],
    ['src/app.ts', "import { a } from './oidc/room.ts';\nimport { b } from './login/room.ts';"],
    ['src/sessions/sessions.ts', "import { decide } from '../policy/decide.ts';"],
  ];
  for (const [file, text] of allowed) t.deepEqual(violations(file, text), [], file);
});

/** The first circle, as the rooms along it; undefined when there is none. */
function circleIn(known: ReadonlyMap<string, ReadonlySet<string>>): string | undefined {
  const cleared = new Set<string>();
  const walk = (room: string, path: string[]): string | undefined => {
    if (path.includes(room)) return [...path.slice(path.indexOf(room)), room].join(' → ');
    if (cleared.has(room)) return undefined;
    for (const next of known.get(room) ?? []) {
      const circle = walk(next, [...path, room]);
      if (circle !== undefined) return circle;
    }
    cleared.add(room);
    return undefined;
  };
  for (const room of known.keys()) {
    const circle = walk(room, []);
    if (circle !== undefined) return circle;
  }
  return undefined;
}
