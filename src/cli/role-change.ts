/** `cardea role update`, `delete`, `add-composite`, `remove-composite`, `composites` and `users`. */
import type { Command } from 'commander';
import { type Operator, requireRealm } from '../admin/resources/context.ts';
import { addContained, changeRole, removeContained, removeRoleById, requireRoleByName } from '../admin/resources/role-changes.ts';
import { notFound } from '../errors.ts';
import { clientByClientId } from '../store/clients.ts';
import type { RealmRow } from '../store/realms.ts';
import { containedRoles, type ShownRole, usersWithRole } from '../store/role-lists.ts';
import type { Invocation } from './cli.ts';
import { withOperator } from './open.ts';
import { assignments, everyPage, requireYes, YES } from './options.ts';
import { examples } from './output.ts';
import { userColumns, documentOf as userDocument } from './user-document.ts';

interface RoleOptions {
  realm: string;
  client?: string;
  json?: boolean;
}

/** A command about one role of a realm, or of one of its clients. */
const aboutRole = (role: Command, name: string, description: string): Command =>
  role
    .command(name)
    .description(description)
    .argument('<role>', 'its name')
    .requiredOption('--realm <realm>', 'the realm')
    .option('--client <id>', 'the client_id of its client; without, it is of the realm')
    .option('--json', 'print one JSON document');

async function roleMeant(operator: Operator, realm: RealmRow, name: string, client: string | undefined): Promise<ShownRole> {
  return requireRoleByName(operator, realm, await ownerOf(operator, realm, client), name);
}

async function ownerOf({ db }: Operator, realm: RealmRow, client: string | undefined): Promise<string | null> {
  if (client === undefined) return null;
  const row = await clientByClientId(db.knex, realm.id, client);
  if (!row) throw notFound(`There is no client "${client}" in realm "${realm.name}".`);
  return row.id;
}

const documentOf = ({ id, name, description, composite, client, attributes }: ShownRole, realm: string) => ({
  ...{ id, realm, client, name, description, composite, attributes },
});

export function describeRoleUpdate(role: Command, { terminal, output }: Invocation): void {
  aboutRole(role, 'update', 'change a role; what is not named stays')
    .option('--name <name>', 'another name')
    .option('--description <text>', 'what it is for; an empty text takes it away')
    .option('--attribute <name=value...>', 'all values of this attribute; once for each')
    .option('--remove-attribute <name...>', 'take an attribute away')
    .addHelpText(
      'after',
      examples(
        'cardea role update seller --realm staff --description "sells things"',
        'cardea role update editor --realm staff --client wiki --name writer --json',
      ),
    )
    .action((name: string, options: RoleOptions & { name?: string; description?: string; attribute?: string[]; removeAttribute?: string[] }) =>
      withOperator(terminal, async (operator) => {
        const realm = await requireRealm(operator, options.realm);
        const found = await roleMeant(operator, realm, name, options.client);
        const [gone, added] = [options.removeAttribute ?? [], assignments('--attribute', options.attribute ?? [])];
        const kept = Object.entries(found.attributes).filter(([key]) => !gone.includes(key));
        await changeRole(operator, realm, found, {
          ...(options.name === undefined ? {} : { name: options.name }),
          ...(options.description === undefined ? {} : { description: options.description.trim() === '' ? null : options.description }),
          ...(gone.length + added.size === 0 ? {} : { attributes: Object.fromEntries([...kept, ...added]) }),
        });
        const changed = await roleMeant(operator, realm, options.name ?? name, options.client);
        await output.answer(options.json, documentOf(changed, realm.name), () => [`Changed role ${changed.name}.`]);
      }),
    );
}

export function describeRoleDelete(role: Command, { terminal, output }: Invocation): void {
  aboutRole(role, 'delete', 'delete a role; nobody has it any more')
    .option(...YES)
    .addHelpText('after', examples('cardea role delete seller --realm staff', 'cardea role delete editor --realm staff --client wiki --yes --json'))
    .action((name: string, options: RoleOptions & { yes?: boolean }) =>
      withOperator(terminal, async (operator) => {
        const realm = await requireRealm(operator, options.realm);
        const found = await roleMeant(operator, realm, name, options.client);
        await requireYes(terminal, options.yes, `Role ${found.name} of realm ${realm.name} is taken of everybody and deleted.`);
        await removeRoleById(operator, realm, found);
        await output.answer(options.json, documentOf(found, realm.name), () => [`Deleted role ${found.name}.`]);
      }),
    );
}

export function describeRoleComposites(role: Command, { terminal, output }: Invocation): void {
  for (const how of [
    { name: 'add-composite', description: 'put roles into a role: whoever has it has them', change: addContained, done: 'contains' },
    { name: 'remove-composite', description: 'take roles out of a role', change: removeContained, done: 'no longer contains' },
  ])
    aboutRole(role, how.name, how.description)
      .requiredOption('--contains <role...>', 'the roles within')
      .option('--contains-client <id>', 'the client_id of the client that they are of')
      .addHelpText(
        'after',
        examples(
          `cardea role ${how.name} manager --realm staff --contains seller buyer`,
          `cardea role ${how.name} manager --realm staff --contains editor --contains-client wiki --json`,
        ),
      )
      .action((name: string, options: RoleOptions & { contains: string[]; containsClient?: string }) =>
        withOperator(terminal, async (operator) => {
          const realm = await requireRealm(operator, options.realm);
          const found = await roleMeant(operator, realm, name, options.client);
          const children = await Promise.all(options.contains.map((child) => roleMeant(operator, realm, child, options.containsClient)));
          await how.change(operator, realm, found, children);
          const document = {
            realm: realm.name,
            client: options.client ?? null,
            role: found.name,
            contains: children.map((one) => documentOf(one, realm.name)),
          };
          await output.answer(options.json, document, () => [`Role ${found.name} ${how.done} ${options.contains.join(', ')}.`]);
        }),
      );
  aboutRole(role, 'composites', 'list the roles within a role')
    .addHelpText('after', examples('cardea role composites manager --realm staff', 'cardea role composites manager --realm staff --json'))
    .action((name: string, options: RoleOptions) =>
      withOperator(terminal, async (operator) => {
        const realm = await requireRealm(operator, options.realm);
        const found = await roleMeant(operator, realm, name, options.client);
        const rows = everyPage((place) => containedRoles(operator.db.knex, realm.id, found.id, undefined, place));
        await output.list(options.json, rows, {
          document: (row) => documentOf(row, realm.name),
          columns: [
            { title: 'CLIENT', value: (row) => row.client ?? '-' },
            { title: 'NAME', value: (row) => row.name },
          ],
          none: `Role ${found.name} contains no other.`,
        });
      }),
    );
}

export function describeRoleUsers(role: Command, { terminal, output }: Invocation): void {
  aboutRole(role, 'users', 'list the users that a role was given to; those of groups are not among them')
    .addHelpText('after', examples('cardea role users seller --realm staff', 'cardea role users editor --realm staff --client wiki --json'))
    .action((name: string, options: RoleOptions) =>
      withOperator(terminal, async (operator) => {
        const realm = await requireRealm(operator, options.realm);
        const found = await roleMeant(operator, realm, name, options.client);
        await output.list(
          options.json,
          everyPage((place) => usersWithRole(operator.db.knex, realm.id, found.id, place)),
          {
            document: (row) => userDocument(row, realm.name),
            columns: userColumns,
            none: `Nobody was given role ${found.name}.`,
          },
        );
      }),
    );
}
