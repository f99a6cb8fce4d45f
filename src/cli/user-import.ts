/** `cardea user import`: users from a CSV or JSON file, with a report of what became of each. */
import type { Command } from 'commander';
import { requireRealm } from '../admin/resources/context.ts';
import { type ImportOutcome, importUsers } from '../admin/resources/user-import.ts';
import type { Invocation } from './cli.ts';
import { EXIT } from './failures.ts';
import { withOperator } from './open.ts';
import { examples, printable } from './output.ts';
import { withProgress } from './progress.ts';
import { openUsers } from './user-file.ts';

interface ImportCommandOptions {
  realm: string;
  update?: boolean;
  dryRun?: boolean;
  json?: boolean;
}

/** Failures that are told of one by one. */
const MOST_TOLD = 1000;

export function describeUserImport(user: Command, { terminal, output }: Invocation): void {
  user
    .command('import')
    .description('make users from a CSV or JSON file; who is there already is passed over')
    .argument('<file>', 'CSV with a line of column names, or JSON as Keycloak exports it')
    .requiredOption('--realm <realm>', 'the realm')
    .option('--update', 'change who is there already to what the file says')
    .option('--dry-run', 'say what would be done, and keep nothing of it')
    .option('--json', 'print one JSON document')
    .addHelpText(
      'after',
      [
        '',
        'CSV columns: username, email, firstName, lastName, emailVerified, enabled,',
        'password, temporary, groups, realmRoles, clientRoles (client:role),',
        'requiredActions, attributes.NAME. Several values are parted by semicolons;',
        'an empty cell says nothing. JSON is {"users": [...]} or the list alone.',
        'Passwords and required actions are for new users. Bad rows stop nobody else:',
        'the exit code is 1 where there were some. Run again, it makes nobody twice.',
        '',
      ].join('\n'),
    )
    .addHelpText(
      'after',
      examples(
        'cardea user import people.csv --realm staff --dry-run',
        'cardea user import people.csv --realm staff --update --json',
        'cardea user import realm-export.json --realm staff',
      ),
    )
    .action((path: string, options: ImportCommandOptions) =>
      withOperator(terminal, async (operator) => {
        const realm = await requireRealm(operator, options.realm);
        const file = openUsers(path);
        const choices = { update: options.update === true, dryRun: options.dryRun === true };
        const report = new Report();
        await withProgress(terminal, `Importing into ${realm.name}, percent`, async (progress) => {
          for await (const outcomes of importUsers(operator, realm, file.users, choices)) {
            for (const outcome of outcomes) report.add(outcome);
            progress(file.size === 0 ? 100 : Math.min(100, Math.floor((file.done() / file.size) * 100)), 100);
          }
        });
        const document = { realm: realm.name, ...choices, ...report.counts, failures: report.failures, leftOut: file.leftOut() };
        await output.answer(options.json, document, () => report.lines(choices.dryRun, file.leftOut()));
        if (report.counts.failed > 0) output.exitCode = EXIT.refused;
      }),
    );
}

class Report {
  readonly counts = { created: 0, changed: 0, skipped: 0, failed: 0 };
  readonly failures: Omit<ImportOutcome, 'result'>[] = [];

  add({ result, ...rest }: ImportOutcome): void {
    this.counts[result] += 1;
    if (result === 'failed' && this.failures.length < MOST_TOLD) this.failures.push(rest);
  }

  lines(dryRun: boolean, leftOut: Readonly<Record<string, number>>): string[] {
    const { created, changed, skipped, failed } = this.counts;
    const untold = failed - this.failures.length;
    return [
      ...this.failures.map(({ at, username, field, reason = '' }) => {
        const who = username === null || username === '' ? '' : ` (${printable(username)})`;
        const what = field === undefined || field === '' || reason.startsWith(`${field}:`) ? '' : `${printable(field)}: `;
        return `${at}${who}  ${what}${printable(reason)}`;
      }),
      ...(untold > 0 ? [`and ${untold} more`] : []),
      ...Object.entries(leftOut).map(([name, times]) => `Left out: ${printable(name)}${times > 1 ? `, ${times} times` : ''}`),
      `${dryRun ? 'Would be created' : 'Created'} ${created}, changed ${changed}, skipped ${skipped}, failed ${failed}.`,
    ];
  }
}
