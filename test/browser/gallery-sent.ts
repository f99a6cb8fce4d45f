/** The pages of codes by mail and text message: as they are first met, wrong, long, and in another direction. */
import { say } from '../../src/languages/messages.ts';
import type { Exhibit } from './gallery.ts';

const login = {
  realm: { name: 'acme', displayName: 'Acme Workshop' },
  client: { name: 'Parts Catalogue', uri: 'https://parts.example.com/' },
  version: 7,
  notice: null,
};
const challenge = { ...login, digits: 8, valid: 300, wait: 30, another: true, resend: true, rememberDays: 0 };
const mail = { ...challenge, address: 'a•••@example.com' };
const sms = { ...challenge, digits: 6, wait: 60, masked: '•••• 42' };
const ways = { another: true, skip: null, offered: false, cancellable: true };
const number = { ...login, ...ways, number: '', changeWait: 259_200 };
const confirm = { ...sms, ...ways, number: '' };
const markup = '<script>window.pwned = true</script>@example.com';
const long = `a•••@${'extraordinarily-long-name-of-a-host.'.repeat(5)}example`;

export const sentExhibits: Exhibit[] = [
  { name: 'code by mail', view: 'factors/email-otp/challenge', model: { ...mail, rememberDays: 30 } },
  {
    name: 'code by mail, wrong',
    view: 'factors/email-otp/challenge',
    model: { ...mail, wait: 0, another: false, errors: [{ field: 'code', message: say('factor.email-otp.refused.wrong') }] },
    status: 400,
  },
  { name: 'code by mail, sent again', view: 'factors/email-otp/challenge', model: { ...mail, address: long, notice: say('login.code.sentAgain') } },
  { name: 'code by mail, markup', view: 'factors/email-otp/challenge', model: { ...mail, address: markup } },
  { name: 'enrol a mailbox', view: 'factors/email-otp/enrol', model: { ...mail, ...ways } },
  {
    name: 'enrol a mailbox, wrong',
    view: 'factors/email-otp/enrol',
    model: { ...mail, ...ways, errors: [{ field: 'code', message: say('factor.email-otp.enrol.refused.expired') }] },
    status: 400,
  },
  { name: 'code by text message', view: 'factors/sms-otp/challenge', model: sms },
  {
    name: 'code by text message, too early',
    view: 'factors/sms-otp/challenge',
    model: { ...sms, wait: 41, errors: [{ field: null, message: say('login.code.wait', { wait: 41 }) }] },
    status: 429,
  },
  { name: 'enrol a number', view: 'factors/sms-otp/enrol', model: number },
  {
    name: 'enrol a number, not served',
    view: 'factors/sms-otp/enrol',
    model: { ...number, number: '+1 876 555 0123', errors: [{ field: 'number', message: say('factor.sms-otp.enrol.refused.not-allowed') }] },
    status: 400,
  },
  { name: 'confirm a number', view: 'factors/sms-otp/confirm', model: confirm },
  {
    name: 'confirm a number, another one that is wrong',
    view: 'factors/sms-otp/confirm',
    model: { ...confirm, wait: 0, number: '0151', errors: [{ field: 'number', message: say('factor.sms-otp.enrol.refused.no-address') }] },
    status: 400,
  },
];
