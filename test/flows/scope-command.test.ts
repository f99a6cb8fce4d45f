/** `cardea scope`: client scopes and protocol mappers at the command line, on both engines. */
import type { ExecutionContext } from 'ava';
import { runCardea, settingsFor } from '../support/command.ts';
import { forEachEngine } from '../support/databases.ts';

type Env = Record<string, string>;

async function ok(t: ExecutionContext, env: Env, ...args: string[]) {
  const { status, stdout, stderr } = await runCardea([...args, '--json'], env);
  t.is(status, 0, `cardea ${args.join(' ')}: ${stderr}`);
  return JSON.parse(stdout);
}

forEachEngine((engine) => {
  engine.test('scopes and mappers are made, listed, changed and deleted', async (t) => {
    const env = settingsFor(await engine.settings());
    await ok(t, env, 'realm', 'create', 'staff');
    await ok(t, env, 'client', 'create', '--realm', 'staff', '--client-id', 'wiki', '--redirect-uri', 'https://wiki.example/callback');
    const at = ['--realm', 'staff'];
    const scope = (...args: string[]) => ok(t, env, 'scope', ...args, ...at);
    const payroll = ['--name', 'payroll'];
    t.like(await scope('create', ...payroll, '--description', 'Your salary', '--new-clients', 'optional'), {
      ...{ name: 'payroll', description: 'Your salary', newClients: 'optional', inToken: true, realm: 'staff' },
    });
    t.deepEqual(
      (await scope('list')).flatMap(({ name, newClients }: { name: string; newClients: string }) => (name === 'payroll' ? [newClients] : [])),
      ['optional'],
    );
    const config = ['user.attribute=centre', 'claim.name=centre', 'access.token.claim=true'].flatMap((field) => ['--config', field]);
    const made = await scope('mapper', 'add', '--scope', 'payroll', '--name', 'centre', '--type', 'oidc-usermodel-attribute-mapper', ...config);
    t.like(made, { name: 'centre', protocolMapper: 'oidc-usermodel-attribute-mapper', config: { 'claim.name': 'centre' } });
    t.deepEqual((await scope('get', ...payroll)).mappers, [made]);
    const audience = ['--name', 'stock', '--type', 'oidc-audience-mapper', '--config', 'included.custom.audience=a=b'];
    t.like(await scope('mapper', 'add', '--client', 'wiki', ...audience), { config: { 'included.custom.audience': 'a=b' } });
    t.is((await scope('mapper', 'list', '--client', 'wiki')).length, 1);
    t.like(await scope('update', ...payroll, '--rename', 'salary', '--no-in-token', '--new-clients', 'none'), {
      ...{ name: 'salary', description: 'Your salary', newClients: 'none', inToken: false },
    });
    t.like(await scope('mapper', 'remove', '--scope', 'salary', '--name', 'centre'), { id: made.id });
    t.deepEqual(await scope('mapper', 'list', '--scope', 'salary'), []);
    await scope('delete', '--name', 'salary', '--yes');

    const refused = async (status: number, says: RegExp, ...args: string[]) => {
      const ended = await runCardea(['scope', ...args, ...at], env);
      t.is(ended.status, status, ended.stderr);
      t.regex(ended.stderr, says);
      t.is(ended.stdout, '');
    };
    await refused(1, /no client scope "salary"/, 'get', '--name', 'salary');
    await refused(1, /already exists/, 'create', '--name', 'email');
    const forged = ['--name', 'x', '--type', 'oidc-hardcoded-claim-mapper', '--config', 'claim.name=acr', '--config', 'claim.value=phrh'];
    await refused(1, /config\.claim\.name/, 'mapper', 'add', '--client', 'wiki', ...forged);
    await refused(2, /--scope and --client/, 'mapper', 'list');
    await refused(2, /--new-clients/, 'create', '--name', 'y', '--new-clients', 'sometimes');
    const table = await runCardea(['scope', 'list', ...at], env);
    t.regex(table.stdout, /^NAME +NEW CLIENTS +IN TOKEN +DESCRIPTION\n/);
    const shown = await runCardea(['scope', 'get', '--name', 'email', ...at], env);
    t.regex(shown.stdout, /email verified \(oidc-usermodel-property-mapper\) → email_verified/);
  });
});
