/** `cardea role`: roles of a realm and of its clients are made and listed. */
import type { Command } from 'commander';
import { requireRealm } from '../admin/resources/context.ts';
import { allRoles, createRole, effectiveRolesOf } from '../admin/resources/roles.ts';
import { requireUser } from '../admin/resources/users.ts';
import type { Invocation } from './cli.ts';
import { withOperator } from './open.ts';
import { examples, isoTime } from './output.ts';
import { describeRoleComposites, describeRoleDelete, describeRoleUpdate, describeRoleUsers } from './role-change.ts';

export function describeRole(role: Command, invocation: Invocation): void {
  role.addHelpText('after', examples('cardea role create --realm staff --name seller', 'cardea role list --realm staff'));
  describeCreate(role, invocation);
  describeList(role, invocation);
  describeRoleUpdate(role, invocation);
  describeRoleDelete(role, invocation);
  describeRoleComposites(role, invocation);
  describeRoleUsers(role, invocation);
}

function describeCreate(role: Command, { terminal, output }: Invocation): void {
  role
    .command('create')
    .description('make a role of the realm, or of one of its clients')
    .requiredOption('--realm <realm>', 'its realm')
    .requiredOption('--name <name>', 'its name, as tokens say it')
    .option('--client <id>', 'the client_id of its client; without, it is of the realm')
    .option('--description <text>', 'what it is for')
    .option('--json', 'print one JSON document')
    .addHelpText(
      'after',
      examples('cardea role create --realm staff --name seller', 'cardea role create --realm staff --client wiki --name editor --json'),
    )
    .action((options: { realm: string; name: string; client?: string; description?: string; json?: boolean }) =>
      withOperator(terminal, async (operator) => {
        const realm = await requireRealm(operator, options.realm);
        const { name, client, description } = options;
        const { id, createdAt, ...made } = await createRole(operator, realm, { name, client, description });
        const document = {
          id,
          realm: realm.name,
          client: client ?? null,
          name: made.name,
          description: made.description,
          createdAt: isoTime(createdAt),
        };
        await output.answer(options.json, document, () => [
          `Made role ${made.name} of ${client === undefined ? 'realm' : `client ${client} in realm`} ${realm.name}.`,
        ]);
      }),
    );
}

function describeList(role: Command, { terminal, output }: Invocation): void {
  role
    .command('list')
    .description('list the roles of the realm or of a client by name, or all that a user has')
    .requiredOption('--realm <realm>', 'the realm')
    .option('--client <id>', 'the client_id of the client')
    .option('--user <name>', 'what this user has, also by groups and by other roles')
    .option('--json', 'print one JSON document')
    .addHelpText(
      'after',
      examples('cardea role list --realm staff', 'cardea role list --realm staff --client wiki', 'cardea role list --realm staff --user erin --json'),
    )
    .action((options: { realm: string; client?: string; user?: string; json?: boolean }) =>
      withOperator(terminal, async (operator) => {
        const realm = await requireRealm(operator, options.realm);
        const { client, user } = options;
        if (user === undefined) {
          await output.list(options.json, allRoles(operator, realm, client), {
            document: ({ id, name, description }) => ({ id, realm: realm.name, client: client ?? null, name, description }),
            columns: [
              { title: 'NAME', value: (row) => row.name },
              { title: 'DESCRIPTION', value: (row) => row.description ?? '' },
            ],
            none: 'There is no role.',
          });
          return;
        }
        const all = await effectiveRolesOf(operator, await requireUser(operator, realm, user));
        const shown = client === undefined ? all : all.filter((one) => one.client === client);
        await output.list(options.json, shown, {
          document: (one) => ({ id: one.id, realm: realm.name, client: one.client, name: one.name }),
          columns: [
            { title: 'CLIENT', value: (one) => one.client ?? '-' },
            { title: 'NAME', value: (one) => one.name },
          ],
          none: `User ${user} has no role.`,
        });
      }),
    );
}
