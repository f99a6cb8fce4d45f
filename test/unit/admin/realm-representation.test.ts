/** A realm in Keycloak's words and back. */
import test from 'ava';
import { settingsFrom, shownSettings } from '../../../src/admin/rest/realm-document.ts';
import { levelsFrom, shownLevels } from '../../../src/admin/rest/realm-levels.ts';
import { MASK, mailFrom, shownMail } from '../../../src/admin/rest/realm-mail.ts';
import { minLengthOf, rulesOf } from '../../../src/admin/rest/realm-password-policy.ts';
import type { MailAccount } from '../../../src/config/delivery.ts';
import { AppError } from '../../../src/errors.ts';
import { LEVELS } from '../../../src/policy/assurance.ts';
import { defaultRealmSettings, type RealmSettings } from '../../../src/realms/settings.ts';
import fc from '../../support/property.ts';

const defaults = defaultRealmSettings();
const changed = (given: object): RealmSettings => settingsFrom(defaults, { ...given }).settings;

function refused(work: () => unknown): { field: string | undefined; status: number } {
  try {
    work();
  } catch (error) {
    if (error instanceof AppError) return { field: error.field, status: error.status };
    throw error;
  }
  throw new Error('It was not refused.');
}

const given = fc.record(
  {
    accessTokenLifespan: fc.integer({ min: 30, max: 86_400 }),
    ssoSessionIdleTimeout: fc.integer({ min: 1, max: 1_000_000 }),
    revokeRefreshToken: fc.boolean(),
    refreshTokenMaxReuse: fc.integer({ min: 0, max: 10 }),
    passwordPolicy: fc.constantFrom('', 'length(8)', 'length(12) and notUsername', 'digits(1) and length(20)', 'notEmail'),
    failureFactor: fc.integer({ min: 5, max: 50 }),
    waitIncrementSeconds: fc.integer({ min: 60, max: 86_400 }),
    otpPolicyAlgorithm: fc.constantFrom('HmacSHA1', 'HmacSHA256', 'HmacSHA512'),
    otpPolicyDigits: fc.constantFrom(6, 8),
    webAuthnPolicyAttestationConveyancePreference: fc.constantFrom('not specified', 'none', 'indirect', 'direct', 'enterprise'),
    webAuthnPolicyUserVerificationRequirement: fc.constantFrom('not specified', 'required', 'preferred', 'discouraged'),
    webAuthnPolicyRpId: fc.constantFrom('', 'example.com'),
    webAuthnPolicySignatureAlgorithms: fc.constantFrom(['ES256'], ['ES256', 'RS256'], []),
    webAuthnPolicyAcceptableAaguids: fc.constantFrom([], ['']),
    sslRequired: fc.constantFrom('none', 'external', 'all'),
    registrationAllowed: fc.boolean(),
    bruteForceProtected: fc.boolean(),
    supportedLocales: fc.array(fc.string({ maxLength: 10 }), { maxLength: 5 }),
    browserSecurityHeaders: fc.dictionary(fc.string({ minLength: 1, maxLength: 20 }), fc.string({ maxLength: 20 })),
    loginTheme: fc.string({ maxLength: 20 }),
  },
  { requiredKeys: [] },
);

test('whoever writes a representation reads what they wrote, and to write what was read changes nothing', (t) => {
  fc.assert(
    fc.property(given, (one) => {
      const settings = changed(one);
      const shown = shownSettings(settings);
      for (const [name, value] of Object.entries(one)) if (JSON.stringify(shown[name]) !== JSON.stringify(value)) return false;
      const again = settingsFrom(settings, shown);
      return again.inert.length === 0 && JSON.stringify(again.settings) === JSON.stringify(settings);
    }),
  );
  t.pass();
});

test('what a realm has by default is shown in Keycloak’s words', (t) => {
  t.like(shownSettings(defaults), {
    accessTokenLifespan: 300,
    passwordPolicy: 'length(8)',
    otpPolicyAlgorithm: 'HmacSHA1',
    otpPolicyDigits: 6,
    otpPolicyPeriod: 30,
    webAuthnPolicyRpId: '',
    webAuthnPolicyPasswordlessPasskeysEnabled: true,
    bruteForceProtected: true,
    failureFactor: 10,
    browserFlow: 'browser',
    duplicateEmailsAllowed: false,
  });
});

test('settings follow from it, and what was set elsewhere wins over what was written before', (t) => {
  const settings = changed({ passwordPolicy: 'length(12) and notUsername', otpPolicyLookAheadWindow: 2, otpPolicyAlgorithm: 'HmacSHA256' });
  t.is(settings.passwordMinLength, 12);
  t.like(settings.totp, { window: 2, algorithm: 'sha256' });
  t.is(shownSettings(settings).passwordPolicy, 'length(12) and notUsername');
  t.is(shownSettings({ ...settings, passwordMinLength: 15 }).passwordPolicy, 'length(15)');
});

test('what has to be refused is refused with Keycloak’s name of it', (t) => {
  const wrong: [object, string][] = [
    [{ accessTokenLifespan: 5 }, 'accessTokenLifespan'],
    [{ failureFactor: 2 }, 'failureFactor'],
    [{ otpPolicyDigits: 7 }, 'otpPolicyDigits'],
    [{ passwordPolicy: 'length(4)' }, 'passwordPolicy'],
    [{ passwordPolicy: 'lenght(12)' }, 'passwordPolicy'],
    [{ webAuthnPolicySignatureAlgorithms: ['RS1'] }, 'webAuthnPolicySignatureAlgorithms'],
    [{ webAuthnPolicyAcceptableAaguids: ['x'] }, 'webAuthnPolicyAcceptableAaguids'],
    [{ webAuthnPolicyRpId: 'a.example', webAuthnPolicyPasswordlessRpId: 'b.example' }, 'webAuthnPolicyRpId'],
  ];
  for (const [one, field] of wrong)
    t.deepEqual(
      refused(() => changed(one)),
      { field, status: 400 },
      JSON.stringify(one),
    );
});

test('both of Keycloak’s WebAuthn policies are about one host', (t) => {
  const settings = changed({ webAuthnPolicyRpId: 'a.example' });
  t.is(shownSettings(settings).webAuthnPolicyPasswordlessRpId, 'a.example');
  const shown = { ...shownSettings(settings), webAuthnPolicyRpId: 'b.example' };
  t.is(settingsFrom(settings, shown).settings.webauthn.rpId, 'b.example', 'the one that was changed counts');
});

test('the names of levels are Keycloak’s numbers, or ours', (t) => {
  t.deepEqual(levelsFrom('{"silver":1,"gold":"2","key":"phr"}'), { silver: 'aal1', gold: 'aal2', key: 'phr' });
  t.deepEqual(levelsFrom(''), {});
  t.is(shownLevels({ gold: 'aal2' }, undefined), '{"gold":2}');
  t.is(shownLevels({ gold: 'aal2' }, '{"gold":"aal2"}'), '{"gold":"aal2"}');
  t.is(shownLevels({ gold: 'phr' }, '{"gold":"aal2"}'), '{"gold":3}');
  t.is(shownLevels({}, undefined), undefined);
  for (const text of ['{"gold":9}', '{"gold":1.5}', '[]', '1', '{', '{"aal1":2}', '{"gold":null}'])
    t.is(refused(() => levelsFrom(text)).status, 400, text);
  const maps = fc.dictionary(fc.stringMatching(/^[a-z]{1,8}$/), fc.constantFrom(...LEVELS));
  fc.assert(fc.property(maps, (acr) => JSON.stringify(levelsFrom(shownLevels(acr, undefined) ?? '')) === JSON.stringify(acr)));
});

test('a password policy is read as Keycloak writes it', (t) => {
  t.deepEqual(
    [...rulesOf('length(12) and notUsername(undefined) and regexPattern(^a(b)$)')],
    [
      ['length', '12'],
      ['notUsername', ''],
      ['regexPattern', '^a(b)$'],
    ],
  );
  t.is(minLengthOf('digits(2)'), 8);
  t.is(minLengthOf('length'), 8);
  t.is(refused(() => rulesOf('length(a)')).status, 400);
});

const account: MailAccount = {
  ...{ host: 'mail.example.com', port: 587, tls: 'required', ca: null, guarded: true },
  login: { user: 'cardea', password: 'a secret of mail' },
  from: { name: 'Acme', address: 'no-reply@example.com' },
  replyTo: null,
};

test('a mail account is shown without its password, and written as it was read it is the same', (t) => {
  const shown = shownMail(account, undefined);
  t.is(shown.password, MASK);
  t.false(JSON.stringify(shown).includes('a secret of mail'));
  t.deepEqual(mailFrom(shown, account), account);
  t.deepEqual(shownMail(account, JSON.stringify({ ...shown, password: undefined, port: 587 })).port, 587);
});

test('nobody has the old password sent elsewhere', (t) => {
  const shown = shownMail(account, undefined);
  const others: Record<string, string>[] = [{ host: 'evil.example' }, { port: '2525' }, { user: 'other' }, { starttls: 'false' }];
  for (const other of others) {
    t.is(refused(() => mailFrom({ ...shown, ...other }, account)).field, 'smtpServer.password', JSON.stringify(other));
    t.is(mailFrom({ ...shown, ...other, password: 'another' }, account).login?.password, 'another');
  }
  t.is(refused(() => mailFrom({ ...shown, from: '' }, account)).field, 'smtpServer.from');
  t.is(refused(() => mailFrom({ ...shown, host: 'a b', password: 'another' }, account)).field, 'smtpServer.host');
});
