/** `cardea scope`: client scopes of a realm are made, listed, changed and deleted; what tokens say by them: scope-mappers.ts. */
import { type Command, Option } from 'commander';
import {
  assignToNewClients,
  changeClientScope,
  createClientScope,
  removeClientScope,
  requireClientScopeNamed,
  withholdFromNewClients,
} from '../admin/resources/client-scopes.ts';
import { requireRealm } from '../admin/resources/context.ts';
import { type ClientScopeRow, clientScopes } from '../store/clients.ts';
import { mappersOf } from '../store/protocol-mappers.ts';
import type { Invocation } from './cli.ts';
import { withOperator } from './open.ts';
import { requireYes, YES } from './options.ts';
import { examples } from './output.ts';
import { describeScopeMappers, documentOfMapper } from './scope-mappers.ts';

const SHOWN = 'include.in.token.scope';
const ASSIGNMENTS = ['default', 'optional', 'none'] as const;
type Assignment = (typeof ASSIGNMENTS)[number];

export function describeScope(scope: Command, invocation: Invocation): void {
  scope.addHelpText(
    'after',
    examples(
      'cardea scope create --realm staff --name payroll --new-clients optional',
      'cardea scope mapper add --realm staff --scope payroll --name "cost centre" --type oidc-usermodel-attribute-mapper \\\n      --config user.attribute=centre --config claim.name=centre --config access.token.claim=true',
      'cardea scope list --realm staff',
    ),
  );
  describeList(scope, invocation);
  describeGet(scope, invocation);
  describeCreate(scope, invocation);
  describeUpdate(scope, invocation);
  describeDelete(scope, invocation);
  describeScopeMappers(scope.command('mapper').description('say what tokens say by a client scope or for a client'), invocation);
}

const documentOf = (row: ClientScopeRow, realm: string) => ({
  id: row.id,
  realm,
  name: row.name,
  description: row.description,
  protocol: row.protocol,
  newClients: row.realmAssignment,
  inToken: row.attributes[SHOWN] !== 'false',
  attributes: row.attributes,
});

function describeList(scope: Command, { terminal, output }: Invocation): void {
  scope
    .command('list')
    .description('list the client scopes of a realm by name')
    .requiredOption('--realm <realm>', 'the realm')
    .option('--json', 'print one JSON document')
    .addHelpText('after', examples('cardea scope list --realm staff', 'cardea scope list --realm staff --json'))
    .action((options: { realm: string; json?: boolean }) =>
      withOperator(terminal, async (operator) => {
        const realm = await requireRealm(operator, options.realm);
        await output.list(options.json, await clientScopes(operator.db.knex, realm.id), {
          document: (row) => documentOf(row, realm.name),
          columns: [
            { title: 'NAME', value: (row) => row.name },
            { title: 'NEW CLIENTS', value: (row) => row.realmAssignment },
            { title: 'IN TOKEN', value: (row) => (row.attributes[SHOWN] === 'false' ? 'no' : 'yes') },
            { title: 'DESCRIPTION', value: (row) => row.description ?? '' },
          ],
          none: `Realm ${realm.name} has no client scope.`,
        });
      }),
    );
}

function describeGet(scope: Command, { terminal, output }: Invocation): void {
  scope
    .command('get')
    .description('show a client scope with its mappers')
    .requiredOption('--realm <realm>', 'the realm')
    .requiredOption('--name <name>', 'its name')
    .option('--json', 'print one JSON document')
    .addHelpText('after', examples('cardea scope get --realm staff --name profile', 'cardea scope get --realm staff --name profile --json'))
    .action((options: { realm: string; name: string; json?: boolean }) =>
      withOperator(terminal, async (operator) => {
        const realm = await requireRealm(operator, options.realm);
        const row = await requireClientScopeNamed(operator, realm, options.name);
        const mappers = await mappersOf(operator.db.knex, realm.id, { scope: row.id });
        await output.answer(options.json, { ...documentOf(row, realm.name), mappers: mappers.map(documentOfMapper) }, () => [
          `${row.name}: ${row.description ?? 'no description'}`,
          `New clients: ${row.realmAssignment}. Named in tokens: ${row.attributes[SHOWN] === 'false' ? 'no' : 'yes'}.`,
          ...mappers.map(({ name, mapper, config }) => `  ${name} (${mapper})${config['claim.name'] ? ` → ${config['claim.name']}` : ''}`),
        ]);
      }),
    );
}

interface WriteOptions {
  realm: string;
  name: string;
  rename?: string;
  description?: string;
  newClients?: Assignment;
  inToken?: boolean;
  json?: boolean;
}

/** What creating and changing have in common. */
const writing = (command: Command): Command =>
  command
    .requiredOption('--realm <realm>', 'its realm')
    .requiredOption('--name <name>', 'its name, as applications ask for it')
    .option('--description <text>', 'what users are asked about')
    .addOption(new Option('--new-clients <how>', 'how new clients have it').choices(ASSIGNMENTS))
    .option('--in-token', 'tokens name it')
    .option('--no-in-token', 'tokens do not name it, and users are not asked about it')
    .option('--json', 'print one JSON document');

function describeCreate(scope: Command, { terminal, output }: Invocation): void {
  writing(scope.command('create').description('make a client scope'))
    .addHelpText(
      'after',
      examples(
        'cardea scope create --realm staff --name payroll --description "Your salary"',
        'cardea scope create --realm staff --name stock-api --new-clients default --json',
      ),
    )
    .action((options: WriteOptions) =>
      withOperator(terminal, async (operator) => {
        const realm = await requireRealm(operator, options.realm);
        const { name, description = null, inToken = true, newClients } = options;
        const made = await createClientScope(operator, realm, { name, description, attributes: { [SHOWN]: String(inToken) } });
        if (newClients !== undefined && newClients !== 'none') await assignToNewClients(operator, realm, made.id, newClients);
        const document = documentOf({ ...made, realmAssignment: newClients ?? 'none' }, realm.name);
        await output.answer(options.json, document, () => [`Made client scope ${made.name} in realm ${realm.name}.`]);
      }),
    );
}

function describeUpdate(scope: Command, { terminal, output }: Invocation): void {
  writing(scope.command('update').description('change a client scope; what is not named stays'))
    .option('--rename <name>', 'its new name')
    .addHelpText(
      'after',
      examples(
        'cardea scope update --realm staff --name payroll --new-clients none',
        'cardea scope update --realm staff --name payroll --rename salary --no-in-token',
      ),
    )
    .action((options: WriteOptions) =>
      withOperator(terminal, async (operator) => {
        const realm = await requireRealm(operator, options.realm);
        const row = await requireClientScopeNamed(operator, realm, options.name);
        const { rename, description, inToken, newClients } = options;
        await changeClientScope(operator, realm, row, {
          name: rename,
          description,
          ...(inToken === undefined ? {} : { attributes: { ...row.attributes, [SHOWN]: String(inToken) } }),
        });
        if (newClients === 'none' && row.realmAssignment !== 'none') await withholdFromNewClients(operator, realm, row.id, row.realmAssignment);
        else if (newClients !== undefined && newClients !== 'none') await assignToNewClients(operator, realm, row.id, newClients);
        const after = await requireClientScopeNamed(operator, realm, rename ?? row.name);
        await output.answer(options.json, documentOf(after, realm.name), () => [`Changed client scope ${after.name} in realm ${realm.name}.`]);
      }),
    );
}

function describeDelete(scope: Command, { terminal, output }: Invocation): void {
  scope
    .command('delete')
    .description('delete a client scope; clients that had it have it no more')
    .requiredOption('--realm <realm>', 'its realm')
    .requiredOption('--name <name>', 'its name')
    .option('--json', 'print one JSON document')
    .option(...YES)
    .addHelpText(
      'after',
      examples('cardea scope delete --realm staff --name payroll', 'cardea scope delete --realm staff --name payroll --yes --json'),
    )
    .action((options: { realm: string; name: string; json?: boolean; yes?: boolean }) =>
      withOperator(terminal, async (operator) => {
        const realm = await requireRealm(operator, options.realm);
        const row = await requireClientScopeNamed(operator, realm, options.name);
        await requireYes(terminal, options.yes, `Client scope ${row.name} of realm ${realm.name} is deleted, and clients have it no more.`);
        await removeClientScope(operator, realm, row);
        await output.answer(options.json, { id: row.id, realm: realm.name, name: row.name }, () => [
          `Deleted client scope ${row.name} of realm ${realm.name}.`,
        ]);
      }),
    );
}
