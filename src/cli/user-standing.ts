/** `cardea user sessions`, `logout` and `credentials`: where a user is signed in, and by what. */
import type { Command } from 'commander';
import { requireRealm } from '../admin/resources/context.ts';
import type { ShownCredential } from '../admin/resources/factor-operator.ts';
import { listCredentials } from '../admin/resources/user-credentials.ts';
import { signUserOut } from '../admin/resources/user-sessions.ts';
import { aliveIn } from '../sessions/lifetimes.ts';
import { sessionsOfUser } from '../store/session-lists.ts';
import type { Invocation } from './cli.ts';
import { withFactorOperator, withOperator } from './open.ts';
import { examples, isoTime, shownTime } from './output.ts';
import { sessionColumns, sessionDocument } from './session.ts';
import { aboutUser, type OneUser, userMeant } from './user-document.ts';

export function describeUserSessions(user: Command, { terminal, output }: Invocation): void {
  aboutUser(user, 'sessions', 'list the sessions of a user that still stand, newest first')
    .addHelpText('after', examples('cardea user sessions --realm staff erin', 'cardea user sessions --realm staff erin --json'))
    .action((meant: string, options: OneUser) =>
      withOperator(terminal, async (operator) => {
        const realm = await requireRealm(operator, options.realm);
        const row = await userMeant(operator, realm, meant);
        await output.list(options.json, await sessionsOfUser(operator.db.knex, realm.id, row.id, aliveIn(realm.settings, operator.now)), {
          document: (session) => sessionDocument(session, realm.name),
          columns: sessionColumns,
          none: `${row.username} is not signed in.`,
        });
      }),
    );
}

export function describeUserLogout(user: Command, { terminal, output }: Invocation): void {
  aboutUser(user, 'logout', 'sign a user out everywhere, offline tokens too')
    .addHelpText('after', examples('cardea user logout --realm staff erin', 'cardea user logout --realm staff erin --json'))
    .action((meant: string, options: OneUser) =>
      withOperator(terminal, async (operator) => {
        const realm = await requireRealm(operator, options.realm);
        const row = await userMeant(operator, realm, meant);
        await signUserOut(operator, realm, row);
        await output.answer(options.json, { realm: realm.name, id: row.id, username: row.username }, () => [
          `${row.username} is signed out everywhere.`,
        ]);
      }),
    );
}

export function describeUserCredentials(user: Command, { terminal, output }: Invocation): void {
  aboutUser(user, 'credentials', 'list what a user signs in with, the password too, never a secret')
    .addHelpText('after', '\nSecond factors are changed by cardea mfa.\n')
    .addHelpText('after', examples('cardea user credentials --realm staff erin', 'cardea user credentials --realm staff erin --json'))
    .action((meant: string, options: OneUser) =>
      withFactorOperator(terminal, async (operator) => {
        const realm = await requireRealm(operator, options.realm);
        const row = await userMeant(operator, realm, meant);
        await output.list<ShownCredential>(options.json, await listCredentials(operator, row), {
          document: ({ id, factor, label, enabled, level, createdAt, lastUsedAt }) => ({
            ...{ id, realm: realm.name, username: row.username, factor, label, enabled, level },
            createdAt: isoTime(createdAt),
            lastUsedAt: lastUsedAt === null ? null : isoTime(lastUsedAt),
          }),
          columns: [
            { title: 'FACTOR', value: ({ factor }) => factor },
            { title: 'NAME', value: ({ label }) => label },
            { title: 'ENABLED', value: ({ enabled }) => (enabled ? 'yes' : 'no') },
            { title: 'SINCE', value: ({ createdAt }) => shownTime(createdAt) },
            { title: 'LAST USED', value: ({ lastUsedAt }) => shownTime(lastUsedAt) },
            { title: 'ID', value: ({ id }) => id },
          ],
          none: `${row.username} has nothing to sign in with.`,
        });
      }),
    );
}
