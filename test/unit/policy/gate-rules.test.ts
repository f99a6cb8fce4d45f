/** Rules of a gate by path: by example, and by properties that no spelling of a path gets around. */
import test from 'ava';
import { type GateRuleInput, gateRules } from '../../../src/policy/gate-document.ts';
import { pathOfTarget, readGatePath } from '../../../src/policy/gate-paths.ts';
import { gateNeed, isAllowed } from '../../../src/policy/gate-rules.ts';
import fc from '../../support/property.ts';

const needOf = (rules: GateRuleInput[], text: string) => {
  const path = readGatePath(text);
  return path && gateNeed(gateRules.parse(rules), path);
};
const accessOf = (rules: GateRuleInput[], text: string): string => needOf(rules, text)?.access ?? 'refused';

const SITE: GateRuleInput[] = [
  { path: '/admin/**', level: 'phr', roles: ['admin'] },
  { path: '/', access: 'public' },
  { path: '/open/**', access: 'public' },
  { path: '/logo.svg', access: 'public' },
];

test('the first rule that fits holds, and what none names is for whoever is signed in', (t) => {
  const expected: [path: string, access: string][] = [
    ['/', 'public'],
    ['/open', 'public'],
    ['/open/', 'public'],
    ['/open/a/b c', 'public'],
    ['/opener', 'signed-in'],
    ['/logo.svg', 'public'],
    ['/logo.svg/x', 'signed-in'],
    ['/admin', 'signed-in'],
    ['/.well-known/x', 'signed-in'],
    ['/a..b', 'signed-in'],
  ];
  for (const [path, access] of expected) t.is(accessOf(SITE, path), access, path);
  t.is(needOf(SITE, '/admin/x')?.level, 'phr');
  t.is(needOf(SITE, '/admin')?.level, 'phr');
  t.is(
    accessOf(
      [
        { path: '/x', access: 'denied' },
        { path: '/**', access: 'public' },
      ],
      '/x',
    ),
    'denied',
  );
});

test('a path that can be read in two ways is refused', (t) => {
  const odd = ['', 'x', 'open/x', '//open', '/open//x', '/open/../admin', '/open/..', '/./open', '/open/.', '/open\\..\\admin', '/open/%2e%2e/admin'];
  const odder = [
    '/open/a%00',
    '/open/\u0000',
    '/open/\r\nX: y',
    '/open?x',
    '/open#x',
    '/open/..;/admin',
    '/open/.;x/admin',
    '/open/\u2028',
    '/open/. /x',
    '/open/．．/admin',
    '/open／../x',
    `/${'x'.repeat(5_000)}`,
  ];
  for (const path of [...odd, ...odder]) t.is(readGatePath(path), undefined, path);
});

test('a spelling that some servers take for a protected path asks for what that path asks, too', (t) => {
  for (const path of ['/ADMIN/x', '/Admin', '/admin;x=1/y', '/admin./x', '/admin /x', '/ａdmin/x', '/ADMIN;a']) {
    t.is(needOf([...SITE, { path: '/**', access: 'public' }], path)?.level, 'phr', path);
  }
  // And what is everybody's under one spelling is not under another.
  t.is(accessOf(SITE, '/OPEN/x'), 'signed-in');
  t.is(accessOf(SITE, '/logo.svg;x'), 'signed-in');
  t.is(accessOf([{ path: '/Open/**', access: 'public' }], '/Open/x'), 'public');
});

test('conditions hold all together, each by any of its names', (t) => {
  const need = needOf([{ path: '/x', roles: ['a', 'b'], groups: ['/g'] }], '/x');
  if (!need) return t.fail();
  t.true(isAllowed(need, { roles: ['b'], groups: ['/g'] }));
  t.false(isAllowed(need, { roles: ['b'], groups: [] }));
  t.false(isAllowed(need, { roles: [], groups: ['/g'] }));
  t.true(isAllowed({ access: 'signed-in', level: null, conditions: [] }, { roles: [], groups: [] }));
});

test('rules that would let in more than they say are refused', (t) => {
  const wrong: unknown[] = [
    { path: 'x' },
    { path: '//x' },
    { path: '/x//y' },
    { path: '/x/../y' },
    { path: '/x*' },
    { path: '/x/**/y' },
    { path: '/x?y' },
    { path: '/%78' },
    { path: '/x', acces: 'public' },
    { path: '/x', access: 'public', roles: ['a'] },
    { path: '/x', access: 'denied', level: 'aal2' },
    { path: '/x', roles: [] },
    { path: '/x', level: 'aal9' },
  ];
  for (const rule of wrong) t.false(gateRules.safeParse([rule]).success, JSON.stringify(rule));
  t.true(gateRules.safeParse([{ path: '/**' }, { path: '/' }, { path: '/x/' }, { path: '/Café/.well-known/**' }]).success);
});

test('an address is decoded once, and no more', (t) => {
  t.is(pathOfTarget('/a%20b?c=%2f'), '/a b');
  t.is(pathOfTarget('/a%2fb'), undefined);
  t.is(pathOfTarget('/a%5Cb'), undefined);
  t.is(pathOfTarget('/a%zz'), undefined);
  t.is(pathOfTarget('/a%c3'), undefined);
  t.is(readGatePath(pathOfTarget('/a/%252e%252e/b') ?? ''), undefined);
});

const LETTERS = 'abcdefgh';
const segment = fc.string({ unit: fc.constantFrom(...LETTERS), minLength: 1, maxLength: 5 });
const path = fc.array(segment, { minLength: 1, maxLength: 3 });

/** One of the spellings of a segment that programs are known to take for it. */
const spelt = (text: string): fc.Arbitrary<string> =>
  fc
    .tuple(
      fc.array(fc.boolean(), { minLength: text.length, maxLength: text.length }),
      fc.constantFrom('', '.', ' ', '..', ';', ';a=b', '. '),
      fc.boolean(),
    )
    .map(([upper, end, wide]) => {
      const cased = [...text].map((letter, index) => (upper[index] ? letter.toUpperCase() : letter)).join('');
      return (wide ? [...cased].map((letter) => String.fromCodePoint((letter.codePointAt(0) ?? 0) + 0xfee0)).join('') : cased) + end;
    });

test('no spelling of a protected path is public, whatever else is', (t) => {
  const spelling = path.chain((segments) =>
    fc.record({
      protectedPath: fc.constant(`/${segments.join('/')}`),
      asked: fc.tuple(...segments.map(spelt)).map((all) => `/${all.join('/')}`),
      below: fc.constantFrom('', '/', '/x', '/x;y/z'),
      slashes: fc.constantFrom('/', '//', '/./', '/x/../', '/%2e%2e/', '/..;/', '\\'),
    }),
  );
  fc.assert(
    fc.property(spelling, ({ protectedPath, asked, below, slashes }) => {
      const rules: GateRuleInput[] = [
        { path: `${protectedPath}/**`, access: 'denied' },
        { path: '/**', access: 'public' },
      ];
      const direct = accessOf(rules, asked + below);
      if (direct !== 'denied' && direct !== 'refused') return false;
      // By a detour through what is public.
      const detour = accessOf([...rules], `/public${slashes}${protectedPath.slice(1)}`);
      return slashes === '/' || detour === 'refused';
    }),
    { numRuns: 2_000 },
  );
  t.pass();
});

test('one more public rule at the end never opens what a rule before it names', (t) => {
  fc.assert(
    fc.property(path, path, fc.boolean(), (one, other, deep) => {
      const rules: GateRuleInput[] = [{ path: `/${one.join('/')}/**`, roles: ['r'] }];
      const asked = `/${one.join('/')}${deep ? `/${other.join('/')}` : ''}`;
      const need = needOf([...rules, { path: `/${other.join('/')}/**`, access: 'public' }, { path: '/**', access: 'public' }], asked);
      return need?.access === 'signed-in' && need.conditions.length === 1;
    }),
  );
  t.pass();
});

test('whatever comes in, a path is read or refused, and never throws', (t) => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary', maxLength: 40 }), (text) => {
      const read = readGatePath(text);
      if (read) gateNeed(gateRules.parse(SITE), read);
      const decoded = pathOfTarget(text);
      return decoded === undefined || typeof decoded === 'string';
    }),
    { numRuns: 2_000 },
  );
  t.pass();
});
