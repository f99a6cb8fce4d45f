/** The pages of what has to be done before a sign-in is complete: a verified address, a profile looked over. */
import { say } from '../../src/languages/messages.ts';
import type { Exhibit } from './gallery.ts';

const realm = { name: 'acme', displayName: 'Acme Workshop' };
const login = { realm, client: { name: 'Parts Catalogue', uri: 'https://parts.example.com/' }, version: 7 };
const code = { digits: 8, valid: 300, wait: 30, address: 'a•••@example.com', unavailable: null };
const profile = { username: 'ada', firstName: 'Ada', lastName: 'Lindqvist', email: 'ada@example.com', needsEmail: true };

const method = { name: say('factor.totp.name'), label: 'Old phone', createdAt: '2026-03-01T09:12:00.000Z', lastUsedAt: '2026-10-31T17:45:00.000Z' };
const terms = [
  { lines: ['Whoever signs in here works with drawings of our customers.', 'They stay in this house.'] },
  { lines: ['Tools are lent for a day, and come back clean.'] },
  { address: 'https://acme.example.com/terms' },
];
const wished = { ...login, username: 'ada', wished: true };

export const requiredExhibits: Exhibit[] = [
  { name: 'new password, wished', view: 'login/recovery/password', model: { ...wished, least: 8 } },
  { name: 'profile, wished', view: 'login/update-profile', model: { ...wished, ...profile } },
  { name: 'verify an address, wished', view: 'login/verify-email', model: { ...wished, ...code } },
  { name: 'terms', view: 'login/terms', model: { ...login, terms } },
  { name: 'terms, wished', view: 'login/terms', model: { ...wished, terms: [...terms, { lines: ['x'.repeat(200), '<b>\u202eلا</b>'] }] } },
  { name: 'terms, nobody has written any', view: 'login/terms', model: { ...login, terms: [] } },
  { name: 'another address, wished', view: 'login/update-email', model: { ...wished, now: 'ada@example.com', email: '' } },
  {
    name: 'another address, the code, wished',
    view: 'login/verify-email',
    model: { ...wished, ...code, address: 'ada.lindqvist@example.org', moves: true },
  },
  {
    name: 'another address, taken',
    view: 'login/update-email',
    model: { ...login, username: 'ada', now: null, email: '', errors: [{ field: 'email', message: say('login.profile.taken') }] },
    status: 409,
  },
  { name: 'remove a method, wished', view: 'login/remove-method', model: { ...wished, method } },
  {
    name: 'remove a method, wished, awkward',
    view: 'login/remove-method',
    model: {
      ...wished,
      client: { name: '<b>\u202eلا</b>'.repeat(12), uri: `https://${'very-'.repeat(20)}long.example.com/` },
      method: { ...method, label: 'x'.repeat(60), lastUsedAt: null },
    },
  },
  {
    name: 'remove a method, gone',
    view: 'login/remove-method',
    model: { ...wished, method: null, errors: [{ field: null, message: say('account.methods.gone') }] },
    status: 409,
  },
  {
    name: 'act as a user',
    view: 'login/impersonate',
    model: { realm: login.realm, user: 'erin', administrator: 'admin', minutes: 60, key: 'x'.repeat(43) },
  },
  { name: 'acting as a user', view: 'login/impersonating', model: { realm: login.realm, user: 'erin', minutes: 60, signOut: '#' } },
  { name: 'verify an address', view: 'login/verify-email', model: { ...login, ...code } },
  {
    name: 'verify an address, wrong code',
    view: 'login/verify-email',
    model: { ...login, ...code, wait: 0, errors: [{ field: 'code', message: say('login.code.wrong') }] },
    status: 400,
  },
  {
    name: 'verify an address, nothing sent',
    view: 'login/verify-email',
    model: { ...login, ...code, unavailable: say('login.unavailable.failed') },
  },
  { name: 'profile', view: 'login/update-profile', model: { ...login, ...profile } },
  {
    name: 'profile, wrong',
    view: 'login/update-profile',
    model: {
      ...{ ...login, ...profile, firstName: '', email: 'ada at example' },
      errors: [
        { field: 'firstName', message: say('login.profile.firstName.type') },
        { field: 'email', message: say('login.profile.email.wrong') },
      ],
    },
    status: 400,
  },
];
