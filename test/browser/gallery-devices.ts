/** The page of devices: one that is trusted, one with an address as long as they come, and none at all. */
import { say } from '../../src/languages/messages.ts';
import type { Exhibit } from './gallery.ts';

const page = {
  realm: { name: 'acme', displayName: 'Acme Workshop' },
  base: '/realms/acme/account',
  user: { username: 'ada', displayName: 'Ada Lindqvist' },
};
const times = { firstSeenAt: '2026-06-02T08:00:00.000Z', lastSeenAt: '2026-11-21T17:30:00.000Z' };
const on = (browser: string, system: string) => say('devices.browserOn', { browser, system });

export const deviceExhibits: Exhibit[] = [
  {
    name: 'devices',
    view: 'account/devices',
    model: {
      ...page,
      notice: say('devices.notice.forgotten'),
      trusts: true,
      devices: [
        { id: 'd1', name: on('Firefox', 'Linux'), here: true, ...times, ip: '198.51.100.7', trustedUntil: '2026-12-21T17:30:00.000Z' },
        {
          id: 'd2',
          name: on('Samsung Internet', 'Android'),
          here: false,
          ...times,
          ip: '2001:db8:1234:5678:9abc:def0:1234:5678',
          trustedUntil: null,
        },
        { id: 'd3', name: say('devices.unknown'), here: false, ...times, ip: null, trustedUntil: null },
      ],
    },
  },
  { name: 'no devices', view: 'account/devices', model: { ...page, notice: null, trusts: false, devices: [] } },
];
