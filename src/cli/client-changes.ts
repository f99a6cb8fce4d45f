/** `cardea client get | update | delete | secret`: one client, shown, changed, deleted, and its secret. */
import type { Command } from 'commander';
import { changeClient, removeClient, requireClientNamed } from '../admin/resources/client-changes.ts';
import type { ClientFields } from '../admin/resources/client-input.ts';
import { endRotatedSecret, OVERLAP_MS, regenerateSecret, secretOf } from '../admin/resources/client-secrets.ts';
import { type Operator, requireRealm } from '../admin/resources/context.ts';
import { badInput, notFound } from '../errors.ts';
import type { ClientRow } from '../store/clients.ts';
import { LOGOUT_URL } from '../store/logout-notices.ts';
import type { RealmRow } from '../store/realms.ts';
import type { Invocation } from './cli.ts';
import { documentOfClient, ON_DEVICES } from './client-document.ts';
import { type KeyOptions, keyFields, withKeyOptions } from './client-keys.ts';
import { withOperator } from './open.ts';
import { requireYes, YES } from './options.ts';
import { examples, isoTime, shownTime } from './output.ts';

interface Named {
  realm: string;
  clientId: string;
  json?: boolean;
}

export function describeClientChanges(client: Command, invocation: Invocation): void {
  describeGet(client, invocation);
  describeUpdate(client, invocation);
  describeDelete(client, invocation);
  describeSecret(client, invocation);
}

/** A command about one client. */
const aboutOne = (client: Command, name: string, description: string): Command =>
  client
    .command(name)
    .description(description)
    .requiredOption('--realm <realm>', 'its realm')
    .requiredOption('--client-id <id>', 'its client_id')
    .option('--json', 'print one JSON document');

async function found(operator: Operator, { realm: name, clientId }: Named): Promise<{ realm: RealmRow; row: ClientRow }> {
  const realm = await requireRealm(operator, name);
  return { realm, row: await requireClientNamed(operator, realm, clientId) };
}

const yesOrNo = (is: boolean): string => (is ? 'yes' : 'no');

function describeGet(client: Command, { terminal, output }: Invocation): void {
  aboutOne(client, 'get', 'show a client')
    .addHelpText('after', examples('cardea client get --realm staff --client-id wiki --json'))
    .action((options: Named) =>
      withOperator(terminal, async (operator) => {
        const { realm, row } = await found(operator, options);
        await output.answer(options.json, documentOfClient(row, realm.name), () => [
          `Client ID        ${row.clientId}`,
          `Name             ${row.name ?? '-'}`,
          `Kind             ${row.publicClient ? 'public' : 'confidential'}${row.enabled ? '' : ', switched off'}`,
          `Consent          ${row.consentRequired ? 'asked for' : 'not asked for'}`,
          `Service account  ${yesOrNo(row.serviceAccount)}`,
          `On devices       ${yesOrNo(row.attributes[ON_DEVICES] === 'true')}`,
          `Redirect URIs    ${row.redirectUris.join(' ') || '-'}`,
          `Web origins      ${row.webOrigins.join(' ') || '-'}`,
          `Made             ${shownTime(row.createdAt)}`,
        ]);
      }),
    );
}

interface UpdateOptions extends Named, KeyOptions {
  rename?: string;
  name?: string;
  description?: string;
  enable?: boolean;
  disable?: boolean;
  public?: boolean;
  confidential?: boolean;
  firstParty?: boolean;
  thirdParty?: boolean;
  serviceAccount?: boolean;
  directAccess?: boolean;
  device?: boolean;
  redirectUri?: string[];
  postLogoutRedirectUri?: string[];
  webOrigin?: string[];
  backchannelLogoutUrl?: string;
  attribute?: string[];
}

function describeUpdate(client: Command, { terminal, output }: Invocation): void {
  withKeyOptions(aboutOne(client, 'update', 'change a client; what is not named stays'))
    .option('--rename <id>', 'another client_id; tokens with the old one end')
    .option('--name <name>', 'the name that people read; empty for none')
    .option('--description <text>', 'what it is; empty for none')
    .option('--enable', 'switch it on')
    .option('--disable', 'switch it off: its users cannot sign in, and its tokens are refused')
    .option('--public', 'it cannot keep a secret; the one it has ends')
    .option('--confidential', 'it can; it gets a secret')
    .option('--first-party', 'it is of the house: its users are not asked for consent')
    .option('--third-party', 'its users are asked for consent')
    .option('--service-account', 'it may get tokens of its own (client_credentials)')
    .option('--no-service-account', 'it may not; the user that it was is deleted')
    .option('--direct-access', 'it may sign users in with their passwords (the password grant)')
    .option('--no-direct-access', 'it may not')
    .option('--device', 'it may be on a device without a browser, which shows its user a code (RFC 8628)')
    .option('--no-device', 'it may not')
    .option('--redirect-uri <uri...>', 'where its users come back to, instead of the ones it has')
    .option('--post-logout-redirect-uri <uri...>', 'where they go after signing out; + for the redirect URIs, - for nowhere')
    .option('--web-origin <origin...>', 'an origin whose pages may call the token endpoint')
    .option('--backchannel-logout-url <url>', 'where it is told of the end of a session; empty for nowhere')
    .option('--attribute <name=value...>', "one of Keycloak's client attributes, such as access.token.lifespan=60; empty takes it away")
    .addHelpText(
      'after',
      examples(
        'cardea client update --realm staff --client-id wiki --redirect-uri https://wiki.example/callback https://wiki.example/cb2',
        'cardea client update --realm staff --client-id wiki --disable',
        'cardea client update --realm staff --client-id robot --attribute access.token.lifespan=60 --json',
      ),
    )
    .action((options: UpdateOptions) =>
      withOperator(terminal, async (operator) => {
        const { realm, row } = await found(operator, options);
        const changed = await changeClient(operator, realm, row.id, fieldsOf(options));
        await output.answer(options.json, documentOfClient(changed, realm.name), () => [
          changed.updatedAt === row.updatedAt
            ? `Client ${row.clientId} is so already.`
            : `Changed client ${changed.clientId} in realm ${realm.name}.`,
        ]);
      }),
    );
}

function fieldsOf(options: UpdateOptions): ClientFields {
  const keys = keyFields(options);
  return {
    ...keys,
    clientId: options.rename,
    name: emptied(options.name),
    description: emptied(options.description),
    enabled: either('enable', options.enable, 'disable', options.disable),
    publicClient: either('public', options.public, 'confidential', options.confidential),
    consentRequired: either('third-party', options.thirdParty, 'first-party', options.firstParty),
    serviceAccount: options.serviceAccount,
    directAccess: options.directAccess,
    standardFlow: options.redirectUri ? true : undefined,
    redirectUris: options.redirectUri,
    postLogoutRedirectUris: options.postLogoutRedirectUri,
    webOrigins: options.webOrigin,
    attributes: {
      ...keys.attributes,
      ...Object.fromEntries((options.attribute ?? []).map(attributeOf)),
      ...listening(options),
      ...onDevices(options),
    },
  };
}

/** Where a client is told of the end of a session, as its attribute. */
export const listening = ({ backchannelLogoutUrl: url }: { backchannelLogoutUrl?: string }): Record<string, string> =>
  url === undefined ? {} : { [LOGOUT_URL]: url.trim() };

/** Whether a client may be on devices, as its attribute. */
export const onDevices = ({ device }: { device?: boolean }): Record<string, string | null> =>
  device === undefined ? {} : { [ON_DEVICES]: device ? 'true' : null };

const emptied = (text: string | undefined): string | null | undefined => (text?.trim() === '' ? null : text);

/** Two options that say the opposite of each other. */
function either(yes: string, isYes: boolean | undefined, no: string, isNo: boolean | undefined): boolean | undefined {
  if (isYes && isNo) throw badInput(yes, `--${yes} and --${no} are the opposite of each other.`);
  return isYes ? true : isNo ? false : undefined;
}

function attributeOf(text: string): [string, string] {
  const [, name = '', value = ''] = /^([^=]+)=(.*)$/s.exec(text) ?? [];
  if (name === '') throw badInput('attribute', `"${text}" is not name=value.`);
  return [name, value];
}

function describeDelete(client: Command, { terminal, output }: Invocation): void {
  aboutOne(client, 'delete', 'delete a client with its roles, its service account and all that was issued to it')
    .option(...YES)
    .addHelpText(
      'after',
      examples('cardea client delete --realm staff --client-id wiki', 'cardea client delete --realm staff --client-id wiki --yes --json'),
    )
    .action((options: Named & { yes?: boolean }) =>
      withOperator(terminal, async (operator) => {
        const { realm, row } = await found(operator, options);
        await requireYes(terminal, options.yes, `Client ${row.clientId} of realm ${realm.name} is deleted: nobody signs in to it any more.`);
        await removeClient(operator, realm, row.id);
        const document = { id: row.id, realm: realm.name, clientId: row.clientId, deleted: true };
        await output.answer(options.json, document, () => [`Deleted client ${row.clientId} of realm ${realm.name}.`]);
      }),
    );
}

interface SecretOptions extends Named {
  new?: boolean;
  overlap?: string;
  endOld?: boolean;
}

function describeSecret(client: Command, { terminal, output }: Invocation): void {
  aboutOne(client, 'secret', 'show the secret of a client, or make a new one')
    .option('--new', 'make a new one; the one of before stays good for a while')
    .option('--overlap <seconds>', `how long it stays good, with --new; 0 for not at all (default: ${OVERLAP_MS / 1000})`)
    .option('--end-old', 'end the one of before now')
    .addHelpText(
      'after',
      examples(
        'cardea client secret --realm staff --client-id wiki',
        'cardea client secret --realm staff --client-id wiki --new --overlap 3600',
        'cardea client secret --realm staff --client-id wiki --end-old',
      ),
    )
    .action((options: SecretOptions) =>
      withOperator(terminal, async (operator) => {
        const { realm, row } = await found(operator, options);
        const { secret, until } = await secretAsked(operator, realm, row, options);
        const document = { realm: realm.name, clientId: row.clientId, secret, oldUntil: until === null ? null : isoTime(until) };
        await output.answer(options.json, document, () => [
          `Secret  ${secret}`,
          ...(until === null ? [] : [`The one of before is good until ${shownTime(until)}.`]),
        ]);
      }),
    );
}

/** The secret that a client has once this is done, and until when the one of before is good besides. */
async function secretAsked(
  operator: Operator,
  realm: RealmRow,
  row: ClientRow,
  options: SecretOptions,
): Promise<{ secret: string; until: number | null }> {
  const overlap = overlapOf(options);
  const made = options.new ? await regenerateSecret(operator, realm, row.id, overlap) : undefined;
  if (options.endOld) await endRotatedSecret(operator, realm, row.id);
  const secret = made?.secret ?? (await secretOf(operator, row));
  if (secret === null) throw notFound(`Client "${row.clientId}" has no secret.`);
  const until = options.endOld ? 0 : ((made?.client ?? row).rotatedUntil ?? 0);
  return { secret, until: until > operator.now ? until : null };
}

function overlapOf({ overlap, new: isNew }: SecretOptions): number | undefined {
  if (overlap === undefined) return undefined;
  if (!isNew || !/^\d{1,7}$/.test(overlap)) throw badInput('overlap', '--overlap is a number of seconds, and goes with --new.');
  return Number(overlap) * 1000;
}
