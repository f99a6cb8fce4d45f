/** `cardea group`: the groups of a realm are made and listed, and users put into them and taken out. */
import type { Command } from 'commander';
import { requireRealm } from '../admin/resources/context.ts';
import { addMember, allGroups, createGroup, giveGroupRoles, removeMember, takeGroupRoles } from '../admin/resources/groups.ts';
import { requireUser } from '../admin/resources/users.ts';
import type { GroupRow } from '../store/groups.ts';
import type { Invocation } from './cli.ts';
import { describeGroupDelete, describeGroupGet, describeGroupMembers, describeGroupUpdate } from './group-change.ts';
import { withOperator } from './open.ts';
import { examples, isoTime } from './output.ts';

export function describeGroup(group: Command, invocation: Invocation): void {
  group.addHelpText(
    'after',
    examples('cardea group create --realm staff --name sales --role seller', 'cardea group add-member --realm staff --group /sales --user erin'),
  );
  describeCreate(group, invocation);
  describeList(group, invocation);
  describeGroupGet(group, invocation);
  describeGroupUpdate(group, invocation);
  describeGroupDelete(group, invocation);
  describeGroupMembers(group, invocation);
  describeMembership(group, invocation, {
    name: 'add-member',
    description: 'put a user into a group',
    change: addMember,
    done: (user, path) => `Put ${user} into group ${path}.`,
  });
  describeMembership(group, invocation, {
    name: 'remove-member',
    description: 'take a user out of a group',
    change: removeMember,
    done: (user, path) => `Took ${user} out of group ${path}.`,
  });
  describeRoles(group, invocation, {
    name: 'add-role',
    description: 'give roles to a group: its members and those of the groups below have them',
    change: giveGroupRoles,
    done: (roles, path) => `Gave ${roles} to group ${path}.`,
  });
  describeRoles(group, invocation, {
    name: 'remove-role',
    description: 'take roles of a group',
    change: takeGroupRoles,
    done: (roles, path) => `Took ${roles} of group ${path}.`,
  });
}

interface CreateOptions {
  realm: string;
  name: string;
  parent?: string;
  role?: string[];
  json?: boolean;
}

function describeCreate(group: Command, { terminal, output }: Invocation): void {
  group
    .command('create')
    .description('make a group, at the top or in another one')
    .requiredOption('--realm <realm>', 'its realm')
    .requiredOption('--name <name>', 'its name')
    .option('--parent <path>', 'the path of the group that it is in')
    .option('--role <role...>', 'a realm role that its members have')
    .option('--json', 'print one JSON document')
    .addHelpText(
      'after',
      examples(
        'cardea group create --realm staff --name sales --role seller',
        'cardea group create --realm staff --name emea --parent /sales --json',
      ),
    )
    .action((options: CreateOptions) =>
      withOperator(terminal, async (operator) => {
        const realm = await requireRealm(operator, options.realm);
        const roles = (options.role ?? []).map((name) => ({ name }));
        const made = await createGroup(operator, realm, { name: options.name, parent: options.parent }, roles);
        await output.answer(options.json, documentOf(made, realm.name), () => [`Made group ${made.path} in realm ${realm.name}.`]);
      }),
    );
}

function describeList(group: Command, { terminal, output }: Invocation): void {
  group
    .command('list')
    .description('list the groups of a realm by path')
    .requiredOption('--realm <realm>', 'the realm')
    .option('--json', 'print one JSON document')
    .addHelpText('after', examples('cardea group list --realm staff', 'cardea group list --realm staff --json'))
    .action(({ realm: name, json }: { realm: string; json?: boolean }) =>
      withOperator(terminal, async (operator) => {
        const realm = await requireRealm(operator, name);
        await output.list(json, allGroups(operator, realm), {
          document: (row) => documentOf(row, realm.name),
          columns: [
            { title: 'PATH', value: (row) => row.path },
            { title: 'ID', value: (row) => row.id },
          ],
          none: `Realm ${realm.name} has no group.`,
        });
      }),
    );
}

function describeMembership(
  group: Command,
  { terminal, output }: Invocation,
  how: { name: string; description: string; change: typeof addMember; done(user: string, path: string): string },
): void {
  group
    .command(how.name)
    .description(how.description)
    .requiredOption('--realm <realm>', 'the realm')
    .requiredOption('--group <path>', 'the path of the group, such as /sales/emea')
    .requiredOption('--user <name>', 'the user')
    .option('--json', 'print one JSON document')
    .addHelpText('after', examples(`cardea group ${how.name} --realm staff --group /sales/emea --user erin`))
    .action((options: { realm: string; group: string; user: string; json?: boolean }) =>
      withOperator(terminal, async (operator) => {
        const realm = await requireRealm(operator, options.realm);
        const user = await requireUser(operator, realm, options.user);
        await how.change(operator, realm, options.group, user);
        const document = { realm: realm.name, group: options.group, username: user.username };
        await output.answer(options.json, document, () => [how.done(user.username, options.group)]);
      }),
    );
}

function describeRoles(
  group: Command,
  { terminal, output }: Invocation,
  how: { name: string; description: string; change: typeof giveGroupRoles; done(roles: string, path: string): string },
): void {
  group
    .command(how.name)
    .description(how.description)
    .requiredOption('--realm <realm>', 'the realm')
    .requiredOption('--group <path>', 'the path of the group, such as /sales/emea')
    .requiredOption('--role <role...>', 'a realm role, or with --client a role of that client')
    .option('--client <id>', 'the client_id of the client that the roles are of')
    .option('--json', 'print one JSON document')
    .addHelpText('after', examples(`cardea group ${how.name} --realm staff --group /sales --role seller`))
    .action((options: { realm: string; group: string; role: string[]; client?: string; json?: boolean }) =>
      withOperator(terminal, async (operator) => {
        const realm = await requireRealm(operator, options.realm);
        const { group: path, role: roles, client } = options;
        await how.change(
          operator,
          realm,
          path,
          roles.map((name) => ({ name, client })),
        );
        await output.answer(options.json, { realm: realm.name, group: path, client: client ?? null, roles }, () => [
          how.done(roles.join(', '), path),
        ]);
      }),
    );
}

const documentOf = (row: GroupRow, realm: string) => ({ id: row.id, realm, name: row.name, path: row.path, createdAt: isoTime(row.createdAt) });
