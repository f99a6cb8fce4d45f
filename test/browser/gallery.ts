/**
 * Every page with a realistic model, and the awkward ones: long names, names in another direction, names with markup
 * in them, and forms that are wrong. The models are the contract between the rooms and the views.
 */
import QRCode from 'qrcode';
import { say, sayOr } from '../../src/languages/messages.ts';
import { apiExhibits } from './gallery-api.ts';
import { approvalExhibits } from './gallery-approval.ts';
import { customExhibits } from './gallery-custom.ts';
import { deviceExhibits } from './gallery-devices.ts';
import { logoExhibits } from './gallery-logos.ts';
import { paperExhibits } from './gallery-paper.ts';
import { recoveryExhibits } from './gallery-recovery.ts';
import { requiredExhibits } from './gallery-required.ts';
import { sentExhibits } from './gallery-sent.ts';
import { sessionExhibits } from './gallery-sessions.ts';

export interface Exhibit {
  name: string;
  view: string;
  model: Record<string, unknown>;
  status?: number;
}

const realm = { name: 'acme', displayName: 'Acme Workshop' };
const client = { name: 'Parts Catalogue', uri: 'https://parts.example.com/' };
const version = 7;
const base = '/realms/acme/account';
const user = { username: 'ada', displayName: 'Ada Lindqvist' };

const long =
  'The Extraordinarily Long Name of a Department of International Correspondence and Unabbreviated Donaudampfschifffahrtsgesellschaftskapitän Affairs';
const arabic = 'مكتبة الإسكندرية';
/** A name that tries to turn the text around it: right-to-left override. */
const bidi = 'invoice\u202Efdp.exe';
export const MARKUP = '<script>window.pwned = true</script><img src=x onerror="window.pwned = true">';

const key = 'JBSW Y3DP EHPK 3PXP JBSW Y3DP EHPK 3PXP';
const otpauth = 'otpauth://totp/Acme%20Workshop:ada?secret=JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP&issuer=Acme%20Workshop&algorithm=SHA1&digits=6&period=30';
const qr = await QRCode.toString(otpauth, { type: 'svg', margin: 0 });

const login = { realm, client, version };
const app = { qr, key, otpauth, digits: 6, period: 30, algorithm: 'SHA-1', issuer: 'Acme Workshop', account: 'ada' };
const enrol = { ...login, ...app, label: '', another: false, skip: null, offered: false, cancellable: false };

const addable = ['totp', 'security-key', 'passkey'].map((id) => ({
  id,
  name: sayOr(`factor.${id}.name`, id),
  strength: sayOr(`factor.${id}.strength`, ''),
}));

/** As the server makes them; nothing answers in the gallery. */
const keyToUse = { challenge: 'x3NwE1oJrM8yJ4', rpId: 'id.example.com', timeout: 300_000, userVerification: 'required', allowCredentials: [] };
const keyToMake = {
  challenge: 'x3NwE1oJrM8yJ4',
  rp: { id: 'id.example.com', name: 'Acme Workshop' },
  user: { id: 'AAAA', name: 'ada', displayName: 'ada' },
  pubKeyCredParams: [{ type: 'public-key', alg: -7 }],
};
const asked = { ...login, options: keyToUse, label: '', another: true, rememberDays: 0 };
const made = { ...login, options: keyToMake, label: '', another: true, skip: null, offered: false, cancellable: true };

const totp = {
  factor: 'totp',
  name: say('factor.totp.name'),
  strength: say('factor.totp.strength'),
};
const plain = { level: null, levelName: null, renamable: false, preferred: false, preferable: false, left: null };
const password = {
  ...plain,
  id: '7d6c3a52-2f3e-4a41-9d0d-5b9a54a6c001',
  factor: 'password',
  name: say('factor.password.name'),
  label: '',
  createdAt: '2026-01-12T08:30:00.000Z',
  lastUsedAt: '2026-11-20T17:02:00.000Z',
  removable: false,
  reason: null,
};
const phone = {
  ...{ ...plain, level: 'aal2', levelName: say('login.level.aal2'), renamable: true, preferable: true },
  id: '7d6c3a52-2f3e-4a41-9d0d-5b9a54a6c002',
  factor: 'totp',
  name: say('factor.totp.name'),
  label: 'Pixel 9',
  createdAt: '2026-02-03T09:14:00.000Z',
  lastUsedAt: '2026-11-20T17:03:00.000Z',
  removable: true,
  reason: null,
};
const spare = { ...phone, id: '7d6c3a52-2f3e-4a41-9d0d-5b9a54a6c003', label: 'Old tablet in the drawer', lastUsedAt: null };
const paper = {
  ...{ ...phone, id: '7d6c3a52-2f3e-4a41-9d0d-5b9a54a6c004', factor: 'recovery-codes', name: say('factor.recovery-codes.name'), label: '' },
  ...{ renamable: false, preferable: false, left: 3 },
};
const pass = {
  ...{ ...plain, id: '7d6c3a52-2f3e-4a41-9d0d-5b9a54a6c005', factor: 'enrolment-pass', name: say('factor.enrolment-pass.name'), label: '' },
  ...{
    level: 'aal2',
    levelName: say('login.level.aal2'),
    createdAt: phone.createdAt,
    lastUsedAt: null,
    removable: true,
    reason: say('account.methods.pass'),
  },
};
const only = {
  ...phone,
  removable: false,
  reason: say('account.methods.only', { realm: 'Acme Workshop' }),
};

export const exhibits: Exhibit[] = [
  { name: 'sign-in', view: 'login/sign-in', model: { ...login, username: '', canRemember: true, forgot: '#' } },
  {
    name: 'sign-in, refused',
    view: 'login/sign-in',
    model: {
      ...login,
      username: 'ada',
      errors: [{ field: 'password', message: say('login.signIn.wrong') }],
    },
  },
  {
    name: 'sign-in, empty fields',
    view: 'login/sign-in',
    model: {
      ...login,
      username: '',
      errors: [
        { field: 'username', message: say('login.signIn.typeUsername') },
        { field: 'password', message: say('login.signIn.typePassword') },
      ],
    },
  },
  {
    name: 'sign-in, too many attempts',
    view: 'login/sign-in',
    model: { ...login, client: null, username: 'ada', errors: [{ field: null, message: say('error.paused', { wait: 30 }) }] },
    status: 429,
  },
  {
    name: 'sign-in, long names',
    view: 'login/sign-in',
    model: { ...login, realm: { name: 'long', displayName: long }, client: { name: long }, username: `${'a'.repeat(80)}@example.com` },
  },
  {
    name: 'sign-in, other direction',
    view: 'login/sign-in',
    model: { ...login, realm: { name: 'alex', displayName: arabic }, client: { name: bidi }, username: arabic },
  },
  {
    name: 'sign-in, markup in names',
    view: 'login/sign-in',
    model: { ...login, realm: { name: 'x', displayName: MARKUP }, client: { name: MARKUP }, username: `"><${MARKUP}` },
  },
  {
    name: 'sign-in, with a passkey',
    view: 'login/sign-in',
    model: { ...login, username: '', canRemember: true, remember: true, discovery: { options: keyToUse } },
  },
  {
    name: 'sign-in, passkey refused',
    view: 'login/sign-in',
    model: { ...login, username: '', discovery: { options: keyToUse }, errors: [{ field: null, message: say('login.signIn.passkeyWrong') }] },
    status: 400,
  },
  {
    name: 'password or passkey again',
    view: 'login/password',
    model: { ...login, username: 'ada', canSwitch: false, discovery: { options: keyToUse } },
  },
  { name: 'passkey', view: 'factors/passkey/challenge', model: { ...asked, label: 'Work laptop' } },
  {
    name: 'passkey, refused',
    view: 'factors/passkey/challenge',
    model: { ...asked, label: MARKUP, errors: [{ field: null, message: say('factor.passkey.refused.wrong') }] },
  },
  { name: 'security key', view: 'factors/security-key/challenge', model: { ...asked, another: false, rememberDays: 30 } },
  {
    name: 'no code could be sent',
    view: 'login/unavailable',
    model: { ...login, factorName: say('factor.sms-otp.name'), message: say('login.unavailable.failed'), another: true, skip: null },
  },
  {
    name: 'offer a passkey',
    view: 'login/offer',
    model: {
      ...login,
      factorName: say('factor.passkey.name'),
      strength: say('factor.passkey.strength'),
      why: say('login.offer.passkey'),
    },
  },
  { name: 'enrol a passkey', view: 'factors/passkey/enrol', model: { ...made, offered: true, another: false, cancellable: false } },
  {
    name: 'enrol a security key, refused',
    view: 'factors/security-key/enrol',
    model: { ...made, label: bidi, errors: [{ field: 'response', message: say('factor.security-key.enrol.refused.not-allowed') }] },
  },
  { name: 'password again', view: 'login/password', model: { ...login, username: 'ada', canSwitch: true, forgot: '#' } },
  {
    name: 'password again, refused',
    view: 'login/password',
    model: { ...login, username: 'ada', canSwitch: false, errors: [{ field: 'password', message: say('login.signIn.wrong') }] },
  },
  {
    name: 'choose a factor',
    view: 'login/choose',
    model: {
      ...login,
      purpose: 'challenge',
      choices: [
        { ...totp, credentialId: phone.id, label: phone.label, lastUsed: true },
        { ...totp, credentialId: spare.id, label: MARKUP, lastUsed: false },
        { ...totp, credentialId: only.id, label: arabic, lastUsed: false },
      ],
    },
  },
  {
    name: 'choose what to enrol',
    view: 'login/choose',
    model: {
      ...login,
      purpose: 'enrol',
      choices: [
        { ...totp, credentialId: null, label: '', lastUsed: false },
        {
          factor: 'webauthn',
          credentialId: null,
          name: 'Passkey or security key',
          label: '',
          strength: 'Your device confirms it. Strongest: it can’t be used on a fake site.',
          lastUsed: false,
        },
      ],
    },
  },
  { name: 'code', view: 'factors/totp/challenge', model: { ...login, label: 'Pixel 9', digits: 6, another: true } },
  {
    name: 'code, wrong',
    view: 'factors/totp/challenge',
    model: {
      ...login,
      label: '',
      digits: 8,
      another: false,
      errors: [{ field: 'code', message: say('login.code.wrong') }],
    },
  },
  { name: 'enrol', view: 'factors/totp/enrol', model: enrol },
  {
    name: 'enrol, wrong code',
    view: 'factors/totp/enrol',
    model: {
      ...enrol,
      issuer: long,
      digits: 8,
      period: 60,
      algorithm: 'SHA-256',
      account: bidi,
      label: MARKUP,
      another: true,
      cancellable: true,
      errors: [{ field: 'code', message: say('login.code.wrongAtEnrolment') }],
    },
  },
  {
    name: 'consent',
    view: 'login/consent',
    model: {
      ...login,
      account: { username: 'ada' },
      scopes: [
        { name: 'openid', description: say('login.scope.openid') },
        { name: 'profile', description: say('login.scope.profile') },
        { name: 'email', description: say('login.scope.email') },
        { name: 'offline_access', description: say('login.scope.offline_access') },
      ],
    },
  },
  {
    name: 'consent, with terms',
    view: 'login/consent',
    model: {
      ...login,
      client: { ...client, policy: 'https://parts.example.com/privacy', terms: 'https://parts.example.com/terms' },
      account: { username: 'ada' },
      scopes: [{ name: 'openid', description: say('login.scope.openid') }],
    },
  },
  {
    name: 'consent, awkward',
    view: 'login/consent',
    model: {
      ...login,
      client: {
        name: MARKUP,
        uri: `https://example.com/${'very-long-path/'.repeat(12)}`,
        policy: 'https://example.com/privacy',
        terms: `https://example.com/terms?${MARKUP}`,
      },
      account: { username: bidi },
      scopes: [{ name: 'x', description: long }],
    },
  },
  {
    name: 'sign out',
    view: 'login/logout',
    model: { realm, client, action: '/realms/acme/protocol/openid-connect/logout/confirm', fields: { xsrf: 'abc123' } },
  },
  { name: 'sign out, no application', view: 'login/logout', model: { realm, client: null, action: '/x', fields: { xsrf: 'abc123' } } },
  { name: 'signed out of one application', view: 'login/signed-out', model: { realm, client, stays: true } },
  { name: 'signed out', view: 'login/signed-out', model: { realm, client: null, stays: false } },
  { name: 'stayed signed in', view: 'login/signed-out', model: { realm, client: null, stays: true } },
  {
    name: 'message',
    view: 'message',
    model: {
      realm,
      title: say('error.title.expired'),
      message: say('error.protocol.over.message'),
      hint: say('error.protocol.over.hint'),
      reference: '0f2c9a1e-77f1-4f0b-9a54-0d6c3a2b91aa',
      link: { href: 'https://parts.example.com/', label: 'Back to Parts Catalogue' },
    },
    status: 410,
  },
  {
    name: 'message, no realm',
    view: 'message',
    model: { title: say('error.title.404'), message: say('error.noPage'), hint: null, reference: '0f2c9a1e', link: null },
    status: 404,
  },
  {
    name: 'sign-in methods',
    view: 'account/sign-in-methods',
    model: {
      realm,
      base,
      user,
      notice: null,
      methods: [password, { ...phone, preferred: true, preferable: false }, spare, paper, pass],
      addable,
      waiting: [],
      back: { href: '/', name: 'Wiki' },
    },
  },
  {
    name: 'sign-in methods, renaming refused',
    view: 'account/sign-in-methods',
    model: {
      realm,
      base,
      user: { username: 'ada', displayName: null },
      notice: say('account.notice.added'),
      methods: [password, only, { ...spare, label: MARKUP }, { ...spare, id: 'x4', label: long }],
      addable: [],
      waiting: [
        { name: 'Telephone Bank', at: '2026-11-21T17:30:00.000Z', href: '/realms/acme/device?request=0123456789ABCDEF0123456789ABCDEF' },
        { name: MARKUP, at: '2026-11-21T17:31:00.000Z', href: '/realms/acme/device?request=0123456789ABCDEF0123456789ABCDEE' },
      ],
      renaming: { id: only.id, label: '' },
      errors: [{ field: 'label', message: say('account.methods.labelLength', { most: 60 }) }],
    },
  },
  { name: 'remove a method', view: 'account/remove-method', model: { realm, base, user, method: phone } },
  { name: 'remove a method, awkward', view: 'account/remove-method', model: { realm, base, method: { ...spare, label: MARKUP } } },
  {
    name: 'realms',
    view: 'admin/overview',
    model: {
      realm: { name: 'master', displayName: 'Cardea' },
      base: '/admin/master/console',
      user: { username: 'admin', displayName: null },
      realms: [
        { name: 'master', displayName: 'Cardea', mfa: 'required', users: 1, clients: 3, issuer: 'http://localhost:8080/realms/master' },
        { name: 'demo', displayName: 'Demo', mfa: 'optional', users: 2, clients: 2, issuer: 'http://localhost:8080/realms/demo' },
        { name: 'acme', displayName: long, mfa: 'off', users: 1_248_000, clients: 48, issuer: `http://localhost:8080/realms/${'acme-'.repeat(12)}` },
      ],
    },
  },
  {
    name: 'realms, a page of many',
    view: 'admin/overview',
    model: {
      realm: { name: 'master', displayName: 'Cardea' },
      base: '/admin/master/console',
      user: { username: 'admin', displayName: null },
      realms: [{ name: 'acme', displayName: 'Acme Workshop', mfa: 'required', users: 12, clients: 7, issuer: 'http://localhost:8080/realms/acme' }],
      first: '/admin/master/console/',
      next: '/admin/master/console/?after=acme',
    },
  },
  {
    name: 'realms, with the floor of administrators lowered',
    view: 'admin/overview',
    model: {
      realm: { name: 'master', displayName: 'Cardea' },
      base: '/admin/master/console',
      user: { username: 'admin', displayName: null },
      warning: say('policy.floor.lowered', { level: 'aal1', realm: 'master' }),
      realms: [
        {
          ...{ name: 'master', displayName: 'Cardea', mfa: 'off', users: 1, clients: 3, issuer: 'http://localhost:8080/realms/master' },
          warning: say('policy.floor.loweredBadge', { level: 'aal1' }),
        },
      ],
    },
  },
  {
    name: 'no administrator',
    view: 'admin/not-allowed',
    model: { realm: { name: 'master', displayName: 'Cardea' }, base: '/admin/master/console', user: { username: long, displayName: null } },
    status: 403,
  },
  {
    name: 'inbox',
    view: 'inbox',
    model: {
      messages: [
        { at: '2026-11-21T23:50:00.000Z', channel: 'sms', to: '+46 70 123 45 67', subject: null, text: '481 220 is your code for Acme Workshop.' },
        {
          at: '2026-11-21T23:41:00.000Z',
          channel: 'email',
          to: 'ada@example.com',
          subject: 'An authenticator app was added to your account',
          text: 'Hello Ada,\n\nan authenticator app named “Pixel 9” was added to your account at Acme Workshop.\n\nIf that was not you, change your password now:\nhttp://localhost:8080/realms/acme/account',
        },
        { at: '2026-11-21T23:40:00.000Z', channel: 'email', to: bidi, subject: MARKUP, text: `${MARKUP}\n${'x'.repeat(300)}` },
      ],
    },
  },
  { name: 'inbox, empty', view: 'inbox', model: { messages: [] } },
  ...apiExhibits,
  ...approvalExhibits,
  ...customExhibits,
  ...recoveryExhibits,
  ...requiredExhibits,
  ...deviceExhibits,
  ...paperExhibits,
  ...sentExhibits,
  ...sessionExhibits,
  ...logoExhibits,
];
