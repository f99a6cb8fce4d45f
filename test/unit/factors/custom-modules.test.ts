/** Modules of custom factors are loaded once, whole, or with one clear sentence not at all. */
import { writeFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import test from 'ava';
import { loadFactorModules } from '../../../src/factors/custom/modules.ts';
import { temporaryFolder } from '../../support/databases.ts';

const folder = temporaryFolder();
let files = 0;
/** A module of its own file; the path is absolute. */
function moduleOf(text: string, extension = 'mjs'): string {
  files += 1;
  const path = join(folder, `factor-${files}.${extension}`);
  writeFileSync(path, text);
  return path;
}

const fine = `id: 'badge', kind: 'possession', amr: 'badge'`;

test('a module says what it is by default export or by names, and what it leaves out is filled in', async (t) => {
  const [byDefault] = await loadFactorModules([moduleOf(`export default { ${fine} }`)]);
  t.deepEqual(byDefault, {
    id: 'custom-badge',
    kind: 'possession',
    amr: ['badge'],
    level: 'aal2',
    name: 'badge',
    strength: 'A second step of your organisation.',
    hooks: {},
  });
  const named = `export const id = 'pager', kind = 'possession', amr = ['pager', 'tel'], level = 'aal1', name = 'Pager', strength = 'Rings.';
    export function initMFA() { return { code: '123456' }; }
    export async function checkMFA(context, input) { return input === context.user.username; }`;
  const [byName] = await loadFactorModules([relative(process.cwd(), moduleOf(named)).replace(/^(?![./])/, './')]);
  t.like(byName, { id: 'custom-pager', amr: ['pager', 'tel'], level: 'aal1', name: 'Pager', strength: 'Rings.' });
  t.deepEqual(Object.keys(byName?.hooks ?? {}), ['init', 'check']);
  t.like(await loadFactorModules([moduleOf(`module.exports = { ${fine} }`, 'cjs')]), { 0: { id: 'custom-badge' } });
  t.like(await loadFactorModules([moduleOf(`const id: string = 'typed'; export default { ${fine}, id }`, 'ts')]), { 0: { id: 'custom-typed' } });
  t.deepEqual(await loadFactorModules([]), []);
});

const told = {
  purpose: 'enrol',
  challenge: '',
  realm: { id: '', name: '', displayName: '' },
  user: { id: '', username: '', email: null, emailVerified: false },
  language: null,
  now: 0,
  kept: null,
} as const;

test('a hook that throws at once rejects', async (t) => {
  const [module] = await loadFactorModules([moduleOf(`export default { ${fine}, initMFA() { throw new Error('oops'); } }`)]);
  await t.throwsAsync(async () => module?.hooks.init?.(told, AbortSignal.timeout(100)), { message: 'oops' });
});

test('a hook writes lines to the log, under its name', async (t) => {
  const lines: unknown[] = [];
  const log = { info: (details: object, line: string) => lines.push([details, line.length, line.slice(0, 9)]) };
  const [module] = await loadFactorModules(
    [moduleOf(`export default { ${fine}, checkMFA({ log, user }) { log('asked for ' + user.id + 'x'.repeat(1000)); return true; } }`)],
    log,
  );
  t.true(await module?.hooks.check?.(told, 'x', null, AbortSignal.timeout(100)));
  t.deepEqual(lines, [[{ factor: 'custom-badge' }, 500, 'asked for']]);
});

test('what is no custom factor stops the start, and the message names module and mistake', async (t) => {
  const wrong: [RegExp, string][] = [
    [/id: must be up to 40 lower-case letters/, `export default { ${fine}, id: 'Badge' }`],
    [/id: must be up to 40/, `export default { ${fine}, id: 'password\\u0000' }`],
    [/id: /, `export default { kind: 'possession', amr: 'badge' }`],
    [/kind: /, `export default { ${fine}, kind: 'magic' }`],
    [/amr: .*mfa|amr/, `export default { ${fine}, amr: 'mfa' }`],
    [/amr/, `export default { ${fine}, amr: [] }`],
    [/amr/, `export default { ${fine}, amr: ['badge', 'pwd'] }`],
    [/level: .*"aal1"|"aal2"/, `export default { ${fine}, level: 'phrh' }`],
    [/name: must be one line/, `export default { ${fine}, name: 'a\\nb' }`],
    [/checkMFA: must be a function/, `export default { ${fine}, checkMFA: true }`],
    [/checkMfa/, `export default { ${fine}, checkMfa() { return true; } }`],
    [/what it exports/, 'export default null'],
    [/what it exports|id/, 'export default 7'],
    [/cannot be loaded: .*no key/, `throw new Error('there is no key')`],
    [/cannot be loaded: /, 'export default {'],
  ];
  for (const [says, text] of wrong) {
    const path = moduleOf(text);
    const error = await t.throwsAsync(loadFactorModules([path]), { code: 'cannot_start' }, text);
    t.true(error?.message.startsWith(`CARDEA_FACTOR_MODULES names ${path}, which `), error?.message);
    t.regex(error?.message ?? '', says, text);
  }
  await t.throwsAsync(loadFactorModules(['./there/is/no-such-file.js']), { message: /no-such-file\.js, which cannot be loaded: / });
  await t.throwsAsync(loadFactorModules(['@example/there-is-no-such-package']), { message: /which cannot be loaded: / });
});

test('two modules with one id are a mistake', async (t) => {
  const [one, other] = [moduleOf(`export default { ${fine} }`), moduleOf(`export default { ${fine} }`)];
  await t.throwsAsync(loadFactorModules([one, other]), { code: 'cannot_start', message: /exports the id badge, and so does another module/ });
});
