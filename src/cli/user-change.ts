/** `cardea user update`, `delete` and `reset-password`. */
import type { Command } from 'commander';
import { requireRealm } from '../admin/resources/context.ts';
import { type ChangedUser, changeUser, detailsOfUsers, removeUser } from '../admin/resources/user-changes.ts';
import { resetPassword } from '../admin/resources/user-credentials.ts';
import { REQUIRED_ACTIONS, type RequiredAction } from '../admin/resources/users.ts';
import { badInput } from '../errors.ts';
import type { Invocation } from './cli.ts';
import { wrongUsage } from './failures.ts';
import { readNewPassword } from './input.ts';
import { withFactorOperator, withOperator } from './open.ts';
import { assignments, requireYes, YES } from './options.ts';
import { examples } from './output.ts';
import { aboutUser, documentOf, type OneUser, userMeant, wholeDocumentOf } from './user-document.ts';

interface UpdateOptions extends OneUser {
  username?: string;
  email?: string;
  emailVerified?: boolean;
  firstName?: string;
  lastName?: string;
  enable?: boolean;
  disable?: boolean;
  attribute?: string[];
  removeAttribute?: string[];
  requireAction?: string[];
  waiveAction?: string[];
}

export function describeUserUpdate(user: Command, { terminal, output }: Invocation): void {
  aboutUser(user, 'update', 'change a user; what is not named stays, and an empty text takes a value away')
    .option('--username <name>', 'another name to sign in with')
    .option('--email <address>', 'another address; it is not verified then')
    .option('--email-verified', 'the address is known to be theirs')
    .option('--no-email-verified', 'it is not')
    .option('--first-name <name>', 'first name')
    .option('--last-name <name>', 'last name')
    .option('--enable', 'may sign in')
    .option('--disable', 'may not sign in, and is signed out')
    .option('--attribute <name=value...>', 'all values of this attribute; once for each')
    .option('--remove-attribute <name...>', 'take an attribute away')
    .option('--require-action <action...>', 'to be done at the next sign-in, too')
    .option('--waive-action <action...>', 'not to be done any more')
    .addHelpText(
      'after',
      `\nActions: ${REQUIRED_ACTIONS.join(', ')
        .replace(/(.{40,68}),? /g, '$1,\n  ')
        .replaceAll(',,', ',')}\n`,
    )
    .addHelpText(
      'after',
      examples(
        'cardea user update --realm staff erin --email erin@example.com --email-verified',
        'cardea user update --realm staff erin --disable',
        'cardea user update --realm staff erin --attribute department=sales --require-action UPDATE_PASSWORD --json',
      ),
    )
    .action((meant: string, options: UpdateOptions) =>
      withOperator(terminal, async (operator) => {
        if (options.enable && options.disable) throw wrongUsage('--enable and --disable exclude each other');
        const realm = await requireRealm(operator, options.realm);
        const row = await userMeant(operator, realm, meant);
        const details = (await detailsOfUsers(operator, realm, [row]))(row);
        const changed = await changeUser(operator, realm, row.id, changesOf(options, details));
        await output.answer(options.json, await wholeDocumentOf(operator, realm, changed), () => [
          `Changed user ${changed.username} in realm ${realm.name}.`,
        ]);
      }),
    );
}

const emptied = (text: string): string | null => (text.trim() === '' ? null : text);

function changesOf(
  options: UpdateOptions,
  { attributes, requiredActions }: { attributes: Record<string, string[]>; requiredActions: string[] },
): ChangedUser {
  const { username, email, emailVerified, firstName, lastName, enable, disable } = options;
  const [gone, added] = [options.removeAttribute ?? [], assignments('--attribute', options.attribute ?? [])];
  const kept = Object.entries(attributes).filter(([name]) => !gone.includes(name));
  const [waived, asked] = [knownActions('--waive-action', options.waiveAction), knownActions('--require-action', options.requireAction)];
  const actions = knownActions('', requiredActions).filter((action) => !waived.includes(action));
  return {
    ...(username === undefined ? {} : { username }),
    ...(email === undefined ? {} : { email: emptied(email) }),
    ...(emailVerified === undefined ? {} : { emailVerified }),
    ...(firstName === undefined ? {} : { firstName: emptied(firstName) }),
    ...(lastName === undefined ? {} : { lastName: emptied(lastName) }),
    ...(enable || disable ? { enabled: enable === true } : {}),
    ...(gone.length + added.size === 0 ? {} : { attributes: Object.fromEntries([...kept, ...added]) }),
    ...(waived.length + asked.length === 0 ? {} : { requiredActions: [...new Set([...actions, ...asked])] }),
  };
}

function knownActions(option: string, names: readonly string[] = []): RequiredAction[] {
  const unknown = names.find((name) => !REQUIRED_ACTIONS.some((action) => action === name));
  if (unknown !== undefined && option !== '') throw badInput(option, `There is no action "${unknown}".`);
  return REQUIRED_ACTIONS.filter((action) => names.includes(action));
}

export function describeUserDelete(user: Command, { terminal, output }: Invocation): void {
  aboutUser(user, 'delete', 'delete a user with sessions, factors and all else that is theirs')
    .option(...YES)
    .addHelpText('after', examples('cardea user delete --realm staff erin', 'cardea user delete --realm staff erin --yes --json'))
    .action((meant: string, options: OneUser & { yes?: boolean }) =>
      withOperator(terminal, async (operator) => {
        const realm = await requireRealm(operator, options.realm);
        const row = await userMeant(operator, realm, meant);
        await requireYes(terminal, options.yes, `User ${row.username} of realm ${realm.name} is deleted for good.`);
        await removeUser(operator, realm, row.id);
        await output.answer(options.json, documentOf(row, realm.name), () => [`Deleted user ${row.username} of realm ${realm.name}.`]);
      }),
    );
}

export function describeResetPassword(user: Command, { terminal, output }: Invocation): void {
  aboutUser(user, 'reset-password', 'give a user another password and tell them; sessions go on')
    .option('--temporary', 'the user chooses another one at the next sign-in')
    .option('--password-stdin', 'read the password from standard input')
    .addHelpText('after', '\nWith an end of all sessions: cardea user set-password.\n')
    .addHelpText(
      'after',
      examples(
        'cardea user reset-password --realm staff erin --temporary',
        'cardea user reset-password --realm staff erin --password-stdin < password.txt',
      ),
    )
    .action(async (meant: string, options: OneUser & { temporary?: boolean; passwordStdin?: boolean }) => {
      const value = await readNewPassword(terminal, options.passwordStdin);
      await withFactorOperator(terminal, async (operator) => {
        const realm = await requireRealm(operator, options.realm);
        const row = await userMeant(operator, realm, meant);
        const temporary = options.temporary === true;
        await resetPassword(operator, realm, row, { value, temporary });
        await output.answer(options.json, { ...documentOf(row, realm.name), temporary }, () => [
          `${row.username} has another password${temporary ? ', until the next sign-in' : ''}.`,
        ]);
      });
    });
}
