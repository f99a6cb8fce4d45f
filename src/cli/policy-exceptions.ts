/** `cardea policy exception`: the one way below a policy, for one user and a time. */
import type { Command } from 'commander';
import { requireRealm } from '../admin/resources/context.ts';
import { addException, allExceptions, removeException } from '../admin/resources/policy-exceptions.ts';
import { requireUser } from '../admin/resources/users.ts';
import type { ExceptionRow } from '../store/policies.ts';
import type { Invocation } from './cli.ts';
import { wrongUsage } from './failures.ts';
import { withOperator } from './open.ts';
import { examples, isoTime, shownTime } from './output.ts';

interface AddOptions {
  realm: string;
  user: string;
  level: string;
  days: string;
  reason: string;
  json?: boolean;
}

export function describeExceptions(policy: Command, invocation: Invocation): void {
  const exception = policy
    .command('exception')
    .description('ask less of one user, for a time and with a reason')
    .addHelpText(
      'after',
      examples(
        'cardea policy exception add --realm staff --user erin --level aal1 --days 7 --reason "new telephone"',
        'cardea policy exception list --realm staff',
        'cardea policy exception remove --realm staff --user erin',
      ),
    );
  describeAdd(exception, invocation);
  describeList(exception, invocation);
  describeRemove(exception, invocation);
}

function describeAdd(exception: Command, { terminal, output }: Invocation): void {
  exception
    .command('add')
    .description('lower what rules ask of a user; never below what an application or being an administrator asks')
    .requiredOption('--realm <realm>', 'the realm')
    .requiredOption('--user <name>', 'the user')
    .requiredOption('--level <level>', 'what is asked instead: aal1, aal2 or phr')
    .requiredOption('--days <n>', 'for how many days, 90 at most')
    .requiredOption('--reason <text>', 'why; it is recorded')
    .option('--json', 'print one JSON document')
    .addHelpText('after', examples('cardea policy exception add --realm staff --user erin --level aal1 --days 7 --reason "new telephone"'))
    .action((options: AddOptions) =>
      withOperator(terminal, async (operator) => {
        if (!/^\d{1,4}$/.test(options.days)) throw wrongUsage('--days wants a number');
        const user = await requireUser(operator, await requireRealm(operator, options.realm), options.user);
        const made = await addException(operator, user, { level: options.level, days: Number(options.days), reason: options.reason });
        await output.answer(options.json, documentOf({ ...made, username: user.username }), () => [
          `${user.username} needs no more than ${made.level} until ${shownTime(made.until)}.`,
        ]);
      }),
    );
}

function describeList(exception: Command, { terminal, output }: Invocation): void {
  exception
    .command('list')
    .description('list the exceptions that have not run out')
    .requiredOption('--realm <realm>', 'the realm')
    .option('--json', 'print one JSON document')
    .addHelpText('after', examples('cardea policy exception list --realm staff', 'cardea policy exception list --realm staff --json'))
    .action(({ realm: name, json }: { realm: string; json?: boolean }) =>
      withOperator(terminal, async (operator) => {
        const realm = await requireRealm(operator, name);
        await output.list(json, allExceptions(operator, realm), {
          document: documentOf,
          columns: [
            { title: 'USER', value: (row) => row.username },
            { title: 'LEVEL', value: (row) => row.level },
            { title: 'UNTIL', value: (row) => shownTime(row.until) },
            { title: 'BY', value: (row) => row.actor },
            { title: 'REASON', value: (row) => row.reason },
          ],
          none: 'There is no exception.',
        });
      }),
    );
}

function describeRemove(exception: Command, { terminal, output }: Invocation): void {
  exception
    .command('remove')
    .description('end the exception of a user at once')
    .requiredOption('--realm <realm>', 'the realm')
    .requiredOption('--user <name>', 'the user')
    .option('--json', 'print one JSON document')
    .addHelpText('after', examples('cardea policy exception remove --realm staff --user erin'))
    .action(({ realm: name, user: username, json }: { realm: string; user: string; json?: boolean }) =>
      withOperator(terminal, async (operator) => {
        const user = await requireUser(operator, await requireRealm(operator, name), username);
        await removeException(operator, user);
        await output.answer(json, { user: user.username, removed: true }, () => [`Ended the exception of ${user.username}.`]);
      }),
    );
}

const documentOf = ({ id, userId, username, level, reason, actor, createdAt, until }: ExceptionRow & { username: string }) => ({
  id,
  user: { id: userId, username },
  level,
  reason,
  actor,
  createdAt: isoTime(createdAt),
  until: isoTime(until),
});
