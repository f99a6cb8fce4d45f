/** The first thing that a newcomer reads. */
import test from 'ava';
import { banner } from '../../../src/cli/banner.ts';
import { loadConfig } from '../../../src/config.ts';

const credentials = {
  adminCredentials: { username: 'admin', password: 'abcde-fghjk-mnpqr-stuvw' },
  demoCredentials: { username: 'alice', password: 'wvuts-rqpnm-kjhgf-edcba' },
};

test('the first start shows four links and two sign-ins, aligned, within 80 columns', (t) => {
  const text = banner(loadConfig({}), { ...credentials, hasAdministrator: true }, 'http://localhost:8081/');
  t.is(
    text,
    `
Cardea is running.

  Demo application   http://localhost:8081/
  Account console    http://localhost:8080/realms/demo/account
  Admin console      http://localhost:8080/admin
  Development inbox  http://localhost:8080/inbox

  Demo user          alice / wvuts-rqpnm-kjhgf-edcba
  Administrator      admin / abcde-fghjk-mnpqr-stuvw

The passwords were made for this first start, and are shown this once.
`,
  );
  t.true(text.split('\n').every((line) => line.length <= 80));
});

test('later starts say that they were shown', (t) => {
  const text = banner(loadConfig({}), { hasAdministrator: true }, 'http://localhost:8081/');
  t.regex(text, /Demo user +as shown at the first start/);
  t.regex(text, /Administrator +as shown at the first start/);
  t.regex(text, /set-password/);
});

test('without the demo and without an administrator it says how to make one', (t) => {
  const text = banner(loadConfig({ CARDEA_DEMO: 'off' }), { hasAdministrator: false }, undefined);
  t.notRegex(text, /[Dd]emo /);
  t.regex(text, /realms\/master\/account/);
  t.regex(text, /cardea user create --realm master --username NAME --role admin/);
  t.regex(text, /CARDEA_BOOTSTRAP_ADMIN_USERNAME/);
});

test('a password that was given is not repeated', (t) => {
  const given = { CARDEA_BOOTSTRAP_ADMIN_USERNAME: 'root', CARDEA_BOOTSTRAP_ADMIN_PASSWORD: 'keep this to yourself' };
  const text = banner(loadConfig({ ...given, CARDEA_DEMO: 'off' }), { hasAdministrator: true }, undefined);
  t.regex(text, /Administrator +root, with the password of your settings/);
  t.notRegex(text, /yourself/);
});

test('in production there is no inbox', (t) => {
  const key = `k:${Buffer.from(Array.from({ length: 32 }, (_, index) => index)).toString('base64url')}`;
  const config = loadConfig({ NODE_ENV: 'production', CARDEA_ORIGIN: 'https://id.example.com', CARDEA_MASTER_KEY: key, CARDEA_DEMO: 'off' });
  t.notRegex(banner(config, { hasAdministrator: true }, undefined), /inbox/);
});
