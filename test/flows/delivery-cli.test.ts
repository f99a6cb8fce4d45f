/** `cardea mail` and `cardea sms`: secrets are typed or piped, what is shown has none, and a test arrives. */
import { readFileSync } from 'node:fs';
import { runHere, settingsFor, startCommand } from '../support/command.ts';
import { forEachEngine } from '../support/databases.ts';
import { MAIL_LOGIN, startMailServer } from '../support/mail-server.ts';

forEachEngine((engine) => {
  engine.test('a realm is given a mail server, and one mail arrives by it', async (t) => {
    const server = await startMailServer({ disabledCommands: ['STARTTLS'], allowInsecureAuth: true, authOptional: false });
    const env = settingsFor(await engine.settings());
    t.is((await runHere(['realm', 'create', 'acme', '--display-name', 'Acme'], env)).status, 0);
    const before = await runHere(['mail', 'show', '--realm', 'acme'], env);
    t.regex(before.stdout, /by the account of the installation, or into the development inbox/);

    const account = [
      '--host',
      'localhost',
      '--port',
      String(server.port),
      '--tls',
      'off',
      '--user',
      MAIL_LOGIN.user,
      '--from',
      'Acme <post@acme.example>',
    ];
    const set = await runHere(['mail', 'set', '--realm', 'acme', ...account], env, { typed: [MAIL_LOGIN.password] });
    t.is(set.status, 0, set.stderr);
    t.regex(set.stderr, /^Password: /);
    t.false(`${set.stdout}${set.stderr}`.includes(MAIL_LOGIN.password), 'nothing typed is shown');

    const shown = await runHere(['mail', 'show', '--realm', 'acme', '--json'], env);
    t.like(JSON.parse(shown.stdout), { source: 'realm', account: { host: 'localhost', user: MAIL_LOGIN.user, tls: 'off' } });
    t.false(shown.stdout.includes(MAIL_LOGIN.password));

    const tested = await runHere(['mail', 'test', '--realm', 'acme', '--to', 'ada@example.com'], env);
    t.is(tested.stdout, 'Sent to ada@example.com.\n', tested.stderr);
    t.deepEqual(server.mails[0]?.to, ['ada@example.com']);
    t.is(server.mails[0]?.user, MAIL_LOGIN.user);

    const wrong = await runHere(['mail', 'set', '--realm', 'acme', ...account, '--password-stdin'], env, { input: 'not the password\n' });
    t.is(wrong.status, 0, wrong.stderr);
    const refused = await runHere(['mail', 'test', '--realm', 'acme', '--to', 'ada@example.com'], env);
    t.is(refused.status, 1);
    t.regex(refused.stderr, /It was not taken over: EAUTH 535/);

    t.is((await runHere(['mail', 'remove', '--realm', 'acme'], env)).status, 0);
    const again = await runHere(['mail', 'remove', '--realm', 'acme'], env);
    t.is(again.status, 1);
    t.regex(again.stderr, /no account of its own/);
    const inbox = await runHere(['mail', 'test', '--realm', 'acme', '--to', 'ada@example.com', '--json'], env);
    t.is(JSON.parse(inbox.stdout).via, 'inbox');
  });

  engine.test('a realm is given an account for text messages', async (t) => {
    const env = settingsFor(await engine.settings());
    await runHere(['realm', 'create', 'acme'], env);
    const sid = `AC${'0a'.repeat(16)}`;
    const token = '0123456789abcdef0123456789abcdef';
    const account = ['--account-sid', sid, '--from', '+15005550006'];
    const set = await runHere(['sms', 'set', '--realm', 'acme', ...account, '--token-stdin'], env, { input: `${token}\n` });
    t.is(set.status, 0, set.stderr);
    const shown = await runHere(['sms', 'show', '--realm', 'acme'], env);
    t.regex(shown.stdout, new RegExp(`Account {3}${sid}\\nFrom {6}\\+15005550006`));
    t.false(shown.stdout.includes(token));
    const both = await runHere(['sms', 'set', '--realm', 'acme', ...account, '--messaging-service', 'MG1', '--token-stdin'], env, { input: token });
    t.is(both.status, 1);
    t.regex(both.stderr, /^cardea: from: Give either --from or --messaging-service\.$/m);
    const premium = await runHere(['sms', 'test', '--realm', 'acme', '--to', '+19005550123'], env);
    t.regex(premium.stderr, /^cardea: to: This is not a mobile number\.$/m);
  });
});

forEachEngine((engine) => {
  if (engine.engine === 'postgres' || process.platform !== 'linux') return;
  engine.test('no secret is in the list of processes', async (t) => {
    const env = settingsFor(await engine.settings());
    await runHere(['realm', 'create', 'acme'], env);
    const running = startCommand(
      ['mail', 'set', '--realm', 'acme', '--host', 'localhost', '--user', 'post', '--from', 'a@b.example', '--password-stdin'],
      env,
    );
    const listed = readFileSync(`/proc/${running.process.pid}/cmdline`, 'utf8') + readFileSync(`/proc/${running.process.pid}/environ`, 'utf8');
    running.type('hunter2 hunter2\n');
    running.process.stdin?.end();
    t.is((await running.ended).status, 0);
    t.false(listed.includes('hunter2'));
  });
});
