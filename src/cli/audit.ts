/** `cardea audit`: what was recorded is listed and exported, the chain of administrators' rows checked, a person taken out. */
import { type Command, InvalidArgumentError, Option } from 'commander';
import { auditDocument, auditRows, forgetPerson, verifyAudit } from '../admin/resources/audit.ts';
import { type Operator, requireRealm } from '../admin/resources/context.ts';
import { csvLine } from '../admin/resources/csv.ts';
import { allRealms } from '../admin/resources/realms.ts';
import type { ChainPlace, Verdict } from '../audit/verify.ts';
import { badInput } from '../errors.ts';
import type { RealmRow } from '../store/realms.ts';
import { userByUsername } from '../store/users.ts';
import type { Invocation } from './cli.ts';
import { EXIT } from './failures.ts';
import { withOperator } from './open.ts';
import { examples, shownTime } from './output.ts';
import { withProgress } from './progress.ts';

export function describeAudit(audit: Command, invocation: Invocation): void {
  audit.addHelpText('after', examples('cardea audit list --realm staff --type "mfa.*" --since 7d', 'cardea audit verify'));
  describeList(audit, invocation);
  describeExport(audit, invocation);
  describeVerify(audit, invocation);
  describeForget(audit, invocation);
}

interface FilterOptions {
  realm: string;
  type?: string;
  subject?: string;
  since?: (now: number) => number;
  limit?: number;
  json?: boolean;
}

function withFilters(command: Command): Command {
  return command
    .requiredOption('--realm <realm>', 'the realm')
    .option('--type <type>', 'one type, such as login.failed, or the beginning of several, such as "mfa.*"')
    .option('--subject <user>', 'the user that it is about: a name, or an id')
    .option('--since <moment>', 'from then on: a time, such as 2030-01-15 or 2030-01-15T12:00:00Z, or how long ago, such as 7d, 24h or 30m', since);
}

function describeList(audit: Command, { terminal, output }: Invocation): void {
  withFilters(audit.command('list'))
    .description('list what was recorded, the newest first')
    .option('--limit <number>', 'how many at most', count, 50)
    .option('--json', 'print one JSON document')
    .addHelpText(
      'after',
      examples('cardea audit list --realm staff --subject erin', 'cardea audit list --realm staff --since 24h --limit 500 --json'),
    )
    .action((options: FilterOptions) =>
      withOperator(terminal, async (operator) => {
        const realm = await requireRealm(operator, options.realm);
        await output.list(options.json, auditRows(operator, realm, await filterOf(operator, realm, options)), {
          document: auditDocument,
          columns: [
            { title: 'TIME', value: (row) => shownTime(row.at) },
            { title: 'TYPE', value: (row) => row.type },
            { title: 'ACTOR', value: (row) => row.actor ?? '-' },
            { title: 'SUBJECT', value: (row) => row.subject ?? '-' },
            { title: 'CLIENT', value: (row) => row.clientId ?? '-' },
            { title: 'IP', value: (row) => row.ip ?? '-' },
            { title: 'DETAILS', value: (row) => row.details },
          ],
          none: 'Nothing was recorded.',
        });
      }),
    );
}

const FORMATS = ['jsonl', 'csv'] as const;

function describeExport(audit: Command, { terminal, output }: Invocation): void {
  withFilters(audit.command('export'))
    .description('write what was recorded to standard output, the oldest first: all of it, unless told otherwise')
    .addOption(new Option('--format <format>', 'one JSON document a line, or comma-separated values').choices(FORMATS).default('jsonl'))
    .option('--limit <number>', 'how many at most', count)
    .addHelpText('after', examples('cardea audit export --realm staff --format csv --since 30d > audit.csv'))
    .action((options: FilterOptions & { format: (typeof FORMATS)[number] }) =>
      withOperator(terminal, async (operator) => {
        const realm = await requireRealm(operator, options.realm);
        const filter = await filterOf(operator, realm, options);
        if (options.format === 'csv') await output.write(csvLine(COLUMNS));
        for await (const row of auditRows(operator, realm, { ...filter, oldestFirst: true })) {
          const document = auditDocument(row);
          await output.write(
            options.format === 'csv' ? csvLine(Object.values({ ...document, details: row.details })) : `${JSON.stringify(document)}\n`,
          );
        }
      }),
    );
}

function describeVerify(audit: Command, { terminal, output }: Invocation): void {
  audit
    .command('verify')
    .description("check that nobody has changed, removed, put in or moved an administrator's row")
    .option('--realm <realm>', 'of one realm; of all without')
    .option('--known <end>', 'the end of the chain as it was printed before (rows:hash): what came before it has to be there still', place)
    .option('--json', 'print one JSON document')
    .addHelpText('after', '\nExit code 0: every chain holds. 1: one does not.\n')
    .addHelpText('after', examples('cardea audit verify', 'cardea audit verify --realm staff --known 41:6vA… --json'))
    .action(({ realm: name, known, json }: { realm?: string; known?: ChainPlace; json?: boolean }) =>
      withOperator(terminal, async (operator) => {
        if (known && name === undefined) throw badInput('known', 'Say of which realm that is: --realm.');
        const realms = name === undefined ? allRealms(operator) : [await requireRealm(operator, name)];
        const verdicts = async function* (): AsyncGenerator<Verdict & { realm: string }> {
          for await (const realm of realms) {
            const verdict = await withProgress(terminal, realm.name, (progress) => verifyAudit(operator, realm, { known, progress }));
            if (!verdict.ok) output.exitCode = EXIT.refused;
            yield { realm: realm.name, ...verdict };
          }
        };
        if (json) return output.list(json, verdicts(), { document: verdictOf, columns: [], none: '' });
        for await (const verdict of verdicts())
          await output.write(
            linesOf(verdict)
              .map((line) => `${line}\n`)
              .join(''),
          );
      }),
    );
}

function describeForget(audit: Command, { terminal, output }: Invocation): void {
  audit
    .command('forget')
    .description('take a person out of what was recorded: the rows stay, without name, address and browser; it cannot be undone')
    .requiredOption('--realm <realm>', 'the realm')
    .requiredOption('--subject <user>', 'the person: a name, or the id of a user who is not there any more')
    .option('--json', 'print one JSON document')
    .addHelpText('after', examples('cardea audit forget --realm staff --subject erin'))
    .action((options: { realm: string; subject: string; json?: boolean }) =>
      withOperator(terminal, async (operator) => {
        const realm = await requireRealm(operator, options.realm);
        const rows = await forgetPerson(operator, realm, await personOf(operator, realm, options.subject));
        await output.answer(options.json, { realm: realm.name, rows }, () => [`Took the person out of ${rows} rows of realm ${realm.name}.`]);
      }),
    );
}

async function filterOf(operator: Operator, realm: RealmRow, { type, subject, since: from, limit }: FilterOptions) {
  return { type, limit, since: from?.(operator.now), subject: subject === undefined ? undefined : await personOf(operator, realm, subject) };
}

/** The id of a user; what is no name of one is taken for an id, since rows outlive their users. */
async function personOf(operator: Operator, realm: RealmRow, text: string): Promise<string> {
  return (await userByUsername(operator.db.knex, realm.id, text))?.id ?? text;
}

const COLUMNS = ['at', 'id', 'type', 'actor', 'subject', 'client', 'transaction', 'ip', 'userAgent', 'factor', 'details', 'row', 'hash'];

const verdictOf = ({ realm, ok, rows, head, erased, breaks }: Verdict & { realm: string }) => ({
  realm,
  ok,
  rows,
  erased,
  end: head === null ? null : endOf(head),
  breaks,
});

const endOf = ({ count: rows, hash }: ChainPlace): string => `${rows}:${hash}`;

function linesOf({ realm, ok, rows, head, erased, breaks }: Verdict & { realm: string }): string[] {
  const without = erased > 0 ? `, ${erased} of them without a person who was erased` : '';
  return [
    `${realm}: ${ok ? 'the chain holds' : 'THE CHAIN IS BROKEN'}, ${rows} rows${without}. End: ${head === null ? 'none' : endOf(head)}`,
    ...breaks.map(({ message }) => `  ${message}`),
  ];
}

function place(text: string): ChainPlace {
  const [, rows, hash] = /^(\d{1,15}):([A-Za-z0-9_-]{43})$/.exec(text) ?? [];
  if (rows === undefined || hash === undefined) throw new InvalidArgumentError('It is not the end of a chain as `cardea audit verify` prints it.');
  return { count: Number(rows), hash };
}

function count(text: string): number {
  const value = Number(text);
  if (!/^\d{1,9}$/.test(text) || value === 0) throw new InvalidArgumentError('It is not a whole number above 0.');
  return value;
}

const UNITS: Readonly<Record<string, number>> = { m: 60_000, h: 3_600_000, d: 86_400_000 };

/** A moment in milliseconds, once it is known what time it is. */
function since(text: string): (now: number) => number {
  const [, number, unit] = /^(\d{1,6})([mhd])$/.exec(text) ?? [];
  const length = UNITS[unit ?? ''];
  if (number !== undefined && length !== undefined) return (now) => now - Number(number) * length;
  const at = /^\d{4}-\d{2}-\d{2}(T\d{2}:\d{2}(:\d{2}(\.\d{1,3})?)?(Z|[+-]\d{2}:\d{2}))?$/.test(text) ? Date.parse(text) : Number.NaN;
  if (Number.isNaN(at))
    throw new InvalidArgumentError('It is neither a time, such as 2030-01-15 or 2030-01-15T12:00:00Z, nor how long ago, such as 7d.');
  return () => at;
}
