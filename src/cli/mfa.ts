/** `cardea mfa`: a user's authenticator apps are listed, enrolled and tried. Codes are typed, never arguments. */
import { type Command, Option } from 'commander';
import { requireRealm } from '../admin/resources/context.ts';
import {
  beginEnrolment,
  type CodeVerdict,
  finishEnrolment,
  type ShownCredential,
  secondFactorsOf,
  verifyCode,
} from '../admin/resources/credentials.ts';
import { requireUser } from '../admin/resources/users.ts';
import { AppError } from '../errors.ts';
import { noticesOf } from '../installation.ts';
import type { Invocation } from './cli.ts';
import { EXIT } from './failures.ts';
import { isInteractive, readCode } from './input.ts';
import { withOperator } from './open.ts';
import { examples, isoTime, shownTime } from './output.ts';
import { type QrOptions, removePicture, writePicture } from './qr.ts';

interface UserOptions {
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

export function describeMfa(mfa: Command, invocation: Invocation): void {
  mfa.addHelpText(
    'after',
    examples(
      'cardea mfa list --realm staff --user erin',
      'cardea mfa enroll --realm staff --user erin --account erin@example.com --issuer Example',
      'cardea mfa verify --realm staff --user erin',
    ),
  );
  describeList(mfa, invocation);
  describeEnroll(mfa, invocation);
  describeVerify(mfa, invocation);
}

const forUser = (mfa: Command, name: string, description: string): Command =>
  mfa
    .command(name)
    .description(description)
    .requiredOption('--realm <realm>', 'the realm')
    .requiredOption('--user <name>', 'the username')
    .option('--json', 'print one JSON document');

function describeList(mfa: Command, { terminal, output }: Invocation): void {
  forUser(mfa, 'list', "list a user's authenticator apps")
    .addHelpText('after', examples('cardea mfa list --realm staff --user erin', 'cardea mfa list --realm staff --user erin --json'))
    .action((options: UserOptions) =>
      withOperator(terminal, async (operator) => {
        const user = await requireUser(operator, await requireRealm(operator, options.realm), options.user);
        await output.list(options.json, await secondFactorsOf(operator, user), {
          document: documentOf,
          columns: [
            { title: 'NAME', value: (row) => row.label },
            { title: 'FACTOR', value: (row) => row.factor },
            { title: 'ENABLED', value: (row) => (row.enabled ? 'yes' : 'no') },
            { title: 'SINCE', value: (row) => shownTime(row.createdAt) },
            { title: 'LAST USED', value: (row) => shownTime(row.lastUsedAt) },
            { title: 'ID', value: (row) => row.id },
          ],
          none: `${user.username} has no authenticator app.`,
        });
      }),
    );
}

function describeEnroll(mfa: Command, invocation: Invocation): void {
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
  await withOperator(terminal, async (operator, installation) => {
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
        const confirmed = { begun, code, notices: noticesOf(installation) };
        // A person takes their time to scan: the code is compared with the clock of now.
        const failure = await finishEnrolment({ ...operator, now: Date.now() }, realm, user, confirmed).then(() => undefined, codeRefusal);
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

function describeVerify(mfa: Command, { terminal, output }: Invocation): void {
  forUser(mfa, 'verify', 'try a code of a user: says whether it is right, and uses it up')
    .option('--code-stdin', 'read the code from standard input')
    .addHelpText(
      'after',
      examples('cardea mfa verify --realm staff --user erin', 'cardea mfa verify --realm staff --user erin --code-stdin --json < code.txt'),
    )
    .addHelpText('after', '\nExit code 0 means right; 1 means wrong, used before, or too many attempts, which\ncount as those of the sign-in page.\n')
    .action((options: UserOptions) =>
      withOperator(terminal, async (operator) => {
        const realm = await requireRealm(operator, options.realm);
        const user = await requireUser(operator, realm, options.user);
        const code = await readCode(terminal, options.codeStdin);
        const verdict = await verifyCode({ ...operator, now: Date.now() }, realm, user, code);
        const document = {
          realm: realm.name,
          user: user.username,
          ...(verdict.ok ? { ok: true, credential: documentOf(verdict.credential) } : verdict),
        };
        if (verdict.ok || options.json) await output.answer(options.json, document, () => [sentenceOf(verdict)]);
        if (verdict.ok) return;
        output.note(`cardea: code: ${sentenceOf(verdict)}`);
        output.exitCode = EXIT.refused;
      }),
    );
}

function sentenceOf(verdict: CodeVerdict): string {
  if (verdict.ok)
    return verdict.credential.label === '' ? 'The code is right.' : `The code is right: it is of the app "${verdict.credential.label}".`;
  return verdict.reason === 'replayed' ? 'The code was used before. Wait for the next one.' : 'The code is not right.';
}

const documentOf = (row: ShownCredential) => ({
  id: row.id,
  factor: row.factor,
  label: row.label,
  enabled: row.enabled,
  createdAt: isoTime(row.createdAt),
  lastUsedAt: row.lastUsedAt === null ? null : isoTime(row.lastUsedAt),
});
