/** `cardea session`: where users of a realm are signed in, and the end of it. */
import type { Command } from 'commander';
import { requireRealm } from '../admin/resources/context.ts';
import { allSessions, endSession, signEverybodyOut } from '../admin/resources/user-sessions.ts';
import { inEnglish } from '../languages/messages.ts';
import { browserName } from '../sessions/device-names.ts';
import { aliveIn } from '../sessions/lifetimes.ts';
import { type ListedSession, sessionsOfUser } from '../store/session-lists.ts';
import type { Invocation } from './cli.ts';
import { wrongUsage } from './failures.ts';
import { withOperator } from './open.ts';
import { requireYes, YES } from './options.ts';
import { type Column, examples, isoTime, shownTime } from './output.ts';
import { userMeant } from './user-document.ts';

export const sessionDocument = (session: ListedSession, realm: string) => ({
  id: session.id,
  realm,
  userId: session.userId,
  username: session.username,
  ip: session.ip,
  device: session.userAgent === null ? null : inEnglish(browserName(session.userAgent)),
  userAgent: session.userAgent,
  startedAt: isoTime(session.createdAt),
  lastSeenAt: isoTime(session.lastSeenAt),
  remember: session.remember,
  impersonator: session.impersonator && { id: session.impersonator.id, username: session.impersonator.username, realm: session.impersonator.realm },
  clients: Object.values(session.clients),
});

export const sessionColumns: Column<ListedSession>[] = [
  { title: 'ID', value: ({ id }) => id },
  { title: 'USER', value: ({ username }) => username },
  { title: 'ACTED BY', value: ({ impersonator }) => (impersonator ? `${impersonator.username} of ${impersonator.realm}` : '-') },
  { title: 'FROM', value: ({ ip }) => ip ?? '-' },
  { title: 'DEVICE', value: ({ userAgent }) => (userAgent === null ? '-' : inEnglish(browserName(userAgent))) },
  { title: 'STARTED', value: ({ createdAt }) => shownTime(createdAt) },
  { title: 'LAST SEEN', value: ({ lastSeenAt }) => shownTime(lastSeenAt) },
  { title: 'CLIENTS', value: ({ clients }) => Object.values(clients).join(' ') },
];

export function describeSession(session: Command, invocation: Invocation): void {
  session.addHelpText(
    'after',
    examples('cardea session list --realm staff', 'cardea session revoke --realm staff 5b0c2f1e-8a34-4c0d-9b1e-2d6f7a8b9c0d'),
  );
  describeList(session, invocation);
  describeRevoke(session, invocation);
}

function describeList(session: Command, { terminal, output }: Invocation): void {
  session
    .command('list')
    .description('list the sessions that still stand, of a realm or of one user')
    .requiredOption('--realm <realm>', 'the realm')
    .option('--user <user>', 'of this user: username or id')
    .option('--json', 'print one JSON document')
    .addHelpText('after', examples('cardea session list --realm staff', 'cardea session list --realm staff --user erin --json'))
    .action((options: { realm: string; user?: string; json?: boolean }) =>
      withOperator(terminal, async (operator) => {
        const realm = await requireRealm(operator, options.realm);
        const { knex } = operator.db;
        const rows =
          options.user === undefined
            ? allSessions(operator, realm)
            : await sessionsOfUser(knex, realm.id, (await userMeant(operator, realm, options.user)).id, aliveIn(realm.settings, operator.now));
        await output.list(options.json, rows, {
          document: (one) => sessionDocument(one, realm.name),
          columns: sessionColumns,
          none: 'Nobody is signed in.',
        });
      }),
    );
}

function describeRevoke(session: Command, { terminal, output }: Invocation): void {
  session
    .command('revoke')
    .description('end a session, or with --all every session of the realm')
    .argument('[id]', 'as `session list` prints it, or the sid of a token')
    .requiredOption('--realm <realm>', 'the realm')
    .option('--offline', 'end its offline tokens instead, which outlive it')
    .option('--all', 'every session of the realm')
    .option(...YES)
    .option('--json', 'print one JSON document')
    .addHelpText(
      'after',
      examples('cardea session revoke --realm staff 5b0c2f1e-8a34-4c0d-9b1e-2d6f7a8b9c0d', 'cardea session revoke --realm staff --all --yes --json'),
    )
    .action((id: string | undefined, options: { realm: string; offline?: boolean; all?: boolean; yes?: boolean; json?: boolean }) =>
      withOperator(terminal, async (operator) => {
        if ((id === undefined) !== (options.all === true)) throw wrongUsage('name a session, or all of them with --all');
        if (options.all && options.offline) throw wrongUsage('--all and --offline exclude each other');
        const realm = await requireRealm(operator, options.realm);
        if (id === undefined) {
          await requireYes(terminal, options.yes, `Everybody in realm ${realm.name} is signed out.`);
          await signEverybodyOut(operator, realm);
        } else {
          await endSession(operator, realm, id, { offline: options.offline === true });
        }
        await output.answer(options.json, { realm: realm.name, session: id ?? null }, () => [
          id === undefined ? `Everybody in realm ${realm.name} is signed out.` : `Ended session ${id}.`,
        ]);
      }),
    );
}
