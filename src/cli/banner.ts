/** What a newcomer sees once the server runs: where to go, and what to sign in with. At most 80 columns, plain text. */
import { DEMO_REALM, type FirstRun } from '../bootstrap.ts';
import type { Config } from '../config.ts';
import { issuerOf } from '../realms/issuer.ts';
import { aligned } from './output.ts';

/** @param demoUrl where the demo application listens; absent when it does not run */
export function banner(config: Config, firstRun: FirstRun, demoUrl: string | undefined): string {
  const realm = config.demo ? DEMO_REALM : 'master';
  const links = [
    ...(demoUrl === undefined ? [] : [['Demo application', demoUrl]]),
    ['Account console', `${issuerOf(config.origin, realm)}/account`],
    ['Admin console', `${config.origin}/admin`],
    ...(config.production ? [] : [['Development inbox', `${config.origin}/inbox`]]),
  ];
  const { people, hint } = credentials(config, firstRun);
  const table = aligned([...links, [''], ...people]).replace(/^(?=.)/gm, '  ');
  return ['', 'Cardea is running.', '', table.trimEnd(), '', ...hint, ''].join('\n');
}

function credentials(config: Config, firstRun: FirstRun): { people: string[][]; hint: string[] } {
  const { adminCredentials, demoCredentials, hasAdministrator } = firstRun;
  const earlier = 'as shown at the first start';
  const made = ({ username, password }: { username: string; password: string }): string => `${username} / ${password}`;
  const given = config.bootstrap.admin;
  const administrator = adminCredentials ? made(adminCredentials) : given ? `${given.username}, with the password of your settings` : earlier;
  const people = [
    ...(config.demo ? [['Demo user', demoCredentials ? made(demoCredentials) : earlier]] : []),
    ['Administrator', hasAdministrator ? administrator : 'there is none yet'],
  ];
  if (!hasAdministrator) return { people, hint: NO_ADMINISTRATOR };
  if (adminCredentials || demoCredentials) return { people, hint: ['The passwords were made for this first start, and are shown this once.'] };
  return { people, hint: ['A forgotten password:', '  cardea user set-password --realm master --username NAME'] };
}

/** How to get a first one. */
const NO_ADMINISTRATOR = [
  'Make the first administrator with',
  '  cardea user create --realm master --username NAME --role admin',
  'or set CARDEA_BOOTSTRAP_ADMIN_USERNAME and _PASSWORD, and start again.',
];
