/** `cardea group get`, `update`, `delete` and `members`. */
import type { Command } from 'commander';
import { type Operator, requireRealm } from '../admin/resources/context.ts';
import { requireGroupAt, setGroupAttributes } from '../admin/resources/group-changes.ts';
import { changeGroup, removeGroup } from '../admin/resources/groups.ts';
import { membersOf, type ShownGroup } from '../store/group-lists.ts';
import type { RealmRow } from '../store/realms.ts';
import { directRoles } from '../store/role-lists.ts';
import type { Invocation } from './cli.ts';
import { wrongUsage } from './failures.ts';
import { withOperator } from './open.ts';
import { assignments, everyPage, requireYes, YES } from './options.ts';
import { aligned, examples, isoTime, printable } from './output.ts';
import { userColumns, documentOf as userDocument } from './user-document.ts';

interface GroupOptions {
  realm: string;
  json?: boolean;
}

/** A command about one group of a realm. */
const aboutGroup = (group: Command, name: string, description: string): Command =>
  group
    .command(name)
    .description(description)
    .argument('<path>', 'its path, such as /sales/emea')
    .requiredOption('--realm <realm>', 'the realm')
    .option('--json', 'print one JSON document');

async function wholeDocumentOf(operator: Operator, realm: RealmRow, group: ShownGroup) {
  const roles = await directRoles(operator.db.knex, realm.id, { group: group.id }, undefined);
  return {
    ...{ id: group.id, realm: realm.name, name: group.name, path: group.path, attributes: group.attributes, groupsBelow: group.children },
    roles: roles.map(({ name, client }) => ({ name, client })),
    createdAt: isoTime(group.createdAt),
  };
}

export function describeGroupGet(group: Command, { terminal, output }: Invocation): void {
  aboutGroup(group, 'get', 'show a group, with its attributes and roles')
    .addHelpText('after', examples('cardea group get /sales --realm staff', 'cardea group get /sales/emea --realm staff --json'))
    .action((path: string, options: GroupOptions) =>
      withOperator(terminal, async (operator) => {
        const realm = await requireRealm(operator, options.realm);
        const document = await wholeDocumentOf(operator, realm, await requireGroupAt(operator, realm, path));
        const { roles, attributes } = document;
        await output.answer(options.json, document, () =>
          aligned([
            ['Path', printable(document.path)],
            ['Id', document.id],
            ['Groups below', String(document.groupsBelow)],
            ['Roles', roles.map(({ name, client }) => printable(client === null ? name : `${client}:${name}`)).join(', ') || '-'],
            ...Object.entries(attributes).map(([name, values]) => [printable(name), printable(values.join(', '))]),
          ])
            .trimEnd()
            .split('\n'),
        );
      }),
    );
}

interface UpdateOptions extends GroupOptions {
  name?: string;
  parent?: string;
  top?: boolean;
  attribute?: string[];
  removeAttribute?: string[];
}

export function describeGroupUpdate(group: Command, { terminal, output }: Invocation): void {
  aboutGroup(group, 'update', 'rename a group, move it with all below it, or change its attributes')
    .option('--name <name>', 'another name')
    .option('--parent <path>', 'move it into this group')
    .option('--top', 'move it to the top')
    .option('--attribute <name=value...>', 'all values of this attribute; once for each')
    .option('--remove-attribute <name...>', 'take an attribute away')
    .addHelpText(
      'after',
      examples('cardea group update /sales/emea --realm staff --name europe', 'cardea group update /emea --realm staff --parent /sales --json'),
    )
    .action((path: string, options: UpdateOptions) =>
      withOperator(terminal, async (operator) => {
        const { name, parent, top } = options;
        if (top && parent !== undefined) throw wrongUsage('--top and --parent exclude each other');
        const realm = await requireRealm(operator, options.realm);
        const found = await requireGroupAt(operator, realm, path);
        const [gone, added] = [options.removeAttribute ?? [], assignments('--attribute', options.attribute ?? [])];
        const moved = await changeGroup(operator, realm, found.path, { name, ...(top ? { parent: null } : { parent }) });
        if (gone.length + added.size > 0) {
          const kept = Object.entries(found.attributes).filter(([key]) => !gone.includes(key));
          await setGroupAttributes(operator, realm, { ...found, path: moved.path }, Object.fromEntries([...kept, ...added]));
        }
        const document = await wholeDocumentOf(operator, realm, await requireGroupAt(operator, realm, moved.path));
        await output.answer(options.json, document, () => [`Changed group ${moved.path}.`]);
      }),
    );
}

export function describeGroupDelete(group: Command, { terminal, output }: Invocation): void {
  aboutGroup(group, 'delete', 'delete a group with all below it')
    .option(...YES)
    .addHelpText('after', examples('cardea group delete /sales/emea --realm staff', 'cardea group delete /sales --realm staff --yes --json'))
    .action((path: string, options: GroupOptions & { yes?: boolean }) =>
      withOperator(terminal, async (operator) => {
        const realm = await requireRealm(operator, options.realm);
        const found = await requireGroupAt(operator, realm, path);
        const below = found.children === 0 ? '' : ' with all below it';
        await requireYes(terminal, options.yes, `Group ${found.path} of realm ${realm.name} is deleted${below}.`);
        await removeGroup(operator, realm, found.path);
        const document = { id: found.id, realm: realm.name, name: found.name, path: found.path };
        await output.answer(options.json, document, () => [`Deleted group ${found.path}.`]);
      }),
    );
}

export function describeGroupMembers(group: Command, { terminal, output }: Invocation): void {
  aboutGroup(group, 'members', 'list the members of a group itself, not of those below it')
    .addHelpText('after', examples('cardea group members /sales --realm staff', 'cardea group members /sales/emea --realm staff --json'))
    .action((path: string, options: GroupOptions) =>
      withOperator(terminal, async (operator) => {
        const realm = await requireRealm(operator, options.realm);
        const found = await requireGroupAt(operator, realm, path);
        await output.list(
          options.json,
          everyPage((place) => membersOf(operator.db.knex, realm.id, found.id, place)),
          {
            document: (row) => userDocument(row, realm.name),
            columns: userColumns,
            none: `Nobody is in group ${found.path}.`,
          },
        );
      }),
    );
}
