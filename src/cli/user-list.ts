/** `cardea user list` and `get`: users are looked for, and one is shown. */
import type { Command } from 'commander';
import { type Operator, requireRealm } from '../admin/resources/context.ts';
import { allUsers } from '../admin/resources/users.ts';
import type { RealmRow } from '../store/realms.ts';
import { findUsers, type UserSearch } from '../store/user-search.ts';
import type { UserRow } from '../store/users.ts';
import type { Invocation } from './cli.ts';
import { withOperator } from './open.ts';
import { assignments, wholeNumber } from './options.ts';
import { aligned, examples, printable } from './output.ts';
import { aboutUser, documentOf, nameOf, type OneUser, userColumns, userMeant, wholeDocumentOf } from './user-document.ts';

interface ListOptions {
  realm: string;
  search?: string;
  username?: string;
  email?: string;
  firstName?: string;
  lastName?: string;
  exact?: boolean;
  attribute?: string[];
  enabled?: boolean;
  disabled?: boolean;
  first?: number;
  max?: number;
  json?: boolean;
}

export function describeUserList(user: Command, { terminal, output }: Invocation): void {
  user
    .command('list')
    .description('list the users of a realm by username, all of them or those that are found')
    .requiredOption('--realm <realm>', 'the realm')
    .option('--search <words>', 'how usernames, addresses and names begin; *ab* is within')
    .option('--username <text>', 'a part of the username')
    .option('--email <text>', 'a part of the address')
    .option('--first-name <text>', 'a part of the first name')
    .option('--last-name <text>', 'a part of the last name')
    .option('--exact', 'the whole of these, and not a part')
    .option('--attribute <name=value...>', 'has this attribute with this value')
    .option('--enabled', 'only those who may sign in')
    .option('--disabled', 'only those who may not')
    .option('--first <number>', 'pass over so many', wholeNumber('--first'))
    .option('--max <number>', 'show so many at most', wholeNumber('--max'))
    .option('--json', 'print one JSON document')
    .addHelpText(
      'after',
      examples(
        'cardea user list --realm staff',
        'cardea user list --realm staff --search erin --json',
        'cardea user list --realm staff --email erin@example.com --exact',
        'cardea user list --realm staff --attribute department=sales --first 100 --max 50',
      ),
    )
    .action((options: ListOptions) =>
      withOperator(terminal, async (operator) => {
        const realm = await requireRealm(operator, options.realm);
        await output.list(options.json, usersAsAsked(operator, realm, options), {
          document: (row) => documentOf(row, realm.name),
          columns: userColumns,
          none: `Nobody of realm ${realm.name} is found.`,
        });
      }),
    );
}

/** Rows that are asked for at a time. */
const PAGE = 500;

async function* usersAsAsked(operator: Operator, realm: RealmRow, options: ListOptions): AsyncGenerator<UserRow> {
  const { realm: _realm, json: _json, first = 0, max = Number.POSITIVE_INFINITY, enabled, disabled, attribute, ...fields } = options;
  const search: UserSearch = {
    ...fields,
    ...(enabled || disabled ? { enabled: enabled === true } : {}),
    attributes: [...assignments('--attribute', attribute ?? [])].flatMap(([name, values]) => values.map((value) => [name, value] as const)),
    serviceAccounts: false,
  };
  const isSearch =
    Object.keys(fields).length > 0 || enabled || disabled || attribute !== undefined || options.first !== undefined || options.max !== undefined;
  if (!isSearch) return yield* allUsers(operator, realm);
  for (let shown = 0; shown < max; ) {
    const page = await findUsers(operator.db.knex, realm.id, search, { first: first + shown, max: Math.min(PAGE, max - shown) });
    yield* page;
    shown += page.length;
    if (page.length < PAGE) return;
  }
}

export function describeUserGet(user: Command, { terminal, output }: Invocation): void {
  aboutUser(user, 'get', 'show a user, with attributes and what is to be done at the next sign-in')
    .addHelpText('after', examples('cardea user get --realm staff erin', 'cardea user get --realm staff erin --json'))
    .action((meant: string, options: OneUser) =>
      withOperator(terminal, async (operator) => {
        const realm = await requireRealm(operator, options.realm);
        const row = await userMeant(operator, realm, meant);
        const document = await wholeDocumentOf(operator, realm, row);
        await output.answer(options.json, document, () =>
          aligned([
            ['Username', printable(row.username)],
            ['Id', row.id],
            ['Email', row.email === null ? '-' : `${printable(row.email)}${row.emailVerified ? '' : ' (not verified)'}`],
            ['Name', printable(nameOf(row)) || '-'],
            ['Enabled', row.enabled ? 'yes' : 'no'],
            ['To be done', document.requiredActions.join(', ') || '-'],
            ['Since', document.createdAt],
            ...Object.entries(document.attributes).map(([name, values]) => [printable(name), printable(values.join(', '))]),
          ])
            .trimEnd()
            .split('\n'),
        );
      }),
    );
}
