/** `cardea scope mapper`: protocol mappers of client scopes and of clients. */
import type { Command } from 'commander';
import { requireClientNamed } from '../admin/resources/client-changes.ts';
import { requireClientScopeNamed } from '../admin/resources/client-scopes.ts';
import { type Operator, requireRealm } from '../admin/resources/context.ts';
import { addMappers, type Parent, parentClient, parentScope, removeMapper, requireMapperNamed } from '../admin/resources/protocol-mappers.ts';
import { MAPPER_TYPES } from '../realms/mappers/types.ts';
import { mappersOf, type ProtocolMapperRow } from '../store/protocol-mappers.ts';
import type { RealmRow } from '../store/realms.ts';
import type { Invocation } from './cli.ts';
import { wrongUsage } from './failures.ts';
import { withOperator } from './open.ts';
import { examples } from './output.ts';

interface Options {
  realm: string;
  scope?: string;
  client?: string;
  name: string;
  type: string;
  config?: string[];
  json?: boolean;
}

export function describeScopeMappers(mapper: Command, invocation: Invocation): void {
  mapper.addHelpText(
    'after',
    examples('cardea scope mapper list --realm staff --scope profile', 'cardea scope mapper remove --realm staff --scope profile --name nickname'),
  );
  describeAdd(mapper, invocation);
  describeRemove(mapper, invocation);
  describeList(mapper, invocation);
}

export const documentOfMapper = ({ id, name, protocol, mapper, config }: ProtocolMapperRow) => ({
  id,
  name,
  protocol,
  protocolMapper: mapper,
  config,
});

const atParent = (command: Command): Command =>
  command
    .requiredOption('--realm <realm>', 'the realm')
    .option('--scope <name>', 'the client scope that it belongs to')
    .option('--client <id>', 'the client_id of the client that it belongs to')
    .option('--json', 'print one JSON document');

async function parentOf(operator: Operator, realm: RealmRow, { scope, client }: Options): Promise<Parent> {
  if (scope !== undefined && client === undefined) return parentScope(await requireClientScopeNamed(operator, realm, scope));
  if (client !== undefined && scope === undefined) return parentClient(await requireClientNamed(operator, realm, client));
  throw wrongUsage('one of --scope and --client is needed');
}

const placeOf = ({ named }: Parent): string => ('scope' in named ? `client scope ${named.scope}` : `client ${named.client}`);

/** `field=value`, as often as there are fields; a value may hold further equals signs. */
function configOf(entries: readonly string[]): Record<string, string> {
  return Object.fromEntries(
    entries.map((entry) => {
      const at = entry.indexOf('=');
      if (at < 1) throw wrongUsage(`--config ${entry}: it is no field, equals sign and value`);
      return [entry.slice(0, at), entry.slice(at + 1)];
    }),
  );
}

function describeAdd(mapper: Command, { terminal, output }: Invocation): void {
  atParent(mapper.command('add').description('add a mapper: what it says is in the next token'))
    .requiredOption('--name <name>', 'its name')
    .requiredOption('--type <type>', `what it says, by Keycloak’s name: ${MAPPER_TYPES.map(({ id }) => id).join(', ')}`)
    .option('--config <field=value...>', 'a field of its config')
    .addHelpText(
      'after',
      examples(
        'cardea scope mapper add --realm staff --scope payroll --name centre --type oidc-usermodel-attribute-mapper \\\n      --config user.attribute=centre --config claim.name=centre --config access.token.claim=true',
        'cardea scope mapper add --realm staff --client wiki --name stock --type oidc-audience-mapper \\\n      --config included.custom.audience=stock --config access.token.claim=true --json',
      ),
    )
    .action((options: Options) =>
      withOperator(terminal, async (operator) => {
        const realm = await requireRealm(operator, options.realm);
        const parent = await parentOf(operator, realm, options);
        const input = { name: options.name, mapper: options.type, config: configOf(options.config ?? []) };
        const [made] = await addMappers(operator, realm, parent, [input]);
        await output.answer(options.json, made && documentOfMapper(made), () => [`Added mapper ${options.name} to ${placeOf(parent)}.`]);
      }),
    );
}

function describeRemove(mapper: Command, { terminal, output }: Invocation): void {
  atParent(mapper.command('remove').description('remove a mapper: what it said is in no further token'))
    .requiredOption('--name <name>', 'its name')
    .addHelpText('after', examples('cardea scope mapper remove --realm staff --scope payroll --name centre'))
    .action((options: Options) =>
      withOperator(terminal, async (operator) => {
        const realm = await requireRealm(operator, options.realm);
        const parent = await parentOf(operator, realm, options);
        const found = await requireMapperNamed(operator, realm, parent, options.name);
        await removeMapper(operator, realm, parent, found);
        await output.answer(options.json, documentOfMapper(found), () => [`Removed mapper ${found.name} of ${placeOf(parent)}.`]);
      }),
    );
}

function describeList(mapper: Command, { terminal, output }: Invocation): void {
  atParent(mapper.command('list').description('list the mappers of a client scope or of a client by name'))
    .addHelpText(
      'after',
      examples('cardea scope mapper list --realm staff --scope profile', 'cardea scope mapper list --realm staff --client wiki --json'),
    )
    .action((options: Options) =>
      withOperator(terminal, async (operator) => {
        const realm = await requireRealm(operator, options.realm);
        const parent = await parentOf(operator, realm, options);
        await output.list(options.json, await mappersOf(operator.db.knex, realm.id, parent.at), {
          document: documentOfMapper,
          columns: [
            { title: 'NAME', value: ({ name }) => name },
            { title: 'TYPE', value: (row) => row.mapper },
            { title: 'CLAIM', value: ({ config }) => config['claim.name'] ?? '' },
          ],
          none: `There is no mapper of ${placeOf(parent)}.`,
        });
      }),
    );
}
