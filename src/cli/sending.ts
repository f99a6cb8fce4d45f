/** What `cardea mail` and `cardea sms` have in common: showing, trying and removing the account that a realm sends by. */
import type { Command } from 'commander';
import type { Operator } from '../admin/resources/context.ts';
import { requireRealm } from '../admin/resources/context.ts';
import { removeAccount, type ShownChannel } from '../admin/resources/delivery.ts';
import type { Deliveries } from '../delivery/delivery.ts';
import { deliveriesOf } from '../installation.ts';
import type { RealmRow } from '../store/realms.ts';
import type { Invocation } from './cli.ts';
import { commandLog, withOperator } from './open.ts';
import { examples, printable } from './output.ts';
import type { Terminal } from './terminal.ts';

export interface RealmOptions {
  realm: string;
  json?: boolean;
}

/** Runs `work` with what sends, and lets go of its connections afterwards. */
function withDeliveries<T>(terminal: Terminal, work: (operator: Operator, deliveries: Deliveries) => Promise<T>): Promise<T> {
  return withOperator(terminal, async (operator, installation) => {
    const deliveries = deliveriesOf(installation, commandLog(terminal));
    try {
      return await work(operator, deliveries);
    } finally {
      await deliveries.close();
    }
  });
}

interface Sending<Shown> {
  channel: 'mail' | 'sms';
  /** `mail` or `text messages`. */
  what: string;
  /** An address or a number for the examples. */
  example: string;
  show(operator: Operator, realm: RealmRow, channels: Deliveries['channels']): Promise<ShownChannel<Shown>>;
  lines(account: Shown): string[];
  test(operator: Operator, realm: RealmRow, to: string, deliveries: Deliveries): Promise<void>;
}

export function describeSending<Shown>(command: Command, { terminal, output }: Invocation, sending: Sending<Shown>): void {
  const { channel, what } = sending;
  const ofRealm = (name: string, description: string): Command =>
    command
      .command(name)
      .description(description)
      .requiredOption('--realm <realm>', 'the realm')
      .option('--json', 'print one JSON document')
      .addHelpText('after', examples(`cardea ${channel} ${name} --realm staff${name === 'test' ? ` --to ${sending.example}` : ''}`));

  ofRealm('show', `show by what a realm sends ${what}; never a secret`).action(({ realm: name, json }: RealmOptions) =>
    withDeliveries(terminal, async (operator, { channels }) => {
      const realm = await requireRealm(operator, name);
      const shown = await sending.show(operator, realm, channels);
      await output.answer(json, { realm: realm.name, ...shown }, () => [
        sourceOf(realm.name, what, shown),
        ...(shown.account === null ? [] : sending.lines(shown.account)).map(printable),
      ]);
    }),
  );
  ofRealm('test', `send one message by what the realm sends ${what} by`)
    .requiredOption('--to <address>', 'to whom')
    .action(({ realm: name, to, json }: RealmOptions & { to: string }) =>
      withDeliveries(terminal, async (operator, deliveries) => {
        const realm = await requireRealm(operator, name);
        await sending.test({ ...operator, now: Date.now() }, realm, to, deliveries);
        const via = (await deliveries.channels.of(realm, channel))?.id;
        await output.answer(json, { realm: realm.name, to, via }, () => [
          via === 'inbox' ? 'Nothing is set up to send by: it is in the development inbox.' : `Sent to ${printable(to)}.`,
        ]);
      }),
    );
  ofRealm('remove', `forget the realm's own account: it sends by the installation's`).action(({ realm: name, json }: RealmOptions) =>
    withOperator(terminal, async (operator) => {
      const realm = await requireRealm(operator, name);
      await removeAccount(operator, realm, channel);
      await output.answer(json, { realm: realm.name, source: 'installation' }, () => [
        `Realm ${realm.name} sends ${what} by the account of the installation.`,
      ]);
    }),
  );
}

function sourceOf(realm: string, what: string, { source, available }: ShownChannel<unknown>): string {
  if (source === 'off') return `Realm ${realm} sends no ${what}.`;
  if (source === 'realm') return `Realm ${realm} sends ${what} by an account of its own.`;
  return available
    ? `Realm ${realm} sends ${what} by the account of the installation, or into the development inbox.`
    : `Realm ${realm} sends no ${what}: the installation has no account.`;
}
