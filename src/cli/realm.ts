/** `cardea realm`: realms are made, listed and deleted, and their settings are shown and changed. */
import { type Command, Option } from 'commander';
import { requireRealm } from '../admin/resources/context.ts';
import { flatSettings, type SettingChange, type SettingsPatch, updateRealmSettings } from '../admin/resources/realm-settings.ts';
import { allRealms, createRealm } from '../admin/resources/realms.ts';
import { badInput } from '../errors.ts';
import { SHORTHANDS, type Shorthand } from '../policy/document.ts';
import { issuerOf } from '../realms/issuer.ts';
import type { Invocation } from './cli.ts';
import { wrongUsage } from './failures.ts';
import { readBounded, reasonOf } from './files.ts';
import { withOperator } from './open.ts';
import { aligned, examples, printable } from './output.ts';
import { describeRealmDelete, describeRealmUpdate } from './realm-change.ts';
import { documentOf } from './realm-document.ts';

interface CreateOptions {
  mfa?: Shorthand;
  displayName?: string;
  json?: boolean;
}

/** No settings are longer. */
const MAX_FILE_BYTES = 1024 * 1024;

export function describeRealm(realm: Command, invocation: Invocation): void {
  realm.addHelpText('after', examples('cardea realm create staff --mfa required', 'cardea realm list', 'cardea realm set staff totp.digits=8'));
  describeCreate(realm, invocation);
  describeList(realm, invocation);
  describeGet(realm, invocation);
  describeSet(realm, invocation);
  describeRealmUpdate(realm, invocation);
  describeRealmDelete(realm, invocation);
}

function describeCreate(realm: Command, { terminal, output }: Invocation): void {
  realm
    .command('create')
    .description('make a realm, with its keys, scopes and built-in clients')
    .argument('<name>', 'letters, digits, dots, hyphens and underscores; part of its URLs')
    .addOption(new Option('--mfa <rule>', 'who proves a second factor: nobody, whoever has one, or everybody').choices(SHORTHANDS))
    .option('--display-name <name>', 'the name that people read')
    .option('--json', 'print one JSON document')
    .addHelpText('after', examples('cardea realm create staff --mfa required', 'cardea realm create shop --display-name "The Shop" --json'))
    .action((name: string, { mfa, displayName, json }: CreateOptions) =>
      withOperator(terminal, async (operator, { config }) => {
        const made = await createRealm(operator, { name, displayName, mfa });
        const document = { ...documentOf(made, config.origin), mfa: mfa ?? 'optional' };
        await output.answer(json, document, () => [`Made realm ${made.name}.`, `Issuer  ${document.issuer}`]);
      }),
    );
}

function describeList(realm: Command, { terminal, output }: Invocation): void {
  realm
    .command('list')
    .description('list the realms by name')
    .option('--json', 'print one JSON document')
    .addHelpText('after', examples('cardea realm list', 'cardea realm list --json'))
    .action(({ json }: { json?: boolean }) =>
      withOperator(terminal, (operator, { config }) =>
        output.list(json, allRealms(operator), {
          document: (row) => ({ ...documentOf(row, config.origin), mfa: row.mfa }),
          columns: [
            { title: 'NAME', value: (row) => row.name },
            { title: 'DISPLAY NAME', value: (row) => row.displayName },
            { title: 'MFA', value: (row) => row.mfa },
            { title: 'ISSUER', value: (row) => issuerOf(config.origin, row.name) },
          ],
          none: 'There is no realm.',
        }),
      ),
    );
}

function describeGet(realm: Command, { terminal, output }: Invocation): void {
  realm
    .command('get')
    .description('show a realm and its settings')
    .argument('<name>', 'the realm')
    .option('--json', 'print one JSON document')
    .addHelpText('after', examples('cardea realm get staff', 'cardea realm get staff --json'))
    .action((name: string, { json }: { json?: boolean }) =>
      withOperator(terminal, async (operator, { config }) => {
        const row = await requireRealm(operator, name);
        const document = documentOf(row, config.origin);
        await output.answer(json, { ...document, settings: row.settings }, () => [
          ...lines([
            ['Realm', row.name],
            ['Display name', printable(row.displayName)],
            ['Issuer', document.issuer],
          ]),
          '',
          ...lines(flatSettings(row.settings).map(([setting, value]) => [setting, written(value)])),
        ]);
      }),
    );
}

function describeSet(realm: Command, { terminal, output }: Invocation): void {
  realm
    .command('set')
    .description('change settings of a realm: values as JSON, or as they are; null goes back to the default')
    .argument('<name>', 'the realm')
    .argument('[settings...]', 'key=value, such as totp.digits=8')
    .option('--file <file>', 'take them from this JSON file, shaped as `realm get --json` shows them')
    .option('--json', 'print one JSON document')
    .addHelpText(
      'after',
      examples(
        'cardea realm set staff totp.algorithm=sha256 totp.digits=8',
        'cardea realm set staff hotp.claim=true',
        'cardea realm set staff totp.period=null',
        'cardea realm set staff --file settings.json',
      ),
    )
    .addHelpText('after', '\nSessions and sign-ins under way go on with the settings as they are then.\n')
    .action((name: string, assignments: string[], { file, json }: { file?: string; json?: boolean }) =>
      withOperator(terminal, async (operator) => {
        if (assignments.length === 0 && file === undefined) throw wrongUsage('name settings as key=value, or a file with --file');
        if (assignments.length > 0 && file !== undefined) throw wrongUsage('key=value and --file exclude each other');
        const patch = file === undefined ? patchOf(assignments) : patchFrom(file);
        const { realm: updated, changes } = await updateRealmSettings(operator, await requireRealm(operator, name), patch);
        await output.answer(json, { realm: updated.name, changes }, () =>
          changes.length === 0 ? [`Nothing is other than it was in realm ${updated.name}.`] : changes.map(sentenceOf),
        );
      }),
    );
}

/** `totp.digits=8` as `{ totp: { digits: 8 } }`. What is no JSON is text. */
function patchOf(assignments: readonly string[]): SettingsPatch {
  let patch: SettingsPatch = {};
  for (const assignment of assignments) {
    const equals = assignment.indexOf('=');
    const path = assignment.slice(0, equals).split('.');
    if (equals < 1 || path.some((key) => !/^[A-Za-z][\w-]*$/.test(key))) throw wrongUsage(`"${printable(assignment)}" is not key=value`);
    patch = assigned(patch, path, meaningOf(assignment.slice(equals + 1)));
  }
  return patch;
}

function assigned(patch: SettingsPatch, [key = '', ...rest]: readonly string[], value: unknown): SettingsPatch {
  const inner = patch[key];
  if (rest.length > 0) return { ...patch, [key]: assigned(isSection(inner) ? inner : {}, rest, value) };
  return { ...patch, [key]: value };
}

function meaningOf(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}

function patchFrom(file: string): SettingsPatch {
  let patch: unknown;
  try {
    patch = JSON.parse(readBounded(file, MAX_FILE_BYTES).toString('utf8'));
  } catch (cause) {
    throw badInput('file', `The settings cannot be read: ${cause instanceof SyntaxError ? 'the file is not JSON' : reasonOf(cause)}.`);
  }
  if (!isSection(patch)) throw badInput('file', 'The file does not hold a JSON object.');
  // The whole document of `realm get`, too.
  return isSection(patch.settings) ? patch.settings : patch;
}

const isSection = (value: unknown): value is SettingsPatch => typeof value === 'object' && value !== null && !Array.isArray(value);

const written = (value: unknown): string => (value === undefined ? '-' : printable(typeof value === 'string' ? value : JSON.stringify(value)));
const sentenceOf = ({ at, from, to }: SettingChange): string => `${at}  ${written(from)} → ${written(to)}`;

const lines = (rows: string[][]): string[] => aligned(rows).trimEnd().split('\n');
