/** The pages about sessions and applications: some that are strong, one of somebody else's, names that are awkward, and none. */
import { say } from '../../src/languages/messages.ts';
import type { Exhibit } from './gallery.ts';

const page = {
  realm: { name: 'acme', displayName: 'Acme Workshop' },
  base: '/realms/acme/account',
  user: { username: 'ada', displayName: 'Ada Lindqvist' },
};
const times = { startedAt: '2026-11-21T08:00:00.000Z', lastSeenAt: '2026-11-21T17:30:00.000Z' };
const on = (browser: string, system: string) => say('devices.browserOn', { browser, system });
const MARKUP = '<script>window.pwned = true</script><img src=x onerror="window.pwned = true">';
const arabic = 'مكتبة الإسكندرية';

const session = {
  ...{ id: 's1', name: on('Firefox', 'Linux'), here: false, ...times, ip: '198.51.100.7', stays: false, actedBy: null },
  ...{ methods: [say('factor.password.name')], level: 'aal1', levelName: say('login.level.aal1'), applications: ['Parts Catalogue'] },
};
const strong = { level: 'phr', levelName: say('login.level.phr') };

export const sessionExhibits: Exhibit[] = [
  {
    name: 'sessions',
    view: 'account/sessions',
    model: {
      ...page,
      notice: say('sessions.notice.ended'),
      sessions: [
        { ...session, here: true, ...strong, stays: true, methods: [say('factor.password.name'), say('factor.totp.name')] },
        {
          ...{ ...session, id: 's2', name: on('Samsung Internet', 'Android'), ip: '2001:db8:1234:5678:9abc:def0:1234:5678' },
          applications: [arabic, MARKUP, 'Account Console', 'The Extraordinarily Long Name of a Department of International Correspondence'],
        },
        {
          ...session,
          id: 's3',
          name: say('devices.unknown'),
          ip: null,
          methods: [],
          level: null,
          levelName: null,
          actedBy: 'grace',
          applications: [],
        },
      ],
      away: [
        { id: 'c1', name: 'Backup Robot', since: times.startedAt, usedAt: times.lastSeenAt },
        { id: 'c2', name: arabic, since: times.startedAt, usedAt: times.lastSeenAt },
      ],
      ...{ newer: null, older: 2, alone: false },
    },
  },
  {
    name: 'one session',
    view: 'account/sessions',
    model: { ...page, notice: null, sessions: [{ ...session, here: true }], away: [], newer: null, older: null, alone: true },
  },
  {
    name: 'sign out everywhere',
    view: 'account/sign-out-everywhere',
    model: { ...page, all: true, others: 3, away: ['Backup Robot', arabic, MARKUP], trusted: 2 },
  },
  {
    name: 'sign out elsewhere, with nothing there',
    view: 'account/sign-out-everywhere',
    model: { ...page, all: false, others: 0, away: [], trusted: 0 },
  },
  {
    name: 'applications',
    view: 'account/applications',
    model: {
      ...page,
      notice: say('sessions.notice.takenBack'),
      applications: [
        {
          ...{ id: 'c1', name: 'Parts Catalogue', uri: 'https://parts.example.com/', signedIn: true, removable: true },
          ...{ scopes: [say('login.scope.openid'), MARKUP], allowedAt: times.startedAt, awaySince: times.startedAt, awayUsedAt: times.lastSeenAt },
        },
        { id: 'c2', name: arabic, uri: null, signedIn: true, scopes: null, allowedAt: null, awaySince: null, awayUsedAt: null, removable: false },
      ],
    },
  },
  { name: 'no applications', view: 'account/applications', model: { ...page, notice: null, applications: [] } },
  {
    name: 'taking access back',
    view: 'account/take-back',
    model: { ...page, application: { id: 'c1', name: MARKUP, scopes: [say('login.scope.openid')], awaySince: times.startedAt } },
  },
];
