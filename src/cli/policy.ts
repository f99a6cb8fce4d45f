/** `cardea policy`: a realm's policy is shown, replaced, explained and tried; policy-exceptions.ts has the exceptions of users. */
import type { Command } from 'commander';
import { requireRealm } from '../admin/resources/context.ts';
import { changePolicy, planPolicy, policyHistory, readPolicy } from '../admin/resources/policy.ts';
import { sentenceOf } from '../admin/resources/policy-words.ts';
import { badInput } from '../errors.ts';
import { translatorFor } from '../languages/messages.ts';
import type { Difference } from '../policy/difference.ts';
import { nameOf, type PolicyDocument } from '../policy/document.ts';
import type { Invocation } from './cli.ts';
import { wrongUsage } from './failures.ts';
import { confirmed, isInteractive } from './input.ts';
import { withFactorOperator } from './open.ts';
import { examples, isoTime, printable, shownTime } from './output.ts';
import { describeExceptions } from './policy-exceptions.ts';
import { describeDryRun, describeExplain } from './policy-explain.ts';
import { readPolicyFile } from './policy-file.ts';
import type { Terminal } from './terminal.ts';

/** In English, as everything on the command line. */
const english = translatorFor('en');

export function describePolicy(policy: Command, invocation: Invocation): void {
  policy.addHelpText(
    'after',
    examples(
      'cardea policy get --realm staff --json > policy.json',
      'cardea policy set --realm staff --file policy.json',
      'cardea policy explain --realm staff --user erin --client payroll',
      'cardea policy dry-run --realm staff --file draft.json',
      'cardea policy exception add --realm staff --user erin --level aal1 --days 7 --reason "new telephone"',
    ),
  );
  describeGet(policy, invocation);
  describeSet(policy, invocation);
  describeHistory(policy, invocation);
  describeExplain(policy, invocation);
  describeDryRun(policy, invocation);
  describeExceptions(policy, invocation);
}

function describeGet(policy: Command, { terminal, output }: Invocation): void {
  policy
    .command('get')
    .description('show the policy of a realm that is in force')
    .requiredOption('--realm <realm>', 'the realm')
    .option('--json', 'print one JSON document, which `policy set` reads')
    .addHelpText('after', examples('cardea policy get --realm staff', 'cardea policy get --realm staff --json > policy.json'))
    .action(({ realm: name, json }: { realm: string; json?: boolean }) =>
      withFactorOperator(terminal, async (operator) => {
        const realm = await requireRealm(operator, name);
        const { version, document } = await readPolicy(operator, realm);
        await output.answer(json, { realm: realm.name, version, document }, () => [
          `Policy of realm ${realm.name}, version ${version} (${nameOf(document)})`,
          ...linesOf(document).map((line) => `  ${printable(line)}`),
          ...document.rules.map((rule) => `  ${rule.id}  ${printable(sentenceOf(rule, operator.factors.in(realm.settings), english))}`),
        ]);
      }),
    );
}

const linesOf = ({ useOwned, acr, floors }: PolicyDocument): string[] => [
  useOwned ? 'Whoever owns a second factor is asked for it.' : 'Nobody is asked for a second factor only because they own one.',
  `Administrators need at least ${floors.administrator}.`,
  ...Object.entries(acr).map(([name, level]) => `Applications ask for ${level} as ${name}.`),
];

interface SetOptions {
  realm: string;
  file?: string;
  expectVersion?: string;
  yes?: boolean;
  json?: boolean;
}

function describeSet(policy: Command, { terminal, output }: Invocation): void {
  policy
    .command('set')
    .description('replace the policy of a realm with the document in a file, or on standard input')
    .requiredOption('--realm <realm>', 'the realm')
    .option('--file <file>', 'read it from this file, as `policy get --json` writes it, or the document alone')
    .option('--expect-version <n>', 'only if this is the version in force; by default the one that the file says')
    .option('--yes', 'also if it asks less of somebody')
    .option('--json', 'print one JSON document')
    .addHelpText(
      'after',
      examples(
        'cardea policy set --realm staff --file policy.json',
        'cardea policy set --realm staff --yes < policy.json',
        'cardea policy set --realm staff --file policy.json --expect-version 3 --json',
      ),
    )
    .addHelpText('after', '\nSign-ins under way go on with the new one; so do sessions.\n')
    .action((options: SetOptions) =>
      withFactorOperator(terminal, async (operator) => {
        const read = await readPolicyFile(terminal, options.file);
        const expected = options.expectVersion === undefined ? read.version : versionOf(options.expectVersion);
        const realm = await requireRealm(operator, options.realm);
        const plan = await planPolicy(operator, realm, read.document);
        for (const change of plan.changes) output.note(printable(sentenceOfChange(change)));
        const lowers = plan.changes.filter((change) => change.lowers);
        if (lowers.some(({ at }) => at === 'floors.administrator')) output.note(ADMINISTRATORS);
        if (lowers.length > 0 && options.yes !== true) await confirm(terminal, options.file !== undefined, lowers);
        // Between the plan and the change nobody else may have changed it.
        const expectedVersion = expected ?? plan.before.version;
        const { version, document, changes } = await changePolicy(operator, realm, read.document, { expectedVersion });
        await output.answer(options.json, { realm: realm.name, version, changes, document }, () => [
          changes.length === 0
            ? `The policy of realm ${realm.name} stays as it is, at version ${version}.`
            : `The policy of realm ${realm.name} is at version ${version}: ${changes.length} ${changes.length === 1 ? 'change' : 'changes'}.`,
        ]);
      }),
    );
}

const ADMINISTRATORS = 'Warning: administrators will need less than before. Whoever gets in as one of them can change everything, this policy too.';

async function confirm(terminal: Terminal, isFree: boolean, lowers: readonly Difference[]): Promise<void> {
  const what = `${lowers.length === 1 ? 'One of these changes asks' : `${lowers.length} of these changes ask`} less of somebody.`;
  if (!isFree || !isInteractive(terminal, false)) throw badInput('', `${what} Say --yes if that is meant.`);
  if (!(await confirmed(terminal, what))) throw badInput('', 'The policy stays as it is.');
}

/** `- rules.payroll  {…}` and the like: what goes, what comes, what becomes of what. */
function sentenceOfChange({ at, from, to, lowers }: Difference): string {
  const less = lowers ? '  (asks less)' : '';
  if (to === undefined) return `- ${at}  ${JSON.stringify(from)}${less}`;
  if (from === undefined) return `+ ${at}  ${JSON.stringify(to)}${less}`;
  return `~ ${at}  ${JSON.stringify(from)} → ${JSON.stringify(to)}${less}`;
}

function versionOf(text: string): number {
  if (!/^\d{1,9}$/.test(text)) throw wrongUsage('--expect-version wants a number');
  return Number(text);
}

function describeHistory(policy: Command, { terminal, output }: Invocation): void {
  policy
    .command('history')
    .description('list the versions of a realm’s policy, the newest first')
    .requiredOption('--realm <realm>', 'the realm')
    .option('--json', 'print one JSON document')
    .addHelpText('after', examples('cardea policy history --realm staff', 'cardea policy history --realm staff --json'))
    .action(({ realm: name, json }: { realm: string; json?: boolean }) =>
      withFactorOperator(terminal, async (operator) => {
        const realm = await requireRealm(operator, name);
        await output.list(json, policyHistory(operator, realm), {
          document: ({ version, document, actor, createdAt }) => ({ version, actor, createdAt: isoTime(createdAt), document }),
          columns: [
            { title: 'VERSION', value: (row) => String(row.version) },
            { title: 'SINCE', value: (row) => shownTime(row.createdAt) },
            { title: 'BY', value: (row) => row.actor },
            { title: 'RULES', value: (row) => String(row.document.rules.length) },
          ],
          none: `Realm ${realm.name} has no policy of its own.`,
        });
      }),
    );
}
