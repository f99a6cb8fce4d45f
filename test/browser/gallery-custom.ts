/** The pages of custom factors: with words of their own, without any, and with too many. */
import { say } from '../../src/languages/messages.ts';
import type { Exhibit } from './gallery.ts';

const login = {
  realm: { name: 'acme', displayName: 'Acme Workshop' },
  client: { name: 'Parts Catalogue', uri: 'https://parts.example.com/' },
  version: 7,
};
const asked = {
  name: 'Grid card',
  message: 'Type the characters in the fields C4, A7, E2 of your card.',
  asks: 'C4 A7 E2',
  inputmode: 'text',
  sent: null,
  seconds: 300,
};
const challenge = { ...login, ...asked, another: true, resend: true, notice: null, rememberDays: 30 };
const enrol = { ...login, ...asked, label: '', another: false, resend: true, notice: null, skip: null, offered: false, cancellable: true };
const long = 'The Extraordinarily Long Name of a Donaudampfschifffahrtsgesellschaftskapitänskajütenschlüssel';
const markup = '<script>window.pwned = true</script><img src=x onerror="window.pwned = true">';

export const customExhibits: Exhibit[] = [
  { name: 'custom factor', view: 'factors/custom/challenge', model: challenge },
  {
    name: 'custom factor, code by mail',
    view: 'factors/custom/challenge',
    model: { ...challenge, name: 'Pager', message: null, asks: null, inputmode: 'numeric', sent: 'mail', rememberDays: 0 },
  },
  {
    name: 'custom factor, says nothing',
    view: 'factors/custom/challenge',
    model: { ...challenge, message: null, asks: null, another: false, rememberDays: 0 },
  },
  {
    name: 'custom factor, does not answer',
    view: 'factors/custom/challenge',
    model: { ...challenge, errors: [{ field: 'code', message: say('factor.custom.refused.failed') }] },
    status: 400,
  },
  { name: 'custom factor, long', view: 'factors/custom/challenge', model: { ...challenge, name: long, message: `${long}. `.repeat(4), asks: long } },
  { name: 'custom factor, markup', view: 'factors/custom/challenge', model: { ...challenge, name: markup, message: markup, asks: markup } },
  { name: 'custom factor, enrol', view: 'factors/custom/enrol', model: enrol },
  {
    name: 'custom factor, enrol, wrong',
    view: 'factors/custom/enrol',
    model: {
      ...enrol,
      message: null,
      sent: 'sms',
      inputmode: 'numeric',
      asks: null,
      errors: [{ field: 'code', message: say('factor.custom.enrol.refused.wrong') }],
    },
  },
];
