/** `cardea mfa enroll`: an authenticator app for a user who stands by with it. */
import { type Command, Option } from 'commander';
import { requireRealm } from '../admin/resources/context.ts';
import { beginEnrolment, finishEnrolment } from '../admin/resources/credentials.ts';
import { requireUser } from '../admin/resources/users.ts';
import { AppError } from '../errors.ts';
import type { Invocation } from './cli.ts';
import { isInteractive, readCode } from './input.ts';
import { withFactorOperator } from './open.ts';
import { examples } from './output.ts';
import { type QrOptions, removePicture, writePicture } from './qr.ts';

export interface UserOptions {
  realm: string;
  user: string;
  codeStdin?: boolean;
  json?: boolean;
}

interface EnrolOptions extends UserOptions, QrOptions {
  account?: string;
  issuer?: string;
  label?: string;
}

/** How often a wrong code may be typed again at the prompt. */
const TRIES = 3;

/** A command about one user. */
export const forUser = (parent: Command, name: string, description: string): Command =>
  parent
    .command(name)
    .description(description)
    .requiredOption('--realm <realm>', 'the realm')
    .requiredOption('--user <name>', 'the username')
    .option('--json', 'print one JSON document');

export function describeEnroll(mfa: Command, invocation: Invocation): void {
  forUser(mfa, 'enroll', 'give a user an authenticator app: shows what the app scans, and takes one code to confirm it')
    .option('--account <name>', 'whose codes they are, as the app shows it; without, the username')
    .option('--issuer <name>', "who asks for them, as the app shows it; without, the realm's display name")
    .option('--label <name>', "what the user's pages call the app; without, the account")
    .addOption(new Option('--qr <form>', 'how the QR code is shown').choices(['terminal', 'svg', 'png']))
    .option('--out <file>', 'write the SVG or PNG to this new file, readable for you alone')
    .option('--logo <file>', 'a picture for the middle of the code (PNG, JPEG or SVG; with --qr svg or png)')
    .option('--code-stdin', 'read the code from standard input')
    .addHelpText(
      'after',
      examples(
        'cardea mfa enroll --realm staff --user erin --account erin@example.com --issuer Example',
        'cardea mfa enroll --realm staff --user erin --account erin --issuer Example --logo logo.svg --qr svg --out erin.svg',
      ),
    )
    .addHelpText('after', '\nWith --json the document is printed before the code is read; the exit code says\nwhether the app was enrolled.\n')
    .action((options: EnrolOptions) => enrol(invocation, options));
}

async function enrol({ terminal, output }: Invocation, options: EnrolOptions): Promise<void> {
  await withFactorOperator(terminal, async (operator) => {
    const realm = await requireRealm(operator, options.realm);
    const user = await requireUser(operator, realm, options.user);
    const account = options.account ?? user.username;
    const issuer = options.issuer ?? realm.displayName;
    const begun = await beginEnrolment(operator, realm, user, { account, issuer, label: options.label ?? account });
    const { app, otpauth, key } = begun;
    const picture = await writePicture(otpauth, options);
    const document = { id: begun.credentialId, realm: realm.name, user: user.username, factor: 'totp', ...app, otpauth, key, ...picture };
    const typed = key.replace(/(.{4})(?=.)/g, '$1 ');
    await output.answer(options.json, document, () => [
      'Scan the code with the app, or open the link, or type the key.',
      ...(picture.qr === undefined ? [] : ['', picture.qr.trimEnd()]),
      '',
      ...(picture.file === undefined ? [] : [`QR code  ${picture.file}`]),
      `Link     ${otpauth}`,
      `Key      ${typed}`,
      '',
    ]);
    try {
      for (let tries = isInteractive(terminal, options.codeStdin) ? TRIES : 1; ; tries -= 1) {
        const code = await readCode(terminal, options.codeStdin);
        // A person takes their time to scan: the code is compared with the clock of now.
        const failure = await finishEnrolment({ ...operator, now: Date.now() }, realm, user, { begun, code }).then(() => undefined, codeRefusal);
        if (failure === undefined) break;
        if (tries <= 1) throw failure;
        output.note(failure.message);
      }
    } catch (error) {
      removePicture(picture);
      throw error;
    }
    const done = `Enrolled the app "${app.label}" for ${user.username} in realm ${realm.name}. That code is used: signing in takes the next one.`;
    if (options.json) output.note(done);
    else await output.answer(false, undefined, () => [done]);
  });
}

/** A wrong code may be typed again; everything else ends the command. */
function codeRefusal(error: unknown): AppError {
  if (error instanceof AppError && error.status === 400 && error.field === 'code') return error;
  throw error;
}
