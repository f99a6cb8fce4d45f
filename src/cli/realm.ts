/** `cardea realm`: realms are made and listed. */
import { type Command, Option } from 'commander';
import { allRealms, createRealm } from '../admin/resources/realms.ts';
import { issuerOf } from '../realms/issuer.ts';
import type { RealmSettings } from '../realms/settings.ts';
import type { RealmRow } from '../store/realms.ts';
import type { Invocation } from './cli.ts';
import { withOperator } from './open.ts';
import { examples, isoTime } from './output.ts';

interface CreateOptions {
  mfa?: RealmSettings['mfa'];
  displayName?: string;
  json?: boolean;
}

export function describeRealm(realm: Command, { terminal, output }: Invocation): void {
  realm.addHelpText('after', examples('cardea realm create staff --mfa required', 'cardea realm list'));
  realm
    .command('create')
    .description('make a realm, with its keys, scopes and built-in clients')
    .argument('<name>', 'lower-case letters, digits and hyphens; part of its URLs')
    .addOption(
      new Option('--mfa <rule>', 'who proves a second factor: nobody, whoever has one, or everybody').choices(['off', 'optional', 'required']),
    )
    .option('--display-name <name>', 'the name that people read')
    .option('--json', 'print one JSON document')
    .addHelpText('after', examples('cardea realm create staff --mfa required', 'cardea realm create shop --display-name "The Shop" --json'))
    .action((name: string, { mfa, displayName, json }: CreateOptions) =>
      withOperator(terminal, async (operator, { config }) => {
        const made = await createRealm(operator, { name, displayName, settings: { ...(mfa && { mfa }) } });
        const document = documentOf(made, config.origin);
        await output.answer(json, document, () => [`Made realm ${made.name}.`, `Issuer  ${document.issuer}`]);
      }),
    );

  realm
    .command('list')
    .description('list the realms by name')
    .option('--json', 'print one JSON document')
    .addHelpText('after', examples('cardea realm list', 'cardea realm list --json'))
    .action(({ json }: { json?: boolean }) =>
      withOperator(terminal, (operator, { config }) =>
        output.list(json, allRealms(operator), {
          document: (row) => documentOf(row, config.origin),
          columns: [
            { title: 'NAME', value: (row) => row.name },
            { title: 'DISPLAY NAME', value: (row) => row.displayName },
            { title: 'MFA', value: (row) => row.settings.mfa },
            { title: 'ISSUER', value: (row) => issuerOf(config.origin, row.name) },
          ],
          none: 'There is no realm.',
        }),
      ),
    );
}

const documentOf = (row: RealmRow, origin: string) => ({
  id: row.id,
  name: row.name,
  displayName: row.displayName,
  enabled: row.enabled,
  mfa: row.settings.mfa,
  issuer: issuerOf(origin, row.name),
  createdAt: isoTime(row.createdAt),
});
