/** The pages of hardware tokens and of recovery codes: as they are first met, wrong, long, and in another direction. */
import { say } from '../../src/languages/messages.ts';
import type { Exhibit } from './gallery.ts';

const login = {
  realm: { name: 'acme', displayName: 'Acme Workshop' },
  client: { name: 'Parts Catalogue', uri: 'https://parts.example.com/' },
  version: 7,
};
const challenge = { ...login, label: 'C100 1000133508267', digits: 6, resyncing: false, another: true, rememberDays: 30 };
const claim = { ...login, serial: '', label: '', another: true, skip: null, offered: false, cancellable: true };
const long = 'Donaudampfschifffahrtsgesellschaftskapitänskajütenschlüssel';
const bidi = 'invoice\u202Efdp.exe';
const markup = '<script>window.pwned = true</script><img src=x onerror="window.pwned = true">';
const codes = [
  'k7xq-93fm-x2v8-hc4t',
  '2mww-mmmm-wwww-mmmm',
  'b9tu-rk3e-8ywp-6jfa',
  'nd4c-s5gh-7zx2-qv9m',
  'ye6k-pw8r-3bta-uf5j',
  'hq2v-4cns-9gd7-mx8z',
  't8fj-6ukw-e3pb-r5ya',
  'c3zm-v7qx-2nh9-g4sd',
  'w5pa-9rye-k8tu-b6fj',
  'g4hd-2szc-m7vn-q3xk',
];
const paper = { ...login, codes, account: 'ada', madeAt: '2026-11-22T08:30:00.000Z', another: false, skip: null, offered: true, cancellable: false };

export const paperExhibits: Exhibit[] = [
  { name: 'token', view: 'factors/hotp/challenge', model: challenge },
  {
    name: 'token, wrong code',
    view: 'factors/hotp/challenge',
    model: { ...challenge, label: null, digits: 8, rememberDays: 0, errors: [{ field: 'code', message: say('factor.hotp.refused.wrong') }] },
    status: 400,
  },
  { name: 'token, out of step', view: 'factors/hotp/challenge', model: { ...challenge, resyncing: true } },
  {
    name: 'token, out of step, wrong codes',
    view: 'factors/hotp/challenge',
    model: { ...challenge, label: markup, resyncing: true, errors: [{ field: 'code', message: say('factor.hotp.refused.pair') }] },
    status: 400,
  },
  { name: 'token, long name', view: 'factors/hotp/challenge', model: { ...challenge, label: long } },
  { name: 'claim a token', view: 'factors/hotp/enrol', model: claim },
  {
    name: 'claim a token, wrong',
    view: 'factors/hotp/enrol',
    model: {
      ...claim,
      serial: bidi,
      label: markup,
      skip: { until: null, loginsLeft: 2 },
      errors: [{ field: 'code', message: say('factor.hotp.enrol.refused.wrong') }],
    },
    status: 400,
  },
  { name: 'recovery code', view: 'factors/recovery-codes/challenge', model: { ...login, another: true } },
  {
    name: 'recovery code, wrong',
    view: 'factors/recovery-codes/challenge',
    model: { ...login, another: false, errors: [{ field: 'code', message: say('factor.recovery-codes.refused.wrong') }] },
    status: 400,
  },
  { name: 'recovery codes', view: 'factors/recovery-codes/enrol', model: paper },
  {
    name: 'recovery codes, of somebody',
    view: 'factors/recovery-codes/enrol',
    model: { ...paper, account: markup, offered: false, cancellable: true },
  },
];
