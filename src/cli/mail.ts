/** `cardea mail`: by which server a realm sends mail. The password is typed, never an argument. */
import { type Command, InvalidArgumentError, Option } from 'commander';
import { requireRealm } from '../admin/resources/context.ts';
import { setMail, showMail, testMail } from '../admin/resources/delivery.ts';
import { badInput } from '../errors.ts';
import type { Invocation } from './cli.ts';
import { readBounded, reasonOf } from './files.ts';
import { readSecret } from './input.ts';
import { withOperator } from './open.ts';
import { examples } from './output.ts';
import { describeSending, type RealmOptions } from './sending.ts';

interface SetOptions extends RealmOptions {
  host: string;
  port?: number;
  tls?: 'implicit' | 'required' | 'optional' | 'off';
  user?: string;
  from: string;
  replyTo?: string;
  ca?: string;
  passwordStdin?: boolean;
}

/** Larger than any list of certificates. */
const MAX_CA_BYTES = 100_000;

export function describeMail(mail: Command, invocation: Invocation): void {
  mail.addHelpText(
    'after',
    examples(
      'cardea mail set --realm staff --host smtp.example.com --user post --from "Example <no-reply@example.com>"',
      'cardea mail test --realm staff --to erin@example.com',
    ),
  );
  describeSet(mail, invocation);
  describeSending(mail, invocation, {
    channel: 'mail',
    what: 'mail',
    example: 'erin@example.com',
    show: showMail,
    lines: ({ host, port, tls, user, from, replyTo, ownCertificates }) => [
      `Server    ${host}:${port}, TLS ${tls}${ownCertificates ? ', certificates of its own' : ''}`,
      `User      ${user ?? '-'}`,
      `From      ${from.name === null ? from.address : `${from.name} <${from.address}>`}`,
      ...(replyTo === null ? [] : [`Reply to  ${replyTo.address}`]),
    ],
    test: testMail,
  });
}

function describeSet(mail: Command, { terminal, output }: Invocation): void {
  mail
    .command('set')
    .description('have a realm send by a mail server of its own, instead of the one of the installation')
    .requiredOption('--realm <realm>', 'the realm')
    .requiredOption('--host <host>', 'the mail server')
    .requiredOption('--from <address>', 'who mails come from: an address, or a name and an address as "Example <no-reply@example.com>"')
    .option('--port <port>', 'its port; without, 587, or 465 with --tls implicit', port)
    .addOption(
      new Option('--tls <when>', 'implicit: from the first byte; required: by STARTTLS or nothing; optional; off').choices([
        'implicit',
        'required',
        'optional',
        'off',
      ]),
    )
    .option('--user <name>', 'who logs in there; the password is asked for')
    .option('--password-stdin', 'read the password from standard input')
    .option('--reply-to <address>', 'where answers go')
    .option('--ca <file>', 'certificates in PEM that the server’s may be signed by')
    .option('--json', 'print one JSON document')
    .addHelpText(
      'after',
      examples(
        'cardea mail set --realm staff --host smtp.example.com --user post --from "Example <no-reply@example.com>"',
        'cardea mail set --realm staff --host smtp.example.com --port 465 --user post --from no-reply@example.com --password-stdin < password.txt',
      ),
    )
    .addHelpText('after', '\nThe whole account is set anew each time, its password too. The server connects\nto whatever host is named here.\n')
    .action((options: SetOptions) =>
      withOperator(terminal, async (operator) => {
        const realm = await requireRealm(operator, options.realm);
        const { host, port, tls, user, from, replyTo } = options;
        const ca = options.ca === undefined ? undefined : certificates(options.ca);
        const login = user === undefined ? undefined : { user, password: await readSecret(terminal, options.passwordStdin, 'Password') };
        await setMail({ ...operator, now: Date.now() }, realm, { host, port, tls, login, from, replyTo, ca });
        await output.answer(options.json, { realm: realm.name, source: 'realm' }, () => [
          `Realm ${realm.name} sends mail by ${host}. Try it: cardea mail test --realm ${realm.name} --to ADDRESS`,
        ]);
      }),
    );
}

function port(text: string): number {
  if (!/^\d{1,5}$/.test(text)) throw new InvalidArgumentError('It is a number.');
  return Number(text);
}

function certificates(file: string): string {
  try {
    return readBounded(file, MAX_CA_BYTES).toString('utf8');
  } catch (error) {
    throw badInput('ca', `${file} cannot be read: ${reasonOf(error)}.`);
  }
}
