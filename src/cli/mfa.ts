/** `cardea mfa`: a user's second factors are listed, enrolled, tried, removed and switched on again. Codes are typed, never arguments. */
import { rmSync, writeFileSync } from 'node:fs';
import { resolve } from 'node:path';
import type { Command } from 'commander';
import { requireRealm } from '../admin/resources/context.ts';
import {
  generateRecoveryCodes,
  type ListedCredential,
  removeSecondFactor,
  restoreFactor,
  type ShownCredential,
  secondFactorsOf,
} from '../admin/resources/credentials.ts';
import { requireUser } from '../admin/resources/users.ts';
import { type CodeVerdict, verifyCode } from '../admin/resources/verify-code.ts';
import { badInput } from '../errors.ts';
import type { Invocation } from './cli.ts';
import { EXIT, wrongUsage } from './failures.ts';
import { reasonOf } from './files.ts';
import { readCode } from './input.ts';
import { describeEnroll, forUser, type UserOptions } from './mfa-enroll.ts';
import { withFactorOperator } from './open.ts';
import { examples, isoTime, printable, shownTime } from './output.ts';

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
  describeRemove(mfa, invocation);
  describeRestore(mfa, invocation);
  describeRecoveryCodes(mfa, invocation);
}

function describeList(mfa: Command, { terminal, output }: Invocation): void {
  forUser(mfa, 'list', "list a user's second factors")
    .addHelpText('after', examples('cardea mfa list --realm staff --user erin', 'cardea mfa list --realm staff --user erin --json'))
    .action((options: UserOptions) =>
      withFactorOperator(terminal, async (operator) => {
        const realm = await requireRealm(operator, options.realm);
        const user = await requireUser(operator, realm, options.user);
        await output.list<ListedCredential>(options.json, await secondFactorsOf(operator, realm, user), {
          document: documentOf,
          columns: [
            { title: 'NAME', value: (row) => row.label || row.name },
            { title: 'FACTOR', value: (row) => row.factor },
            { title: 'ENABLED', value: (row) => (row.enabled ? 'yes' : 'no') },
            { title: 'LEFT', value: (row) => (row.left === undefined ? '-' : String(row.left)) },
            { title: 'SINCE', value: (row) => shownTime(row.createdAt) },
            { title: 'LAST USED', value: (row) => shownTime(row.lastUsedAt) },
            { title: 'ID', value: (row) => row.id },
          ],
          none: `${user.username} has no second factor.`,
        });
      }),
    );
}

function describeVerify(mfa: Command, { terminal, output }: Invocation): void {
  forUser(mfa, 'verify', 'try a code of a user, of an app, a token or the recovery codes: says whether it is right, and uses it up')
    .option('--code-stdin', 'read the code from standard input')
    .addHelpText(
      'after',
      examples('cardea mfa verify --realm staff --user erin', 'cardea mfa verify --realm staff --user erin --code-stdin --json < code.txt'),
    )
    .addHelpText('after', '\nExit code 0 means right; 1 means wrong, used before, or too many attempts, which\ncount as those of the sign-in page.\n')
    .action((options: UserOptions) =>
      withFactorOperator(terminal, async (operator) => {
        const realm = await requireRealm(operator, options.realm);
        const user = await requireUser(operator, realm, options.user);
        const code = await readCode(terminal, options.codeStdin);
        const verdict = await verifyCode({ ...operator, now: Date.now() }, realm, user, code);
        const document = {
          realm: realm.name,
          user: user.username,
          ...(verdict.ok ? { ...verdict, credential: documentOf(verdict.credential) } : verdict),
        };
        if (verdict.ok || options.json) await output.answer(options.json, document, () => [sentenceOf(verdict)]);
        if (verdict.ok) return;
        output.note(`cardea: code: ${sentenceOf(verdict)}`);
        output.exitCode = EXIT.refused;
      }),
    );
}

function sentenceOf(verdict: CodeVerdict): string {
  if (!verdict.ok) return verdict.reason === 'replayed' ? 'The code was used before. Take the next one.' : 'The code is not right.';
  const { left, credential } = verdict;
  if (left !== undefined) return `The code is right: it is a recovery code, and ${left} are left.`;
  return credential.label === '' ? 'The code is right.' : `The code is right: it is of "${printable(credential.label)}".`;
}

function describeRemove(mfa: Command, { terminal, output }: Invocation): void {
  forUser(mfa, 'remove', 'remove a second factor of a user, and tell them')
    .requiredOption('--id <id>', 'which one, as `cardea mfa list` has it')
    .addHelpText('after', examples('cardea mfa remove --realm staff --user erin --id 0d2c…'))
    .addHelpText(
      'after',
      '\nWhat the realm asks of the user is asked at the next sign-in: another factor,\nor a new one. A hardware token goes back into stock.\n',
    )
    .action((options: UserOptions & { id: string }) =>
      withFactorOperator(terminal, async (operator) => {
        const realm = await requireRealm(operator, options.realm);
        const user = await requireUser(operator, realm, options.user);
        const removed = await removeSecondFactor(operator, realm, user, options.id);
        const document = { realm: realm.name, user: user.username, removed: documentOf(removed) };
        await output.answer(options.json, document, () => [`Removed ${removed.factor} "${printable(removed.label)}" of ${user.username}.`]);
      }),
    );
}

function describeRestore(mfa: Command, { terminal, output }: Invocation): void {
  forUser(mfa, 'restore', 'switch a factor on again that was switched off after too many wrong codes')
    .requiredOption('--factor <factor>', 'which one, such as totp')
    .addHelpText('after', examples('cardea mfa restore --realm staff --user erin --factor totp'))
    .addHelpText('after', '\nMake sure of who asks for it: whoever has guessed at the codes knows the\npassword.\n')
    .action((options: UserOptions & { factor: string }) =>
      withFactorOperator(terminal, async (operator) => {
        const realm = await requireRealm(operator, options.realm);
        const user = await requireUser(operator, realm, options.user);
        const restored = await restoreFactor(operator, realm, user, options.factor);
        const document = { realm: realm.name, user: user.username, factor: options.factor, restored };
        await output.answer(options.json, document, () => [`${options.factor} of ${user.username} is on again.`]);
      }),
    );
}

interface GenerateOptions extends UserOptions {
  print?: boolean;
  out?: string;
}

function describeRecoveryCodes(mfa: Command, { terminal, output }: Invocation): void {
  const codes = mfa
    .command('recovery-codes')
    .description("a user's recovery codes")
    .addHelpText('after', examples('cardea mfa recovery-codes generate --realm staff --user erin --print'));
  forUser(codes, 'generate', 'make ten new recovery codes in the place of all that the user has, and tell them')
    .option('--print', 'print the codes')
    .option('--out <file>', 'write the codes to this new file, readable for you alone')
    .addHelpText(
      'after',
      examples(
        'cardea mfa recovery-codes generate --realm staff --user erin --print',
        'cardea mfa recovery-codes generate --realm staff --user erin --out erin.txt',
      ),
    )
    .addHelpText('after', '\nThe codes are shown this once. They are not for administrators.\n')
    .action((options: GenerateOptions) =>
      withFactorOperator(terminal, async (operator) => {
        if (options.print !== true && options.out === undefined) throw wrongUsage('say where the codes go: --print or --out FILE');
        const realm = await requireRealm(operator, options.realm);
        const user = await requireUser(operator, realm, options.user);
        // The file first: codes that nobody has would only make the old ones worthless.
        const file = options.out === undefined ? undefined : reserved(options.out);
        const made = await generateRecoveryCodes(operator, realm, user).catch((error: unknown) => {
          if (file !== undefined) rmSync(file, { force: true });
          throw error;
        });
        if (file !== undefined) writeFileSync(file, made.map((code) => `${code}\n`).join(''));
        const document = { realm: realm.name, user: user.username, made: made.length, ...(file && { file }), ...(options.print && { codes: made }) };
        await output.answer(options.json, document, () => [
          `Made ${made.length} recovery codes for ${user.username}. Those from before are worthless.`,
          ...(file === undefined ? [] : [`They are in ${file}`]),
          ...(options.print === true ? ['', ...made, ''] : []),
        ]);
      }),
    );
}

/** A new file for its owner alone; never over one that is there, whose mode might let others read it. */
function reserved(name: string): string {
  const file = resolve(name);
  try {
    writeFileSync(file, '', { flag: 'wx', mode: 0o600 });
  } catch (cause) {
    throw badInput('out', `The codes cannot be written: ${reasonOf(cause)}`);
  }
  return file;
}

const documentOf = (row: ShownCredential & Pick<Partial<ListedCredential>, 'left'>) => ({
  id: row.id,
  factor: row.factor,
  label: row.label,
  enabled: row.enabled,
  createdAt: isoTime(row.createdAt),
  lastUsedAt: row.lastUsedAt === null ? null : isoTime(row.lastUsedAt),
  ...(row.left === undefined ? {} : { left: row.left }),
});
