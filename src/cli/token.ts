/** `cardea token`: a realm's hardware tokens are imported, given to users and taken back. What is in a file of keys is never printed. */
import { type Command, Option } from 'commander';
import { requireRealm } from '../admin/resources/context.ts';
import type { FactorOperator } from '../admin/resources/factor-operator.ts';
import {
  allTokens,
  assignToken,
  type ImportReport,
  importTokens,
  type ListedToken,
  type ReportLine,
  removeToken,
  type TokenSource,
  unassignToken,
} from '../admin/resources/tokens.ts';
import { requireUser } from '../admin/resources/users.ts';
import { badInput } from '../errors.ts';
import type { Invocation } from './cli.ts';
import { EXIT, wrongUsage } from './failures.ts';
import { readBounded, reasonOf } from './files.ts';
import { withFactorOperator } from './open.ts';
import { aligned, examples, isoTime, printable, shownTime } from './output.ts';
import { withProgress } from './progress.ts';

interface RealmOptions {
  realm: string;
  json?: boolean;
}

interface ImportOptions extends RealmOptions {
  format?: TokenSource['format'];
  encoding?: 'hex' | 'base32';
  dryRun?: boolean;
}

const MAX_FILE_BYTES = 32 * 1024 * 1024;

export function describeToken(token: Command, invocation: Invocation): void {
  token.addHelpText(
    'after',
    examples(
      'cardea token import tokens.csv --encoding hex --realm staff',
      'cardea token list --realm staff --in-stock',
      'cardea token assign 1000133508267 --realm staff --user erin',
    ),
  );
  describeImport(token, invocation);
  describeList(token, invocation);
  describeAssign(token, invocation);
  describeUnassign(token, invocation);
  describeRemove(token, invocation);
}

const inRealm = (token: Command, name: string, description: string): Command =>
  token.command(name).description(description).requiredOption('--realm <realm>', 'the realm').option('--json', 'print one JSON document');

function describeImport(token: Command, { terminal, output }: Invocation): void {
  inRealm(token, 'import', 'import tokens from the file of their maker: all of it, or nothing while a line is wrong')
    .argument('<file>', 'CSV, or PSKC (RFC 6030) with keys in plain')
    .addOption(new Option('--format <format>', "what the file is; without, by the file's name").choices(['csv', 'pskc']))
    .addOption(new Option('--encoding <encoding>', 'how a CSV file writes its secrets, where no column says it').choices(['hex', 'base32']))
    .option('--dry-run', 'only say what would be imported')
    .addHelpText(
      'after',
      `
The first line of a CSV file names its columns: serial and secret, and
whichever of encoding (hex, base32), type (hotp, totp), digits (6, 8),
algorithm (sha1, sha256, sha512), counter, period, model and username there
are. Tokens with a username are that user's at once, who is told. Tokens that
are there already are passed over.
`,
    )
    .addHelpText(
      'after',
      examples('cardea token import tokens.csv --encoding hex --realm staff --dry-run', 'cardea token import tokens.pskcxml --realm staff --json'),
    )
    .action((file: string, options: ImportOptions) =>
      withFactorOperator(terminal, async (operator) => {
        const format = options.format ?? formatOf(file);
        if (format === 'pskc' && options.encoding !== undefined) throw wrongUsage('--encoding is for CSV; PSKC says it itself');
        const realm = await requireRealm(operator, options.realm);
        const source = { format, bytes: bytesOf(file), encoding: options.encoding };
        const report = await withProgress(terminal, 'Importing', (progress) =>
          importTokens(operator, realm, source, { dryRun: options.dryRun === true, progress }),
        );
        const { lines, ...counted } = report;
        await output.answer(options.json, { realm: realm.name, format, ...counted, lines }, () => [...tableOf(report), '', sentenceOf(report)]);
        if (report.wrong === 0) return;
        output.note(`cardea: file: ${report.wrong} of ${lines.length} are wrong; nothing was imported.`);
        output.exitCode = EXIT.refused;
      }),
    );
}

function formatOf(file: string): TokenSource['format'] {
  if (/\.(csv|txt|tsv)$/i.test(file)) return 'csv';
  if (/\.(xml|pskc|pskcxml)$/i.test(file)) return 'pskc';
  throw wrongUsage('the name of the file does not say what it is: give --format csv or --format pskc');
}

function bytesOf(file: string): Buffer {
  try {
    return readBounded(file, MAX_FILE_BYTES);
  } catch (cause) {
    throw badInput('file', `The file cannot be read: ${reasonOf(cause)}`);
  }
}

function tableOf({ counts, lines }: ImportReport): string[] {
  const said = ({ outcome, why, username }: ReportLine): string => {
    if (why !== undefined) return `wrong: ${why}`;
    return username === undefined ? outcome : `${outcome}, for ${username}`;
  };
  const rows = lines.map((line) => [String(line.place), printable(line.serial ?? '-'), printable(said(line))]);
  return aligned([[counts.toUpperCase(), 'SERIAL', 'RESULT'], ...rows])
    .trimEnd()
    .split('\n');
}

function sentenceOf({ accepted, duplicates, stored, wrong }: ImportReport): string {
  const there = duplicates === 0 ? '' : ` ${duplicates} ${duplicates === 1 ? 'was' : 'were'} there already.`;
  const tokens = `${accepted} token${accepted === 1 ? '' : 's'}`;
  if (stored) return `Imported ${tokens}.${there}`;
  return wrong > 0 ? `${tokens} could be imported.${there}` : `${tokens} would be imported.${there}`;
}

function describeList(token: Command, { terminal, output }: Invocation): void {
  inRealm(token, 'list', 'list the tokens of a realm by serial number')
    .addOption(new Option('--assigned', "only those that are somebody's").conflicts('inStock'))
    .option('--in-stock', "only those that are nobody's")
    .addHelpText('after', examples('cardea token list --realm staff', 'cardea token list --realm staff --in-stock --json'))
    .action(({ realm: name, json, assigned, inStock }: RealmOptions & { assigned?: boolean; inStock?: boolean }) =>
      withFactorOperator(terminal, async (operator) => {
        const realm = await requireRealm(operator, name);
        const only = assigned ? 'assigned' : inStock ? 'in-stock' : undefined;
        await output.list<ListedToken>(json, allTokens(operator, realm, only), {
          document: documentOf,
          columns: [
            { title: 'SERIAL', value: (row) => row.serial },
            { title: 'MODEL', value: (row) => row.model ?? '-' },
            { title: 'FACTOR', value: (row) => row.factor },
            { title: 'DIGITS', value: (row) => String(row.digits) },
            { title: 'USER', value: (row) => (row.credentialId === null ? '-' : (row.username ?? '(deleted)')) },
            { title: 'IMPORTED', value: (row) => shownTime(row.importedAt) },
          ],
          none: `There is no such token in realm ${realm.name}.`,
        });
      }),
    );
}

function describeAssign(token: Command, { terminal, output }: Invocation): void {
  inRealm(token, 'assign', 'give a token in stock to a user, and tell them')
    .argument('<serial>', 'the serial number, as it is printed on the token')
    .requiredOption('--user <name>', 'the username')
    .addHelpText('after', examples('cardea token assign 1000133508267 --realm staff --user erin'))
    .action((serial: string, options: RealmOptions & { user: string }) =>
      withFactorOperator(terminal, async (operator) => {
        const realm = await requireRealm(operator, options.realm);
        const user = await requireUser(operator, realm, options.user);
        const credential = await assignToken(operator, realm, serial, user);
        const document = { realm: realm.name, user: user.username, serial, factor: credential.factor, credential: credential.id };
        await output.answer(options.json, document, () => [`The token "${printable(credential.label)}" is ${user.username}'s.`]);
      }),
    );
}

function describeUnassign(token: Command, invocation: Invocation): void {
  bySerial(token, 'unassign', 'take a token back into stock, and tell whose it was', invocation, async (operator, realmName, serial) => {
    const realm = await requireRealm(operator, realmName);
    const user = await unassignToken(operator, realm, serial);
    const of = user === undefined ? '' : `, and no longer ${user.username}'s`;
    return { document: { realm: realm.name, serial, user: user?.username ?? null }, sentence: `The token ${printable(serial)} is in stock${of}.` };
  });
}

function describeRemove(token: Command, invocation: Invocation): void {
  bySerial(token, 'remove', 'remove a token from stock: it is lost or broken', invocation, async (operator, realmName, serial) => {
    const realm = await requireRealm(operator, realmName);
    const removed = await removeToken(operator, realm, serial);
    return { document: { realm: realm.name, serial: removed.serial }, sentence: `Removed the token ${printable(removed.serial)}.` };
  });
}

/** A command that does one thing to one token. */
function bySerial(
  token: Command,
  name: string,
  description: string,
  { terminal, output }: Invocation,
  work: (operator: FactorOperator, realm: string, serial: string) => Promise<{ document: object; sentence: string }>,
): void {
  inRealm(token, name, description)
    .argument('<serial>', 'the serial number, as it is printed on the token')
    .addHelpText('after', examples(`cardea token ${name} 1000133508267 --realm staff`))
    .action((serial: string, { realm, json }: RealmOptions) =>
      withFactorOperator(terminal, async (operator) => {
        const { document, sentence } = await work(operator, realm, serial);
        await output.answer(json, document, () => [sentence]);
      }),
    );
}

const documentOf = (row: ListedToken) => ({
  serial: row.serial,
  model: row.model,
  factor: row.factor,
  digits: row.digits,
  algorithm: row.algorithm,
  period: row.period,
  user: row.username,
  assignedAt: row.assignedAt === null ? null : isoTime(row.assignedAt),
  importedAt: isoTime(row.importedAt),
});
