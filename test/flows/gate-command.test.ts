/** `cardea gate`, within this process; on both engines. */
import { runHere, settingsFor } from '../support/command.ts';
import { forEachEngine } from '../support/databases.ts';

forEachEngine((engine) => {
  engine.test('cardea gate: a host is protected, read, changed and given up, and what is misspelt is refused', async (t) => {
    const env = settingsFor(await engine.settings({ empty: true }));
    const run = (...args: string[]) => runHere(args, env);
    const ok = async (...args: string[]) => {
      const { status, stdout, stderr } = await run(...args, '--json');
      t.is(status, 0, `cardea ${args.join(' ')}: ${stderr}`);
      return JSON.parse(stdout);
    };
    await ok('realm', 'create', 'staff');
    const wiki = 'https://wiki.example.com';
    const of = ['--realm', 'staff'];
    const made = await ok(
      'gate',
      'create',
      ...of,
      '--origin',
      `${wiki}/`,
      '--rule',
      '/healthz public',
      '/admin/** level=phr role=a role=b group=/g',
      '--idle',
      '600',
    );
    t.is(made.origin, wiki);
    t.is(made.clientId, 'gate-wiki.example.com');
    t.is(made.idle, 600);
    t.deepEqual(made.rules, [
      { path: '/healthz', access: 'public' },
      { path: '/admin/**', access: 'signed-in', level: 'phr', roles: ['a', 'b'], groups: ['/g'] },
    ]);
    t.deepEqual(await ok('gate', 'get', wiki, ...of), made);
    t.deepEqual((await ok('gate', 'update', made.id, ...of, '--rule', '/** level=aal2', '--idle', 'none')).rules, [
      { path: '/**', access: 'signed-in', level: 'aal2' },
    ]);
    t.is((await ok('gate', 'list', ...of)).length, 1);
    const wrong: [args: string[], says: RegExp][] = [
      [['create', ...of, '--origin', wiki], /already/],
      [['create', ...of, '--origin', `${wiki}/path`], /origin: must be a scheme and a host/],
      [['update', wiki, ...of, '--rule', '/x publik'], /not understood/],
      [['update', wiki, ...of, '--rule', '/x/../y'], /must be a path/],
      [['delete', wiki, ...of], /--yes/],
      [['get', 'https://other.example', ...of], /no gate/],
    ];
    for (const [args, says] of wrong) {
      const { status, stderr } = await run('gate', ...args);
      t.is(status, 1, args.join(' '));
      t.regex(stderr, says);
    }
    await ok('gate', 'delete', wiki, ...of, '--yes');
    t.deepEqual(await ok('gate', 'list', ...of), []);
    t.false((await ok('client', 'list', ...of)).some(({ clientId }: { clientId: string }) => clientId === made.clientId));
  });
});
