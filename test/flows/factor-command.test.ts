/** `cardea factor`, and modules that do not load, within this process; on both engines. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { ExecutionContext } from 'ava';
import { runHere, settingsFor } from '../support/command.ts';
import { forEachEngine, temporaryFolder } from '../support/databases.ts';

type Env = Record<string, string>;

async function ok(t: ExecutionContext, env: Env, ...args: string[]) {
  const { status, stdout, stderr } = await runHere([...args, '--json'], env);
  t.is(status, 0, `cardea ${args.join(' ')}: ${stderr}`);
  return JSON.parse(stdout);
}

async function refused(t: ExecutionContext, env: Env, says: RegExp, ...args: string[]): Promise<void> {
  const { status, stdout, stderr } = await runHere(args, env);
  t.is(status, 1, stderr);
  t.is(stdout, '');
  t.regex(stderr, says);
}

const folder = temporaryFolder();
const badge = join(folder, 'badge.mjs');
writeFileSync(badge, `export default { id: 'badge', kind: 'knowledge', amr: ['pin', 'badge'], name: 'Badge PIN', checkMFA: () => false };`);
const broken = join(folder, 'broken.mjs');
writeFileSync(broken, `export default { id: 'broken', kind: 'knowledge', amr: 'pin', checkMfa: () => true };`);

forEachEngine((engine) => {
  engine.test('factors are listed, switched off and on, and webhooks come and go', async (t) => {
    const env = settingsFor(await engine.settings({ empty: true }));
    await ok(t, env, 'realm', 'create', 'staff');
    const factors = async () =>
      new Map<string, Record<string, unknown>>((await ok(t, env, 'factor', 'list', '--realm', 'staff')).map((one: { id: string }) => [one.id, one]));
    t.like((await factors()).get('totp'), { source: 'built-in', state: 'on', level: 'aal2' });
    t.like(await ok(t, env, 'factor', 'disable', 'totp', '--realm', 'staff'), { id: 'totp', state: 'off' });
    t.like(await ok(t, env, 'factor', 'enable', 'totp', '--realm', 'staff'), { id: 'totp', state: 'on' });

    const webhook = ['factor', 'add-webhook', 'pager', '--realm', 'staff', '--name', 'Pager', '--amr', 'pager,tel'];
    const added = await ok(t, env, ...webhook, '--url', 'https://hooks.example/mfa', '--level', 'aal1', '--events', 'init');
    t.like(added, { id: 'webhook-pager', amr: ['pager', 'tel'], level: 'aal1', kind: 'possession', events: ['init'], everyone: false });
    t.regex(added.secret, /^[\w-]{43}$/);
    await refused(t, env, /^cardea: slug: /, ...webhook, '--url', 'https://hooks.example/mfa');
    await refused(
      t,
      env,
      /^cardea: url: .*CARDEA_OUTBOUND_ALLOW/,
      'factor',
      'add-webhook',
      'other',
      ...webhook.slice(3),
      '--url',
      'http://hooks.example/mfa',
    );
    const intranet = { ...env, CARDEA_OUTBOUND_ALLOW: 'hooks.example' };
    t.like(await ok(t, intranet, 'factor', 'add-webhook', 'other', ...webhook.slice(3), '--url', 'http://hooks.example/mfa'), {
      id: 'webhook-other',
    });

    const rotated = await ok(t, env, 'factor', 'rotate-secret', 'webhook-pager', '--realm', 'staff');
    t.regex(rotated.secret, /^[\w-]{43}$/);
    t.not(rotated.secret, added.secret);
    t.like(await ok(t, env, 'factor', 'rotate-secret', 'webhook-pager', '--realm', 'staff', '--finish'), { factor: 'webhook-pager' });
    await refused(t, env, /one secret only/, 'factor', 'rotate-secret', 'webhook-pager', '--realm', 'staff', '--finish');
    t.like(await ok(t, env, 'factor', 'enable', 'webhook-pager', '--realm', 'staff', '--everyone', '--level', 'aal2', '--amr', 'pager'), {
      everyone: true,
      level: 'aal2',
      amr: ['pager'],
    });
    t.like(await ok(t, env, 'factor', 'enable', 'webhook-pager', '--realm', 'staff', '--no-everyone'), { everyone: false, level: 'aal2' });
    await ok(t, env, 'factor', 'remove', 'webhook-pager', '--realm', 'staff');
    t.false((await factors()).has('webhook-pager'));
    const { stdout } = await runHere(['factor', 'list', '--realm', 'staff'], env);
    t.false(stdout.includes(added.secret) || stdout.includes(rotated.secret));
    t.regex(stdout, /webhook-other +Pager +webhook +on +aal2 +pager tel +http:\/\/hooks\.example\/mfa/);
  });

  engine.test('a module is offered to the realms, and one that does not load stops every command', async (t) => {
    const env = settingsFor(await engine.settings({ empty: true }));
    await ok(t, env, 'realm', 'create', 'staff');
    await refused(t, env, /no factor "custom-badge"/, 'factor', 'enable', 'custom-badge', '--realm', 'staff');
    const withBadge = { ...env, CARDEA_FACTOR_MODULES: badge };
    const state = async (settings: Env) =>
      (await ok(t, settings, 'factor', 'list', '--realm', 'staff')).find(({ id }: { id: string }) => id === 'custom-badge')?.state;
    t.is(await state(withBadge), 'unused');
    t.like(await ok(t, withBadge, 'factor', 'enable', 'custom-badge', '--realm', 'staff', '--amr', 'pin'), {
      state: 'on',
      amr: ['pin'],
      kinds: ['knowledge'],
    });
    await refused(t, withBadge, /^cardea: amr: /, 'factor', 'enable', 'custom-badge', '--realm', 'staff', '--amr', 'hwk');
    t.is(await state(env), 'missing');
    for (const command of [['realm', 'list'], ['serve']])
      await refused(
        t,
        { ...env, CARDEA_FACTOR_MODULES: `${badge},${broken}` },
        /CARDEA_FACTOR_MODULES names .*broken\.mjs, which is no custom factor: .*checkMfa/,
        ...command,
      );
  });
});
