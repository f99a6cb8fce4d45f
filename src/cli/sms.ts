/** `cardea sms`: by which account at Twilio a realm sends text messages. The auth token is typed, never an argument. */
import type { Command } from 'commander';
import { requireRealm } from '../admin/resources/context.ts';
import { setSms, showSms, testSms } from '../admin/resources/delivery.ts';
import { badInput } from '../errors.ts';
import type { Invocation } from './cli.ts';
import { readSecret } from './input.ts';
import { withOperator } from './open.ts';
import { examples } from './output.ts';
import { describeSending, type RealmOptions } from './sending.ts';

interface SetOptions extends RealmOptions {
  accountSid: string;
  from?: string;
  messagingService?: string;
  tokenStdin?: boolean;
}

const EXAMPLE = `cardea sms set --realm staff --account-sid AC0123456789abcdef0123456789abcdef --from +15005550006`;

export function describeSms(sms: Command, invocation: Invocation): void {
  sms.addHelpText('after', examples(EXAMPLE, 'cardea sms test --realm staff --to +4915123456789'));
  describeSet(sms, invocation);
  describeSending(sms, invocation, {
    channel: 'sms',
    what: 'text messages',
    example: '+4915123456789',
    show: showSms,
    lines: ({ accountSid, sender }) => [
      `Account   ${accountSid}`,
      'from' in sender ? `From      ${sender.from}` : `Service   ${sender.messagingService}`,
    ],
    test: testSms,
  });
}

function describeSet(sms: Command, { terminal, output }: Invocation): void {
  sms
    .command('set')
    .description('have a realm send by an account of its own at Twilio, instead of the one of the installation')
    .requiredOption('--realm <realm>', 'the realm')
    .requiredOption('--account-sid <sid>', 'the account')
    .option('--from <sender>', 'who messages come from: a number as +15005550006, a short code or a name')
    .option('--messaging-service <sid>', 'the messaging service that chooses the sender')
    .option('--token-stdin', 'read the auth token from standard input')
    .option('--json', 'print one JSON document')
    .addHelpText('after', examples(EXAMPLE, `${EXAMPLE} --token-stdin < token.txt`))
    .action((options: SetOptions) =>
      withOperator(terminal, async (operator) => {
        const realm = await requireRealm(operator, options.realm);
        const { accountSid, from, messagingService } = options;
        if ((from === undefined) === (messagingService === undefined)) throw badInput('from', 'Give either --from or --messaging-service.');
        const authToken = await readSecret(terminal, options.tokenStdin, 'Auth token');
        await setSms({ ...operator, now: Date.now() }, realm, { accountSid, authToken, from, messagingService });
        await output.answer(options.json, { realm: realm.name, source: 'realm' }, () => [
          `Realm ${realm.name} sends text messages by ${accountSid}. Try it: cardea sms test --realm ${realm.name} --to NUMBER`,
        ]);
      }),
    );
}
