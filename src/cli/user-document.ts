/** A user as commands name and print one. */
import type { Command } from 'commander';
import type { Operator } from '../admin/resources/context.ts';
import { detailsOfUsers } from '../admin/resources/user-changes.ts';
import { requireUser } from '../admin/resources/users.ts';
import type { RealmRow } from '../store/realms.ts';
import { type UserRow, userById } from '../store/users.ts';
import { type Column, isoTime } from './output.ts';

export interface OneUser {
  realm: string;
  json?: boolean;
}

const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i;

/** A command about one user of a realm. */
export const aboutUser = (user: Command, name: string, description: string): Command =>
  user
    .command(name)
    .description(description)
    .argument('<user>', 'username or id')
    .requiredOption('--realm <realm>', 'the realm')
    .option('--json', 'print one JSON document');

/** The user of that name, or of that id where nobody is named so; or a 404. */
export async function userMeant(operator: Pick<Operator, 'db'>, realm: RealmRow, meant: string): Promise<UserRow> {
  const byId = UUID.test(meant) ? await userById(operator.db.knex, realm.id, meant.toLowerCase()) : undefined;
  return byId ?? requireUser(operator, realm, meant);
}

export const documentOf = (row: UserRow, realm: string) => ({
  id: row.id,
  realm,
  username: row.username,
  email: row.email,
  emailVerified: row.emailVerified,
  firstName: row.firstName,
  lastName: row.lastName,
  enabled: row.enabled,
  createdAt: isoTime(row.createdAt),
});

/** With what is kept beside the row. */
export async function wholeDocumentOf(operator: Pick<Operator, 'db'>, realm: RealmRow, row: UserRow) {
  const { attributes, requiredActions, otp } = (await detailsOfUsers(operator, realm, [row]))(row);
  return { ...documentOf(row, realm.name), attributes, requiredActions, otp };
}

export const nameOf = (row: UserRow): string => [row.firstName, row.lastName].filter((part) => part !== null).join(' ');

export const userColumns: Column<UserRow>[] = [
  { title: 'USERNAME', value: (row) => row.username },
  { title: 'EMAIL', value: (row) => row.email ?? '' },
  { title: 'NAME', value: nameOf },
  { title: 'ENABLED', value: (row) => (row.enabled ? 'yes' : 'no') },
];
