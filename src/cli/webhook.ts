/** `cardea webhook`: where a realm's events are told is said, listed, tried and taken back. */
import type { Command } from 'commander';
import { requireRealm } from '../admin/resources/context.ts';
import {
  allWebhooks,
  changeWebhook,
  createWebhook,
  removeWebhook,
  rotateSecret,
  type ShownWebhook,
  testWebhook,
} from '../admin/resources/webhooks.ts';
import { createGuardedClient, requireFetchable } from '../http/guarded-client.ts';
import type { Installation } from '../installation.ts';
import type { RealmRow } from '../store/realms.ts';
import type { Invocation } from './cli.ts';
import { EXIT, wrongUsage } from './failures.ts';
import { withOperator } from './open.ts';
import { requireYes, YES } from './options.ts';
import { examples, isoTime, shownTime } from './output.ts';

interface RealmOptions {
  realm: string;
  json?: boolean;
}

interface TermOptions extends RealmOptions {
  url?: string;
  event?: string[];
  description?: string;
}

export function describeWebhook(webhook: Command, invocation: Invocation): void {
  webhook.addHelpText(
    'after',
    examples(
      'cardea webhook create --realm staff --url https://siem.example.com/cardea --event "mfa.*" login.failed',
      'cardea webhook list --realm staff',
      'cardea webhook test 5b0c… --realm staff',
    ),
  );
  describeCreate(webhook, invocation);
  describeUpdate(webhook, invocation);
  describeList(webhook, invocation);
  describeTest(webhook, invocation);
  describeRotate(webhook, invocation);
  describeDelete(webhook, invocation);
}

const inRealm = (webhook: Command, name: string, description: string): Command =>
  webhook.command(name).description(description).requiredOption('--realm <realm>', 'the realm').option('--json', 'print one JSON document');

const fetchable =
  ({ config }: Installation) =>
  (address: string): void => {
    requireFetchable(address, config.outboundAllow);
  };

function describeCreate(webhook: Command, { terminal, output }: Invocation): void {
  inRealm(webhook, 'create', 'have events told to an address; the secret that messages are signed by is printed, this once')
    .requiredOption('--url <url>', 'an https address')
    .requiredOption('--event <type...>', 'which events: a type, the beginning of several such as "mfa.*", or "*" for all')
    .option('--description <text>', 'what it is for')
    .addHelpText('after', examples('cardea webhook create --realm staff --url https://siem.example.com/cardea --event "mfa.*" policy.changed --json'))
    .action((options: TermOptions) =>
      withOperator(terminal, async (operator, installation) => {
        const realm = await requireRealm(operator, options.realm);
        const { url = '', event = [], description } = options;
        const { webhook: made, secret } = await createWebhook(operator, realm, { url, events: event, description }, fetchable(installation));
        await output.answer(options.json, { ...documentOf(made, realm), secret }, () => [`Made webhook ${made.id}.`, `Secret  ${secret}`]);
      }),
    );
}

function describeUpdate(webhook: Command, { terminal, output }: Invocation): void {
  inRealm(webhook, 'update', 'change a webhook, or switch it off or on')
    .argument('<id>', 'as `list` prints it')
    .option('--url <url>', 'another address')
    .option('--event <type...>', 'other events')
    .option('--description <text>', 'what it is for')
    .option('--on', 'tell it')
    .option('--off', 'tell it nothing; what waits for it is given up')
    .addHelpText('after', examples('cardea webhook update 5b0c… --realm staff --off', 'cardea webhook update 5b0c… --realm staff --event "*"'))
    .action((id: string, options: TermOptions & { on?: boolean; off?: boolean }) =>
      withOperator(terminal, async (operator, installation) => {
        if (options.on && options.off) throw wrongUsage('--on and --off are one too many');
        const realm = await requireRealm(operator, options.realm);
        const { url, event: events, description } = options;
        const enabled = options.on ? true : options.off ? false : undefined;
        const changed = await changeWebhook(operator, realm, id, { url, events, description, enabled }, fetchable(installation));
        await output.answer(options.json, documentOf(changed, realm), () => [
          `Webhook ${changed.id} is ${changed.enabled ? 'told' : 'not told'} of ${changed.events.join(', ')}.`,
        ]);
      }),
    );
}

function describeList(webhook: Command, { terminal, output }: Invocation): void {
  inRealm(webhook, 'list', 'list the webhooks of a realm')
    .addHelpText('after', examples('cardea webhook list --realm staff', 'cardea webhook list --realm staff --json'))
    .action((options: RealmOptions) =>
      withOperator(terminal, async (operator) => {
        const realm = await requireRealm(operator, options.realm);
        await output.list(options.json, await allWebhooks(operator, realm), {
          document: (row) => documentOf(row, realm),
          columns: [
            { title: 'ID', value: (row) => row.id },
            { title: 'STATE', value: (row) => (row.enabled ? 'on' : 'off') },
            { title: 'URL', value: (row) => row.url },
            { title: 'EVENTS', value: (row) => row.events.join(' ') },
            { title: 'DROPPED', value: (row) => String(row.dropped) },
          ],
          none: `Realm ${realm.name} has no webhook.`,
        });
      }),
    );
}

function describeTest(webhook: Command, { terminal, output }: Invocation): void {
  inRealm(webhook, 'test', 'send a message of type webhook.test now')
    .argument('<id>', 'as `list` prints it')
    .addHelpText('after', '\nExit code 0: it answered as it should. 1: it did not.\n')
    .addHelpText('after', examples('cardea webhook test 5b0c2f1e-8a34-4c0d-9b1e-2d6f7a8b9c0d --realm staff'))
    .action((id: string, options: RealmOptions) =>
      withOperator(terminal, async (operator, { config }) => {
        const realm = await requireRealm(operator, options.realm);
        const { ok, status, error, ms } = await testWebhook(operator, realm, id, createGuardedClient({ allow: config.outboundAllow }));
        if (!ok) output.exitCode = EXIT.refused;
        await output.answer(options.json, { ok, status, error, ms }, () => [
          ok ? `It answered ${status} within ${ms} ms.` : `It was not told: ${error}.`,
        ]);
      }),
    );
}

function describeRotate(webhook: Command, { terminal, output }: Invocation): void {
  inRealm(webhook, 'rotate-secret', 'make a new secret; messages are signed by the one before, too, for another day')
    .argument('<id>', 'as `list` prints it')
    .addHelpText('after', examples('cardea webhook rotate-secret 5b0c2f1e-8a34-4c0d-9b1e-2d6f7a8b9c0d --realm staff'))
    .action((id: string, options: RealmOptions) =>
      withOperator(terminal, async (operator) => {
        const realm = await requireRealm(operator, options.realm);
        const { secret, oldUntil } = await rotateSecret(operator, realm, id);
        await output.answer(options.json, { id, realm: realm.name, secret, oldUntil: isoTime(oldUntil) }, () => [
          `Secret  ${secret}`,
          `The one before is good until ${shownTime(oldUntil)}.`,
        ]);
      }),
    );
}

function describeDelete(webhook: Command, { terminal, output }: Invocation): void {
  inRealm(webhook, 'delete', 'delete a webhook, with what waits for it')
    .argument('<id>', 'as `list` prints it')
    .option(...YES)
    .addHelpText('after', examples('cardea webhook delete 5b0c2f1e-8a34-4c0d-9b1e-2d6f7a8b9c0d --realm staff --yes'))
    .action((id: string, options: RealmOptions & { yes?: boolean }) =>
      withOperator(terminal, async (operator) => {
        const realm = await requireRealm(operator, options.realm);
        await requireYes(terminal, options.yes, `Webhook ${id} of realm ${realm.name} is deleted, with what waits for it.`);
        await removeWebhook(operator, realm, id);
        await output.answer(options.json, { id, realm: realm.name, deleted: true }, () => [`Deleted webhook ${id}.`]);
      }),
    );
}

const documentOf = ({ realmId: _realm, createdAt, updatedAt, ...row }: ShownWebhook, realm: RealmRow) => ({
  ...row,
  realm: realm.name,
  createdAt: isoTime(createdAt),
  updatedAt: isoTime(updatedAt),
});
