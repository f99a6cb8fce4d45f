/** Pages with the logo of the application: a small one, one that is as wide as it may be, and one beside an awkward name. */
import { say } from '../../src/languages/messages.ts';
import type { Exhibit } from './gallery.ts';

const page = { realm: { name: 'acme', displayName: 'Acme Workshop' }, version: 7 };
/** The realm's own icon stands for it: it can be seen through, and is dark. */
const logo = { src: '/resources/favicon.svg', width: 48, height: 48 };
const client = { name: 'Parts Catalogue', uri: 'https://parts.example.com/', host: 'parts.example.com', logo };
const wide = {
  name: 'The Extraordinarily Long Name of a Department of International Correspondence',
  uri: null,
  host: `${'very-long-label-of-a-host'.repeat(2)}.example.com:8443`,
  logo: { ...logo, src: '/resources/logo.svg', width: 120 },
  policy: 'https://parts.example.com/privacy',
  terms: 'https://parts.example.com/terms',
};
const awkward = { ...client, name: '<img src=x onerror="window.pwned = true">\u202Egpj.ecioV', host: null };
const scopes = [{ name: 'profile', description: say('login.scope.profile') }];
const device = {
  ...{ ...page, action: '/realms/acme/device', xsrf: 'abc123', code: 'WDJB-MJHT', ip: '198.51.100.7', at: '2026-11-21T17:30:00.000Z' },
  ...{ program: say('devices.browserOn', { browser: 'Chrome', system: 'Linux' }), scopes, username: 'ada' },
};
const account = { realm: page.realm, base: '/realms/acme/account', user: { username: 'ada', displayName: 'Ada Lindqvist' } };
const access = { id: 'c1', signedIn: true, removable: true, scopes: [say('login.scope.profile')], allowedAt: device.at, awaySince: null };

export const logoExhibits: Exhibit[] = [
  { name: 'sign-in, logo', view: 'login/sign-in', model: { ...page, client, username: '', canRemember: true, forgot: '#' } },
  { name: 'sign-in, wide logo', view: 'login/sign-in', model: { ...page, client: wide, username: '', canRemember: false, forgot: null } },
  { name: 'password, logo', view: 'login/password', model: { ...page, client, username: 'ada', canSwitch: true, forgot: null, discovery: null } },
  { name: 'consent, logo', view: 'login/consent', model: { ...page, client, account: { username: 'ada' }, scopes } },
  { name: 'consent, wide logo', view: 'login/consent', model: { ...page, client: wide, account: { username: 'ada' }, scopes } },
  { name: 'device, logo', view: 'login/device-confirm', model: { ...device, client: awkward } },
  {
    name: 'applications, logos',
    view: 'account/applications',
    model: {
      ...{ ...account, notice: null },
      applications: [
        { ...access, ...client },
        { ...access, ...wide, id: 'c2' },
        { ...access, ...awkward, id: 'c3' },
      ],
    },
  },
  { name: 'taking access back, logo', view: 'account/take-back', model: { ...account, application: { ...access, ...client } } },
];
