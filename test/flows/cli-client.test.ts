/** `cardea client` on both engines: a client is shown, changed, given another secret and deleted. */
import { generateKeyPairSync } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { ExecutionContext } from 'ava';
import { MAKER_ROOT } from '../support/attestation.ts';
import { runCardea, settingsFor } from '../support/command.ts';
import { forEachEngine, temporaryFolder } from '../support/databases.ts';

type Env = Record<string, string>;

async function ok(t: ExecutionContext, env: Env, args: string[]) {
  const { status, stdout, stderr } = await runCardea([...args, '--json'], env);
  t.is(status, 0, `cardea ${args.join(' ')}: ${stderr}`);
  return JSON.parse(stdout);
}

async function refused(t: ExecutionContext, env: Env, args: string[], says: RegExp): Promise<void> {
  const { status, stdout, stderr } = await runCardea(args, env);
  t.is(status, 1, stderr);
  t.is(stdout, '');
  t.regex(stderr, says);
}

forEachEngine((engine) => {
  engine.test('a client is given keys, at an address, as a set and as a certificate', async (t) => {
    const env = settingsFor(await engine.settings({ empty: true }));
    await ok(t, env, ['realm', 'create', 'staff']);
    const robot = (verb: string, ...args: string[]) => ['client', verb, '--realm', 'staff', '--client-id', 'robot', ...args];
    const made = await ok(t, env, robot('create', '--jwks-url', 'https://robot.example/jwks'));
    t.like(made, { authenticator: 'client-jwt', attributes: { 'use.jwks.url': 'true', 'jwks.url': 'https://robot.example/jwks' } });
    t.is(made.secret, undefined, 'nothing is shown that it could not use');
    const folder = temporaryFolder();
    const [keys, certificate] = [join(folder, 'keys.json'), join(folder, 'robot.pem')];
    const { publicKey, privateKey } = generateKeyPairSync('ed25519');
    writeFileSync(keys, JSON.stringify({ keys: [publicKey.export({ format: 'jwk' })] }));
    writeFileSync(certificate, MAKER_ROOT);
    t.is((await ok(t, env, robot('update', '--jwks', keys))).attributes['use.jwks.string'], 'true');
    const { attributes } = await ok(t, env, robot('update', '--certificate', certificate));
    t.deepEqual([attributes['use.jwks.string'], attributes['use.jwks.url']], [undefined, undefined], 'one takes the place of the other');
    t.regex(attributes['jwt.credential.certificate'], /^MII/);
    t.like(await ok(t, env, robot('update', '--authenticator', 'client-x509', '--certificate', certificate)), {
      authenticator: 'client-x509',
      attributes: { 'cardea.x509.self.signed': 'true' },
    });
    t.like(await ok(t, env, robot('update', '--certificate-subject', 'CN=robot,O=Example')), {
      authenticator: 'client-x509',
      attributes: { 'x509.subjectdn': 'CN=robot,O=Example', 'cardea.x509.self.signed': undefined },
    });
    t.is((await ok(t, env, robot('update', '--authenticator', 'client-secret'))).authenticator, 'client-secret');
    writeFileSync(keys, JSON.stringify({ keys: [privateKey.export({ format: 'jwk' })] }));
    await refused(t, env, robot('update', '--jwks', keys), /private or secret key/);
    await refused(t, env, robot('update', '--jwks', join(folder, 'nowhere.json')), /cannot be read/);
    await refused(t, env, robot('update', '--jwks', keys, '--certificate', certificate), /one or the other/);
    await refused(t, env, robot('update', '--jwks-url', 'http://robot.example/jwks'), /CARDEA_OUTBOUND_ALLOW/);
    await refused(t, env, robot('update', '--authenticator', 'magic'), /client-secret, client-secret-jwt, client-jwt, client-x509/);
  });

  engine.test('a client is shown, changed, given another secret and deleted', async (t) => {
    const env = settingsFor(await engine.settings({ empty: true }));
    await ok(t, env, ['realm', 'create', 'staff']);
    const wiki = (...args: string[]) => [...args.slice(0, 2), '--realm', 'staff', '--client-id', 'wiki', ...args.slice(2)];
    const made = await ok(t, env, wiki('client', 'create', '--redirect-uri', 'https://wiki.example/callback'));
    t.like(await ok(t, env, wiki('client', 'get')), { id: made.id, clientId: 'wiki', enabled: true, firstParty: false });
    t.regex((await runCardea(wiki('client', 'get'), env)).stdout, /Redirect URIs +https:\/\/wiki\.example\/callback/);

    const changed = await ok(
      t,
      env,
      wiki('client', 'update', '--name', 'The wiki', '--disable', '--first-party', '--attribute', 'access.token.lifespan=60', 'x=a=b'),
    );
    t.like(changed, { name: 'The wiki', enabled: false, firstParty: true, redirectUris: ['https://wiki.example/callback'] });
    t.deepEqual(changed.attributes, { 'access.token.lifespan': '60', x: 'a=b' });
    t.deepEqual((await ok(t, env, wiki('client', 'update', '--enable', '--name', '', '--attribute', 'x='))).attributes, {
      'access.token.lifespan': '60',
    });
    const listens = await ok(t, env, wiki('client', 'update', '--backchannel-logout-url', 'https://wiki.example/out'));
    t.is(listens.attributes['backchannel.logout.url'], 'https://wiki.example/out');
    await refused(t, env, wiki('client', 'update', '--backchannel-logout-url', 'http://wiki.example/out'), /backchannel\.logout\.url: .*https/);
    t.is((await ok(t, env, wiki('client', 'update', '--backchannel-logout-url', ''))).attributes['backchannel.logout.url'], undefined);
    t.regex((await runCardea(wiki('client', 'update', '--enable'), env)).stdout, /is so already/);
    await refused(t, env, wiki('client', 'update', '--enable', '--disable'), /opposite/);
    await refused(t, env, wiki('client', 'update', '--redirect-uri', '*'), /^cardea: redirectUris: /);
    await refused(t, env, wiki('client', 'update', '--attribute', 'nothing'), /name=value/);

    t.is((await ok(t, env, wiki('client', 'secret'))).secret, made.secret);
    const next = await ok(t, env, wiki('client', 'secret', '--new', '--overlap', '3600'));
    t.not(next.secret, made.secret);
    t.true(Date.parse(next.oldUntil) > Date.now() + 3_000_000);
    t.is((await ok(t, env, wiki('client', 'secret', '--end-old'))).oldUntil, null);
    await refused(t, env, wiki('client', 'secret', '--overlap', '5'), /goes with --new/);
    await ok(t, env, wiki('client', 'update', '--public'));
    await refused(t, env, wiki('client', 'secret'), /has no secret/);

    await refused(t, env, wiki('client', 'delete'), /Say --yes/);
    t.like(await ok(t, env, wiki('client', 'delete', '--yes')), { clientId: 'wiki', deleted: true });
    await refused(t, env, wiki('client', 'get'), /no client "wiki"/);
    await refused(t, env, ['client', 'delete', '--realm', 'staff', '--client-id', 'account-console', '--yes'], /comes with the realm/);
  });
});
