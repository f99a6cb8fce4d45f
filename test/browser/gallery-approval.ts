/** The pages where a device is signed in by its user at another one (RFC 8628). */
import { say } from '../../src/languages/messages.ts';
import type { Exhibit } from './gallery.ts';

const form = { realm: { name: 'acme', displayName: 'Acme Workshop' }, action: '/realms/acme/device', xsrf: 'abc123' };
const asked = {
  ...form,
  client: { name: 'Living Room TV', uri: null },
  code: 'WDJB-MJHT',
  program: say('devices.browserOn', { browser: 'Chrome', system: 'Linux' }),
  ip: '198.51.100.7',
  at: '2026-11-21T17:30:00.000Z',
  scopes: [
    { name: 'openid', description: say('login.scope.openid') },
    { name: 'profile', description: say('login.scope.profile') },
    { name: 'offline_access', description: say('login.scope.offline_access') },
  ],
  username: 'ada',
};
const ended = { ...form, reference: null, link: null };

const begun = { ...form, handle: '0123456789ABCDEF0123456789ABCDEF' };
const question = {
  realm: form.realm,
  client: { name: 'Telephone Bank', uri: 'https://bank.example', logo: null, host: null },
  version: '',
  errors: [],
  notice: null,
  account: { username: 'ada' },
  message: 'Transfer 4711, Zürich',
  at: '2026-11-21T17:30:00.000Z',
  scopes: asked.scopes,
};

export const approvalExhibits: Exhibit[] = [
  { name: 'device, code', view: 'login/device', model: { ...form, code: '' } },
  {
    name: 'device, wrong code',
    view: 'login/device',
    model: { ...form, code: 'wdjb mjh', errors: [{ field: 'user_code', message: say('approval.enter.wrong') }] },
    status: 400,
  },
  {
    name: 'device, old page',
    view: 'login/device',
    model: { ...form, code: 'WDJB-MJHT', errors: [{ field: null, message: say('approval.enter.stale') }] },
    status: 400,
  },
  { name: 'device, to confirm', view: 'login/device-confirm', model: asked },
  {
    name: 'device, to confirm, awkward',
    view: 'login/device-confirm',
    model: {
      ...asked,
      client: { name: '<img src=x onerror="window.pwned = true">\u202Egpj.ecioV', uri: null },
      program: say('devices.unknown'),
      ip: '2001:db8:1234:5678:9abc:def0:1234:5678',
      scopes: [],
      username: null,
    },
  },
  {
    name: 'device, signed in',
    view: 'message',
    model: {
      ...ended,
      title: say('approval.done.title'),
      message: say('approval.done.message', { application: 'Living Room TV' }),
      hint: say('approval.done.hint'),
    },
  },
  { name: 'request, link', view: 'login/ciba-begin', model: begun },
  { name: 'request, question', view: 'login/ciba', model: question },
  {
    name: 'request, question, awkward',
    view: 'login/ciba',
    model: {
      ...question,
      client: { ...question.client, name: '<img src=x onerror="window.pwned = true">\u202Egpj.ecioV', uri: null },
      message: '<script>window.pwned = true</script> W4SCT-W4SCT-W4SCT-W4SCT',
      scopes: [],
    },
  },
  ...(['done', 'refused', 'left', 'over'] as const).map(
    (end): Exhibit => ({
      name: `request, ${end}`,
      view: 'message',
      model: {
        ...ended,
        title: say(`approval.request.${end}.title`),
        message: end === 'done' ? say('approval.request.done.message', { application: 'Telephone Bank' }) : say(`approval.request.${end}.message`),
        hint: say(`approval.request.${end}.hint`),
      },
      ...(end === 'over' ? { status: 410 } : {}),
    }),
  ),
  {
    name: 'device, refused',
    view: 'message',
    model: {
      ...ended,
      title: say('approval.refused.title'),
      message: say('approval.refused.message'),
      hint: say('approval.refused.hint'),
    },
  },
];
