/** `cardea gate`: hosts behind forward authentication are protected, listed, changed and given up. */
import type { Command } from 'commander';
import { requireRealm } from '../admin/resources/context.ts';
import { allGates, changeGate, createGate, removeGate, requireGateNamed } from '../admin/resources/gates.ts';
import { badInput } from '../errors.ts';
import { GATE_ACCESS, type GateRule, type GateRuleInput, gateRules } from '../policy/gate-document.ts';
import type { GateRow } from '../store/gates.ts';
import type { RealmRow } from '../store/realms.ts';
import type { Invocation } from './cli.ts';
import { wrongUsage } from './failures.ts';
import { readBounded, reasonOf } from './files.ts';
import { withOperator } from './open.ts';
import { requireYes, YES } from './options.ts';
import { examples, isoTime } from './output.ts';

/** No list of rules is longer. */
const MAX_BYTES = 1024 * 1024;

interface RealmOptions {
  realm: string;
  json?: boolean;
}

interface TermOptions extends RealmOptions {
  rule?: string[];
  rules?: string;
  role?: string[];
  idle?: string;
  lifespan?: string;
}

export function describeGate(gate: Command, invocation: Invocation): void {
  gate.addHelpText(
    'after',
    examples(
      'cardea gate create --realm staff --origin https://wiki.example.com --rule "/healthz public" "/admin/** level=phr role=wiki-admin"',
      'cardea gate list --realm staff',
      'cardea gate update https://wiki.example.com --realm staff --rules rules.json',
    ),
  );
  describeCreate(gate, invocation);
  describeUpdate(gate, invocation);
  describeList(gate, invocation);
  describeGet(gate, invocation);
  describeDelete(gate, invocation);
}

const inRealm = (gate: Command, name: string, description: string): Command =>
  gate.command(name).description(description).requiredOption('--realm <realm>', 'the realm').option('--json', 'print one JSON document');

const named = (command: Command): Command => command.argument('<gate>', 'its origin, or its id');

const withTerms = (command: Command): Command =>
  command
    .option('--rule <rule...>', `"PATH [${GATE_ACCESS.join('|')}] [level=LEVEL] [role=NAME]… [group=PATH]…"; the first that fits holds`)
    .option('--rules <file>', 'the rules as JSON, as `get --json` prints them')
    .option('--role <name...>', 'roles that the site is told of besides those in the rules')
    .option('--idle <seconds>', 'end the session at this host after so long without a request; "none" for as long as the sign-in')
    .option('--lifespan <seconds>', 'end it so long after the sign-in; "none" for as long as that');

function describeCreate(gate: Command, { terminal, output }: Invocation): void {
  withTerms(inRealm(gate, 'create', 'protect a host; a client of its own is made with the gate'))
    .requiredOption('--origin <url>', 'scheme and host, such as https://wiki.example.com')
    .option('--client-id <id>', 'the client_id of its client; without, gate- and the host')
    .option('--name <name>', 'what its users read when they sign in; without, the host')
    .addHelpText('after', examples('cardea gate create --realm staff --origin https://wiki.example.com --rule "/public/** public" --json'))
    .action((options: TermOptions & { origin: string; clientId?: string; name?: string }) =>
      withOperator(terminal, async (operator, { config }) => {
        const realm = await requireRealm(operator, options.realm);
        const { origin, clientId, name } = options;
        const made = await createGate(operator, realm, config.origin, { origin, clientId, name, ...termsOf(options) });
        await output.answer(options.json, documentOf(made, realm), () => [
          `Made a gate for ${made.origin} in realm ${realm.name}, with client ${made.clientId}.`,
          `Its proxy asks ${config.origin}/realms/${realm.name}/gate/auth; see docs/gate.md.`,
        ]);
      }),
    );
}

function describeUpdate(gate: Command, { terminal, output }: Invocation): void {
  withTerms(named(inRealm(gate, 'update', 'change rules and lifetimes; what is not given stays')))
    .addHelpText('after', examples('cardea gate update https://wiki.example.com --realm staff --rule "/** level=aal2" --idle 1800'))
    .action((which: string, options: TermOptions) =>
      withOperator(terminal, async (operator) => {
        const realm = await requireRealm(operator, options.realm);
        const { id } = await requireGateNamed(operator, realm, which);
        const changed = await changeGate(operator, realm, id, termsOf(options));
        await output.answer(options.json, documentOf(changed, realm), () => linesOf(changed));
      }),
    );
}

function describeList(gate: Command, { terminal, output }: Invocation): void {
  inRealm(gate, 'list', 'list the gates of a realm by origin')
    .addHelpText('after', examples('cardea gate list --realm staff', 'cardea gate list --realm staff --json'))
    .action((options: RealmOptions) =>
      withOperator(terminal, async (operator) => {
        const realm = await requireRealm(operator, options.realm);
        await output.list(options.json, allGates(operator, realm), {
          document: (row) => documentOf(row, realm),
          columns: [
            { title: 'ORIGIN', value: (row) => row.origin },
            { title: 'CLIENT', value: (row) => row.clientId },
            { title: 'RULES', value: (row) => String(row.rules.length) },
          ],
          none: `Realm ${realm.name} has no gate.`,
        });
      }),
    );
}

function describeGet(gate: Command, { terminal, output }: Invocation): void {
  named(inRealm(gate, 'get', 'show one gate with its rules'))
    .addHelpText('after', examples('cardea gate get https://wiki.example.com --realm staff --json'))
    .action((which: string, options: RealmOptions) =>
      withOperator(terminal, async (operator) => {
        const realm = await requireRealm(operator, options.realm);
        const found = await requireGateNamed(operator, realm, which);
        await output.answer(options.json, documentOf(found, realm), () => linesOf(found));
      }),
    );
}

function describeDelete(gate: Command, { terminal, output }: Invocation): void {
  named(inRealm(gate, 'delete', 'delete a gate with its client; nobody gets to its host any more'))
    .option(...YES)
    .addHelpText('after', examples('cardea gate delete https://wiki.example.com --realm staff --yes'))
    .action((which: string, options: RealmOptions & { yes?: boolean }) =>
      withOperator(terminal, async (operator) => {
        const realm = await requireRealm(operator, options.realm);
        const { id, origin, clientId } = await requireGateNamed(operator, realm, which);
        await requireYes(terminal, options.yes, `The gate for ${origin} is deleted, with client ${clientId}: nobody gets there any more.`);
        await removeGate(operator, realm, id);
        await output.answer(options.json, { id, realm: realm.name, origin, deleted: true }, () => [`Deleted the gate for ${origin}.`]);
      }),
    );
}

function termsOf({ rule, rules, role, idle, lifespan }: TermOptions) {
  if (rule && rules !== undefined) throw wrongUsage('--rule and --rules are one too many');
  return {
    rules: rule?.map(ruleOf) ?? (rules === undefined ? undefined : rulesIn(rules)),
    roles: role,
    idle: secondsOf(idle),
    lifespan: secondsOf(lifespan),
  };
}

/** `"/admin/** level=phr role=wiki-admin"` */
function ruleOf(text: string): GateRuleInput {
  const [path = '', ...words] = text.trim().split(/\s+/);
  const of = (name: string): string[] => words.filter((word) => word.startsWith(`${name}=`)).map((word) => word.slice(name.length + 1));
  const access = GATE_ACCESS.filter((one) => words.includes(one));
  const known = words.filter((word) => /^(?:level|role|group)=./.test(word) || GATE_ACCESS.some((one) => one === word));
  if (known.length < words.length || access.length > 1 || of('level').length > 1) throw badInput('rule', `rule: "${text}" is not understood.`);
  const [rule] = parsed([
    {
      path,
      access: access[0],
      level: of('level')[0],
      roles: of('role').length > 0 ? of('role') : undefined,
      groups: of('group').length > 0 ? of('group') : undefined,
    },
  ]);
  if (!rule) throw badInput('rule', `rule: "${text}" is not understood.`);
  return rule;
}

/** The rules of a file, or of the whole of `get --json`. */
function rulesIn(file: string): GateRule[] {
  let read: unknown;
  try {
    read = JSON.parse(readBounded(file, MAX_BYTES).toString('utf8'));
  } catch (cause) {
    throw badInput('rules', `The rules cannot be read: ${cause instanceof SyntaxError ? 'they are not JSON' : reasonOf(cause)}.`);
  }
  return parsed(typeof read === 'object' && read !== null && 'rules' in read ? read.rules : read);
}

function parsed(rules: unknown): GateRule[] {
  const result = gateRules.safeParse(rules);
  if (result.success) return result.data;
  const [issue] = result.error.issues;
  throw badInput('rules', `rules.${issue?.path.join('.') ?? ''}: ${issue?.message ?? 'is not valid'}`);
}

function secondsOf(text: string | undefined): number | null | undefined {
  if (text === undefined) return undefined;
  if (text === 'none') return null;
  if (!/^\d{1,9}$/.test(text)) throw wrongUsage('a time is a number of seconds, or "none"');
  return Number(text);
}

const documentOf = ({ realmId: _realm, clientRowId: _client, createdAt, updatedAt, ...row }: GateRow, realm: RealmRow) => ({
  ...row,
  realm: realm.name,
  createdAt: isoTime(createdAt),
  updatedAt: isoTime(updatedAt),
});

function linesOf({ origin, clientId, rules, roles, idle, lifespan }: GateRow): string[] {
  const asked = ({ access, level, roles: roleNames, groups }: GateRule): string =>
    [access, level, roleNames && `any role of ${roleNames.join(', ')}`, groups && `any group of ${groups.join(', ')}`].filter(Boolean).join(', ');
  return [
    `${origin}, client ${clientId}`,
    ...rules.map((rule) => `  ${rule.path}  ${asked(rule)}`),
    '  otherwise  signed-in',
    ...(roles.length > 0 ? [`Told of roles ${roles.join(', ')}.`] : []),
    ...(idle === null ? [] : [`Ends after ${idle} seconds without a request.`]),
    ...(lifespan === null ? [] : [`Ends ${lifespan} seconds after the sign-in.`]),
  ];
}
