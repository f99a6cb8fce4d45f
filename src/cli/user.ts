/** `cardea user`: users are made, their passwords set, and roles given to them; the rest of it stands in files of its own. */
import type { Command } from 'commander';
import { unlockUser } from '../admin/resources/attempts.ts';
import { requireRealm } from '../admin/resources/context.ts';
import { giveRoles, takeRoles } from '../admin/resources/roles.ts';
import { createUser, requireUser, setPassword } from '../admin/resources/users.ts';
import type { Invocation } from './cli.ts';
import { readNewPassword } from './input.ts';
import { withFactorOperator, withOperator } from './open.ts';
import { examples } from './output.ts';
import { describeResetPassword, describeUserDelete, describeUserUpdate } from './user-change.ts';
import { documentOf } from './user-document.ts';
import { describeUserImport } from './user-import.ts';
import { describeUserGet, describeUserList } from './user-list.ts';
import { describeUserCredentials, describeUserLogout, describeUserSessions } from './user-standing.ts';

interface CreateOptions {
  realm: string;
  username: string;
  email?: string;
  emailVerified?: boolean;
  firstName?: string;
  lastName?: string;
  role?: string[];
  password: boolean;
  passwordStdin?: boolean;
  json?: boolean;
}

export function describeUser(user: Command, invocation: Invocation): void {
  user.addHelpText('after', examples('cardea user create --realm staff --username erin --email erin@example.com', 'cardea user list --realm staff'));
  describeCreate(user, invocation);
  describeUserList(user, invocation);
  describeUserGet(user, invocation);
  describeUserUpdate(user, invocation);
  describeUserDelete(user, invocation);
  describeUserImport(user, invocation);
  describeSetPassword(user, invocation);
  describeResetPassword(user, invocation);
  describeUserSessions(user, invocation);
  describeUserLogout(user, invocation);
  describeUserCredentials(user, invocation);
  describeUnlock(user, invocation);
  describeRoles(user, invocation, {
    name: 'add-role',
    description: 'give roles to a user',
    change: giveRoles,
    done: (roles, name) => `Gave ${roles} to ${name}.`,
  });
  describeRoles(user, invocation, {
    name: 'remove-role',
    description: 'take roles that were given to a user',
    change: takeRoles,
    done: (roles, name) => `Took ${roles} of ${name}.`,
  });
}

function describeCreate(user: Command, { terminal, output }: Invocation): void {
  user
    .command('create')
    .description('make a user; the password is typed without echo, or read from standard input')
    .requiredOption('--realm <realm>', 'its realm')
    .requiredOption('--username <name>', 'the name to sign in with')
    .option('--email <address>', 'may be used to sign in, too')
    .option('--email-verified', 'the address is known to be theirs')
    .option('--first-name <name>', 'first name')
    .option('--last-name <name>', 'last name')
    .option('--role <role...>', 'a realm role, such as admin in realm master')
    .option('--password-stdin', 'read the password from standard input')
    .option('--no-password', 'make a user who cannot sign in with a password')
    .option('--json', 'print one JSON document')
    .addHelpText(
      'after',
      examples(
        'cardea user create --realm staff --username erin --email erin@example.com',
        'cardea user create --realm staff --username erin --email erin@example.com --password-stdin --json < password.txt',
        'cardea user create --realm master --username root --role admin',
      ),
    )
    .action(async (options: CreateOptions) => {
      const password = options.password || options.passwordStdin ? await readNewPassword(terminal, options.passwordStdin) : undefined;
      await withOperator(terminal, async (operator) => {
        const realm = await requireRealm(operator, options.realm);
        const { username, email, emailVerified, firstName, lastName, role } = options;
        const made = await createUser(operator, realm, { username, email, emailVerified, firstName, lastName, password, realmRoles: role });
        await output.answer(options.json, documentOf(made, realm.name), () => [`Made user ${made.username} in realm ${realm.name}.`]);
      });
    });
}

function describeSetPassword(user: Command, { terminal, output }: Invocation): void {
  user
    .command('set-password')
    .description("set a user's password and end the user's sessions")
    .requiredOption('--realm <realm>', 'the realm')
    .requiredOption('--username <name>', 'the user')
    .option('--password-stdin', 'read the password from standard input')
    .option('--json', 'print one JSON document')
    .addHelpText(
      'after',
      examples(
        'cardea user set-password --realm staff --username erin',
        'cardea user set-password --realm staff --username erin --password-stdin < password.txt',
      ),
    )
    .action(async (options: { realm: string; username: string; passwordStdin?: boolean; json?: boolean }) => {
      const password = await readNewPassword(terminal, options.passwordStdin);
      await withFactorOperator(terminal, async (operator) => {
        const realm = await requireRealm(operator, options.realm);
        const changed = await setPassword(operator, realm, options.username, password);
        await output.answer(options.json, documentOf(changed, realm.name), () => [`Set the password of ${changed.username} in realm ${realm.name}.`]);
      });
    });
}

function describeUnlock(user: Command, { terminal, output }: Invocation): void {
  user
    .command('unlock')
    .description('lift the pauses after wrong passwords and codes')
    .argument('<username>', 'the user')
    .requiredOption('--realm <realm>', 'the realm')
    .option('--json', 'print one JSON document')
    .addHelpText(
      'after',
      `\nA factor that was switched off stays off: see cardea mfa restore.\n${examples('cardea user unlock --realm staff erin', 'cardea user unlock --realm staff erin --json')}`,
    )
    .action((username: string, options: { realm: string; json?: boolean }) =>
      withFactorOperator(terminal, async (operator) => {
        const realm = await requireRealm(operator, options.realm);
        const found = await requireUser(operator, realm, username);
        const { pauses } = await unlockUser(operator, realm, found);
        await output.answer(options.json, { realm: realm.name, username: found.username, pauses }, () => [
          pauses === 0
            ? `${found.username} was not paused. Wrong passwords and codes so far are forgotten.`
            : `${found.username} may try again at once.`,
        ]);
      }),
    );
}

function describeRoles(
  user: Command,
  { terminal, output }: Invocation,
  how: { name: string; description: string; change: typeof giveRoles; done(roles: string, username: string): string },
): void {
  user
    .command(how.name)
    .description(how.description)
    .requiredOption('--realm <realm>', 'the realm')
    .requiredOption('--username <name>', 'the user')
    .requiredOption('--role <role...>', 'a realm role, or with --client a role of that client')
    .option('--client <id>', 'the client_id of the client that the roles are of')
    .option('--json', 'print one JSON document')
    .addHelpText(
      'after',
      examples(
        `cardea user ${how.name} --realm master --username root --role admin`,
        `cardea user ${how.name} --realm staff --username erin --client wiki --role editor`,
      ),
    )
    .action((options: { realm: string; username: string; role: string[]; client?: string; json?: boolean }) =>
      withOperator(terminal, async (operator) => {
        const realm = await requireRealm(operator, options.realm);
        const found = await requireUser(operator, realm, options.username);
        const { role: roles, client } = options;
        await how.change(
          operator,
          realm,
          found,
          roles.map((name) => ({ name, client })),
        );
        const { username } = found;
        await output.answer(options.json, { realm: realm.name, username, client: client ?? null, roles }, () => [
          how.done(roles.join(', '), username),
        ]);
      }),
    );
}
