/** `cardea policy explain` and `dry-run`: what somebody would be asked and why, and what a draft would change. */
import type { Command } from 'commander';
import { requireRealm } from '../admin/resources/context.ts';
import { type Counts, type DryRun, dryRunPolicy } from '../admin/resources/policy-dry-run.ts';
import { type Explained, explainPolicy, type Question } from '../admin/resources/policy-explain.ts';
import { whyOf } from '../admin/resources/policy-words.ts';
import type { FactorMap } from '../factors/index.ts';
import { translatorFor } from '../languages/messages.ts';
import type { Outcome, Step } from '../policy/explain.ts';
import type { Invocation } from './cli.ts';
import { wrongUsage } from './failures.ts';
import { withFactorOperator } from './open.ts';
import { aligned, examples, isoTime, printable, shownTime } from './output.ts';
import { readPolicyFile } from './policy-file.ts';

interface ExplainOptions {
  realm: string;
  user: string;
  client?: string;
  acr?: string[];
  essential?: boolean;
  maxAge?: string;
  login?: boolean;
  enrol?: string;
  risk?: string[];
  trustedAgo?: string;
  draft?: string;
  json?: boolean;
}

export function describeExplain(policy: Command, { terminal, output }: Invocation): void {
  policy
    .command('explain')
    .description('say what a user would be asked in a new browser, which rules decide, and what the tokens would say')
    .requiredOption('--realm <realm>', 'the realm')
    .requiredOption('--user <name>', 'the user')
    .option('--client <id>', 'the application that asks')
    .option('--acr <value...>', 'the acr values of its request, the preferred one first')
    .option('--essential', 'its request is refused when none of them can be met')
    .option('--max-age <seconds>', 'max_age of its request')
    .option('--login', 'prompt=login')
    .option('--enrol <factor>', 'its request asks to set up this factor')
    .option('--risk <kind...>', 'how the sign-in is unusual, such as new-device')
    .option('--trusted-ago <seconds>', 'the browser was trusted so long ago')
    .option('--draft <file>', 'by this policy instead of the one in force')
    .option('--json', 'print one JSON document')
    .addHelpText(
      'after',
      examples(
        'cardea policy explain --realm staff --user erin',
        'cardea policy explain --realm staff --user erin --client payroll --acr phr',
        'cardea policy explain --realm staff --user erin --draft draft.json --json',
      ),
    )
    .action((options: ExplainOptions) =>
      withFactorOperator(terminal, async (operator) => {
        const realm = await requireRealm(operator, options.realm);
        const { user, client, acr, essential, login, enrol, risk } = options;
        const question: Question = {
          ...{ user, client, acr, essential, login, enrol, risk },
          maxAge: secondsOf('--max-age', options.maxAge),
          trustedAgo: secondsOf('--trusted-ago', options.trustedAgo),
          draft: options.draft === undefined ? undefined : (await readPolicyFile(terminal, options.draft)).document,
        };
        const explained = await explainPolicy(operator, realm, question);
        const factors = operator.factors.in(realm.settings);
        await output.answer(options.json, documentOf(explained, factors), () => linesOf(explained, factors));
      }),
    );
}

function secondsOf(option: string, text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  if (!/^\d{1,10}$/.test(text)) throw wrongUsage(`${option} wants a number of seconds`);
  return Number(text);
}

const english = translatorFor('en');

function documentOf({ reasons, exception, ...explained }: Explained, factors: FactorMap) {
  return {
    ...explained,
    exception: exception && { ...exception, until: isoTime(exception.until) },
    rules: reasons.map((reason) => ({ id: reason.id, why: whyOf(reason, factors, english) })),
  };
}

function linesOf(explained: Explained, factors: FactorMap): string[] {
  const { user, client, need, owned, exception, ways, complete } = explained;
  const has = owned.map(({ factor, disabled }) => (disabled ? `${factor} (switched off)` : factor));
  const level = need.level === 'aal1' && need.secondFactor ? 'a second factor' : need.level;
  const facts = [
    ['User', `${user.username}${user.administrator ? ', an administrator' : ''}`],
    ['Owns', has.length > 0 ? has.join(', ') : 'no second factor'],
    ['At', client ?? 'no application'],
    [
      'Needs',
      [
        level,
        ...(need.factors ? [`by ${need.factors.join(' or ')}`] : []),
        ...(need.maxAge === null ? [] : [`not older than ${need.maxAge} s`]),
      ].join(', '),
    ],
    ...(exception ? [['Exception', `${exception.level} until ${shownTime(exception.until)}: ${exception.reason}`]] : []),
  ];
  return [
    ...block(facts),
    '',
    'Because of',
    ...block(explained.reasons.map((reason) => [`  ${reason.id}`, whyOf(reason, factors, english)])),
    '',
    'Ways in',
    ...block(ways.map(({ steps, outcome }) => [`  ${steps.map(shownStep).join(', ') || 'nothing more'}`, shownOutcome(outcome)])),
    ...(complete ? [] : ['  and more']),
  ];
}

const block = (rows: string[][]): string[] =>
  aligned(rows.map((row) => row.map(printable)))
    .trimEnd()
    .split('\n');

const shownStep = (step: Step): string => (step.do === 'skip' ? 'put it off' : step.do === 'enrol' ? `set up ${step.factor}` : step.factor);

function shownOutcome(outcome: Outcome): string {
  if (!outcome.ok) return `refused: ${outcome.reason}`;
  const spared = outcome.spared === 'device' ? ' (spared on a trusted device)' : outcome.spared === 'grace' ? ' (put off)' : '';
  return `acr ${outcome.acr}, amr ${outcome.amr.join(' ')}${spared}`;
}

interface DryRunOptions {
  realm: string;
  file?: string;
  days: string;
  examples: string;
  json?: boolean;
}

export function describeDryRun(policy: Command, { terminal, output }: Invocation): void {
  policy
    .command('dry-run')
    .description('try a draft on the sign-ins of the last days: who would be asked more, who less, and who could not get in')
    .requiredOption('--realm <realm>', 'the realm')
    .option('--file <file>', 'the draft; by default standard input')
    .option('--days <n>', 'how many days of sign-ins', '30')
    .option('--examples <n>', 'how many users to name for each rule', '5')
    .option('--json', 'print one JSON document')
    .addHelpText(
      'after',
      examples('cardea policy dry-run --realm staff --file draft.json', 'cardea policy dry-run --realm staff --days 7 --json < draft.json'),
    )
    .action((options: DryRunOptions) =>
      withFactorOperator(terminal, async (operator) => {
        const [days, named] = [secondsOf('--days', options.days), secondsOf('--examples', options.examples)];
        const { document: draft } = await readPolicyFile(terminal, options.file);
        const realm = await requireRealm(operator, options.realm);
        const found = await dryRunPolicy(operator, realm, { draft, days, examples: named });
        await output.answer(options.json, found, () => dryRunLines(found));
      }),
    );
}

function dryRunLines(found: DryRun): string[] {
  const { signIns, days, askedThen, askedNow, passedOver, rules } = found;
  if (signIns === 0) return [`No sign-in of the last ${days} days can be replayed${passedOver > 0 ? `; ${passedOver} were passed over` : ''}.`];
  return [
    `${signIns} sign-ins of the last ${days} days${passedOver > 0 ? `, and ${passedOver} that cannot be replayed` : ''}`,
    '',
    ...block([
      ['asked for more than the beginning, then', String(askedThen)],
      ['asked for more than the beginning, now', String(askedNow)],
      ...countLines(found),
    ]),
    '',
    ...block([
      ['RULE', 'SIGN-INS', 'MORE', 'LESS', 'BLOCKED', 'MUST SET UP', 'MAY SET UP', 'SUCH AS'],
      ...rules.map((rule) => [
        rule.id,
        ...[rule.signIns, rule.newlyAsked, rule.noLongerAsked, rule.newlyBlocked, rule.mustEnrol, rule.mayEnrol].map(String),
        rule.examples.map(({ id, username }) => username ?? id).join(', '),
      ]),
    ]),
  ];
}

const countLines = ({ newlyAsked, noLongerAsked, newlyBlocked, mustEnrol, mayEnrol }: Counts): string[][] => [
  ['asked now and not then', String(newlyAsked)],
  ['not asked any more', String(noLongerAsked)],
  ['could not get in any more', String(newlyBlocked)],
  ['would have to set something up', String(mustEnrol)],
  ['would be offered to, and could put it off', String(mayEnrol)],
];
