/** `cardea client`: the applications of a realm are made, listed, changed and deleted. */
import type { Command } from 'commander';
import { allClients, createClient } from '../admin/resources/clients.ts';
import { requireRealm } from '../admin/resources/context.ts';
import { usesSecret } from '../realms/client-credentials.ts';
import type { Invocation } from './cli.ts';
import { describeClientChanges, listening, onDevices } from './client-changes.ts';
import { documentOfClient } from './client-document.ts';
import { type KeyOptions, keyFields, withKeyOptions } from './client-keys.ts';
import { withOperator } from './open.ts';
import { examples } from './output.ts';

interface CreateOptions extends KeyOptions {
  realm: string;
  clientId: string;
  redirectUri?: string[];
  postLogoutRedirectUri?: string[];
  webOrigin?: string[];
  backchannelLogoutUrl?: string;
  public?: boolean;
  firstParty?: boolean;
  device?: boolean;
  name?: string;
  serviceAccount: boolean;
  json?: boolean;
}

export function describeClient(client: Command, invocation: Invocation): void {
  client.addHelpText(
    'after',
    examples(
      'cardea client create --realm staff --client-id wiki --redirect-uri https://wiki.example/callback',
      'cardea client list --realm staff',
      'cardea client update --realm staff --client-id wiki --name "The wiki" --disable',
      'cardea client secret --realm staff --client-id wiki --new',
    ),
  );
  describeCreate(client, invocation);
  describeList(client, invocation);
  describeClientChanges(client, invocation);
}

function describeCreate(client: Command, { terminal, output }: Invocation): void {
  withKeyOptions(client.command('create'))
    .description('make a client; the secret of a confidential one is printed, this once')
    .requiredOption('--realm <realm>', 'its realm')
    .requiredOption('--client-id <id>', 'its client_id')
    .option('--redirect-uri <uri...>', 'where its users come back to; may end in * as in Keycloak')
    .option('--post-logout-redirect-uri <uri...>', 'where they go after signing out; without, the redirect URIs')
    .option('--web-origin <origin...>', 'an origin whose pages may call the token endpoint')
    .option('--backchannel-logout-url <url>', 'where it is told of the end of a session')
    .option('--public', 'it cannot keep a secret: an app on a device or in a browser')
    .option('--first-party', 'it is of the house: its users are not asked for consent')
    .option('--device', 'it may be on a device without a browser, which shows its user a code (RFC 8628)')
    .option('--name <name>', 'the name that people read')
    .option('--no-service-account', 'it may not get tokens of its own (client_credentials)')
    .option('--json', 'print one JSON document')
    .addHelpText(
      'after',
      examples(
        'cardea client create --realm staff --client-id wiki --redirect-uri https://wiki.example/callback --first-party',
        'cardea client create --realm staff --client-id phone --redirect-uri com.example.phone:/callback --public --json',
        'cardea client create --realm staff --client-id tv --name "The television" --public --device',
      ),
    )
    .action((options: CreateOptions) =>
      withOperator(terminal, async (operator) => {
        const realm = await requireRealm(operator, options.realm);
        const keys = keyFields(options);
        const { client: made, secret } = await createClient(operator, realm, {
          clientId: options.clientId,
          name: options.name,
          publicClient: options.public ?? false,
          firstParty: options.firstParty ?? false,
          redirectUris: options.redirectUri,
          postLogoutRedirectUris: options.postLogoutRedirectUri,
          webOrigins: options.webOrigin,
          serviceAccount: options.serviceAccount && !options.public,
          ...keys,
          attributes: { ...keys.attributes, ...listening(options), ...onDevices(options) },
        });
        const document = { ...documentOfClient(made, realm.name), ...(secret !== null && usesSecret(made) && { secret }) };
        await output.answer(options.json, document, () => [
          `Made client ${made.clientId} in realm ${realm.name}.`,
          ...(secret === null || !usesSecret(made) ? [] : [`Secret  ${secret}`]),
        ]);
      }),
    );
}

function describeList(client: Command, { terminal, output }: Invocation): void {
  client
    .command('list')
    .description('list the clients of a realm by client_id')
    .requiredOption('--realm <realm>', 'the realm')
    .option('--json', 'print one JSON document')
    .addHelpText('after', examples('cardea client list --realm staff', 'cardea client list --realm staff --json'))
    .action(({ realm: name, json }: { realm: string; json?: boolean }) =>
      withOperator(terminal, async (operator) => {
        const realm = await requireRealm(operator, name);
        await output.list(json, allClients(operator, realm), {
          document: (row) => documentOfClient(row, realm.name),
          columns: [
            { title: 'CLIENT ID', value: (row) => row.clientId },
            { title: 'NAME', value: (row) => row.name ?? '' },
            { title: 'KIND', value: (row) => (row.publicClient ? 'public' : 'confidential') },
            { title: 'REDIRECT URIS', value: (row) => row.redirectUris.join(' ') },
          ],
          none: `Realm ${realm.name} has no client.`,
        });
      }),
    );
}
