/** `cardea mfa`: a user's authenticator apps are listed. */
import type { Command } from 'commander';
import { requireRealm } from '../admin/resources/context.ts';
import { requireUser, secondFactorsOf } from '../admin/resources/users.ts';
import type { Invocation } from './cli.ts';
import { withOperator } from './open.ts';
import { examples, isoTime, shownTime } from './output.ts';

export function describeMfa(mfa: Command, { terminal, output }: Invocation): void {
  mfa
    .command('list')
    .description("list a user's authenticator apps")
    .requiredOption('--realm <realm>', 'the realm')
    .requiredOption('--user <name>', 'the user')
    .option('--json', 'print one JSON document')
    .addHelpText('after', examples('cardea mfa list --realm staff --user erin', 'cardea mfa list --realm staff --user erin --json'))
    .action(({ realm: name, user: username, json }: { realm: string; user: string; json?: boolean }) =>
      withOperator(terminal, async (operator) => {
        const user = await requireUser(operator, await requireRealm(operator, name), username);
        await output.list(json, await secondFactorsOf(operator, user), {
          document: (row) => ({
            id: row.id,
            factor: row.factor,
            label: row.label,
            enabled: row.enabled,
            createdAt: isoTime(row.createdAt),
            lastUsedAt: row.lastUsedAt === null ? null : isoTime(row.lastUsedAt),
          }),
          columns: [
            { title: 'NAME', value: (row) => row.label },
            { title: 'FACTOR', value: (row) => row.factor },
            { title: 'ENABLED', value: (row) => (row.enabled ? 'yes' : 'no') },
            { title: 'SINCE', value: (row) => shownTime(row.createdAt) },
            { title: 'LAST USED', value: (row) => shownTime(row.lastUsedAt) },
            { title: 'ID', value: (row) => row.id },
          ],
          none: `${user.username} has no authenticator app.`,
        });
      }),
    );
}
