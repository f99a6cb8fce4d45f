/** The pages of a forgotten password, of an enrolment pass, and of another password in the account console. */
import { say } from '../../src/languages/messages.ts';
import type { Exhibit } from './gallery.ts';

const realm = { name: 'acme', displayName: 'Acme Workshop' };
const client = { name: 'Parts Catalogue', uri: 'https://parts.example.com/' };
const back = '/realms/acme/login/x3NwE1oJrM8yJ4abcdef';
const login = { realm, client, version: 7 };
const choice = (factor: 'totp' | 'recovery-codes') => ({
  ...{ factor, level: null, levelName: null, credentialId: null, label: '', lastUsed: false },
  name: say(`factor.${factor}.name`),
  strength: say(`factor.${factor}.strength`),
});
const message = { realm, hint: null, reference: null, link: { href: '#', label: say('recovery.again') } };

export const recoveryExhibits: Exhibit[] = [
  { name: 'forgotten password', view: 'login/recovery/ask', model: { realm, username: '', login: 'x3NwE1oJrM8yJ4abcdef', back } },
  {
    name: 'forgotten password, too often',
    view: 'login/recovery/ask',
    model: { realm, username: 'ada', login: null, back: null, errors: [{ field: null, message: say('error.paused', { wait: 720 }) }] },
    status: 429,
  },
  { name: 'forgotten password, sent', view: 'login/recovery/sent', model: { realm, minutes: 30, again: '#', back } },
  { name: 'link of the mail', view: 'login/recovery/link', model: { realm, key: 'x'.repeat(43) } },
  {
    name: 'link of an administrator',
    view: 'login/recovery/invited',
    model: { realm, key: 'x'.repeat(80), todo: [say('recovery.invited.todo.password'), say('recovery.invited.todo.app')] },
  },
  { name: 'link of an administrator, all done', view: 'login/recovery/invited-done', model: { realm, back, later: false } },
  { name: 'link of an administrator, more later', view: 'login/recovery/invited-done', model: { realm, back, later: true } },
  {
    name: 'choose, for a new password',
    view: 'login/recovery/choose',
    model: { ...login, purpose: 'challenge', skip: null, choices: [choice('totp'), choice('recovery-codes')] },
  },
  { name: 'new password', view: 'login/recovery/password', model: { ...login, client: null, username: 'ada', least: 8 } },
  {
    name: 'new password, refused',
    view: 'login/recovery/password',
    model: {
      ...{ ...login, client: null, username: 'ada@example.com', least: 12 },
      errors: [{ field: 'password-new', message: say('recovery.newPassword.name') }],
    },
    status: 400,
  },
  { name: 'new password, set', view: 'login/recovery/done', model: { realm, back } },
  {
    name: 'link in another browser',
    view: 'message',
    model: { ...message, title: say('recovery.browser.title'), message: say('recovery.browser.message') },
    status: 403,
  },
  {
    name: 'no new password for an administrator',
    view: 'message',
    model: {
      ...message,
      title: say('recovery.refused.title'),
      message: say('recovery.refused.administrator'),
      link: { href: '#', label: say('recovery.back') },
    },
    status: 403,
  },
  { name: 'enrolment pass', view: 'factors/enrolment-pass/challenge', model: { ...login, another: true } },
  {
    name: 'enrolment pass, wrong',
    view: 'factors/enrolment-pass/challenge',
    model: { ...login, another: false, errors: [{ field: 'code', message: say('factor.enrolment-pass.refused.wrong') }] },
    status: 400,
  },
  { name: 'everything lost', view: 'login/lost', model: { ...login, another: true, codes: true, pass: false, forgotten: false } },
  {
    name: 'everything lost, for a new password',
    view: 'login/lost',
    model: { ...login, client: null, another: false, codes: false, pass: false, forgotten: true },
  },
  {
    name: 'another password',
    view: 'account/password',
    model: { realm, base: '/realms/acme/account', user: { username: 'ada', displayName: 'Ada Lindqvist' }, has: true, least: 8 },
  },
  {
    name: 'another password, refused',
    view: 'account/password',
    model: {
      ...{ realm, base: '/realms/acme/account', user: { username: 'ada', displayName: null }, has: true, least: 8 },
      errors: [{ field: 'password-confirm', message: say('recovery.newPassword.different') }],
    },
    status: 400,
  },
];
