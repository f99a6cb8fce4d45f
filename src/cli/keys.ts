/**
 * `cardea keys`: a realm's signing keys are rotated by times in their rows, and listed; the keys that secrets are sealed
 * with, and the master key, are replaced while the server runs.
 */
import { type Command, InvalidArgumentError, Option } from 'commander';
import { type Operator, requireRealm } from '../admin/resources/context.ts';
import { GRACE_MS, type Rotated, rotateDataKeys } from '../admin/resources/data-keys.ts';
import { listKeys, rotateKeys } from '../admin/resources/keys.ts';
import { type MasterKeyRotated, rotateMasterKey } from '../admin/resources/master-key.ts';
import { allRealms } from '../admin/resources/realms.ts';
import { ALGORITHMS, type Algorithm } from '../realms/algorithms.ts';
import type { RealmRow } from '../store/realms.ts';
import type { Invocation } from './cli.ts';
import { EXIT, wrongUsage } from './failures.ts';
import { withOperator } from './open.ts';
import { examples, isoTime, shownTime } from './output.ts';
import { withProgress } from './progress.ts';

/** Ten years: more is a mistake, such as milliseconds. */
const MAX_SECONDS = 10 * 365 * 86_400;

export function describeKeys(keys: Command, invocation: Invocation): void {
  keys.addHelpText('after', examples('cardea keys rotate --realm staff', 'cardea keys list --realm staff', 'cardea keys rotate-data --all'));
  describeSigningKeys(keys, invocation);
  describeRotateData(keys, invocation);
  describeRotateMaster(keys, invocation);
}

function describeSigningKeys(keys: Command, { terminal, output }: Invocation): void {
  keys
    .command('rotate')
    .description('make new signing keys: published at once, signing later, and the older ones published for a while after')
    .requiredOption('--realm <realm>', 'the realm')
    .option('--publish-ahead <seconds>', 'when the new keys begin to sign; applications need the time to fetch them', seconds, 600)
    .option('--keep <seconds>', 'how long the older keys stay published after that; tokens that they signed verify until then', seconds)
    .addOption(new Option('--algorithm <algorithm...>', 'only keys of these; without it, of all').choices(ALGORITHMS))
    .option('--json', 'print one JSON document')
    .addHelpText('after', examples('cardea keys rotate --realm staff', 'cardea keys rotate --realm staff --publish-ahead 3600 --keep 86400 --json'))
    .action((options: { realm: string; publishAhead: number; keep?: number; algorithm?: Algorithm[]; json?: boolean }) =>
      withOperator(terminal, async (operator) => {
        const realm = await requireRealm(operator, options.realm);
        const made = await rotateKeys(operator, realm, {
          publishAheadMs: options.publishAhead * 1000,
          ...(options.keep !== undefined && { keepMs: options.keep * 1000 }),
          ...(options.algorithm && { algorithms: options.algorithm }),
        });
        const document = {
          realm: realm.name,
          keys: made.map((key) => ({ kid: key.id, algorithm: key.algorithm, publishAt: isoTime(key.publishAt), signFrom: isoTime(key.signFrom) })),
        };
        await output.answer(options.json, document, () => [
          `Made ${made.length} keys for realm ${realm.name}. They are published now.`,
          ...made.map((key) => `${key.algorithm}  ${key.id}  signs from ${shownTime(key.signFrom)}`),
        ]);
      }),
    );

  keys
    .command('list')
    .description('list the signing keys of a realm and what each is for now')
    .requiredOption('--realm <realm>', 'the realm')
    .option('--json', 'print one JSON document')
    .addHelpText('after', examples('cardea keys list --realm staff', 'cardea keys list --realm staff --json'))
    .action(({ realm: name, json }: { realm: string; json?: boolean }) =>
      withOperator(terminal, async (operator) => {
        const realm = await requireRealm(operator, name);
        await output.list(json, await listKeys(operator, realm), {
          document: (key) => ({
            kid: key.id,
            algorithm: key.algorithm,
            use: key.use,
            publishAt: isoTime(key.publishAt),
            signFrom: isoTime(key.signFrom),
            retireAt: key.retireAt === null ? null : isoTime(key.retireAt),
            createdAt: isoTime(key.createdAt),
          }),
          columns: [
            { title: 'KID', value: (key) => key.id },
            { title: 'ALG', value: (key) => key.algorithm },
            { title: 'USE', value: (key) => key.use },
            { title: 'SIGNS FROM', value: (key) => shownTime(key.signFrom) },
            { title: 'PUBLISHED UNTIL', value: (key) => shownTime(key.retireAt) },
          ],
          none: `Realm ${realm.name} has no key.`,
        });
      }),
    );
}

interface RotateDataOptions {
  realm?: string;
  all?: boolean;
  grace: number;
  json?: boolean;
}

function describeRotateData(keys: Command, { terminal, output }: Invocation): void {
  keys
    .command('rotate-data')
    .description('make a new data key and seal everything of the realm with it, while people sign in; run it again to go on after an interruption')
    .option('--realm <realm>', 'of one realm')
    .option('--all', 'of every realm')
    .option(
      '--grace <seconds>',
      'how long an old key that nothing uses any more is kept; servers delete it later by themselves',
      seconds,
      GRACE_MS / 1000,
    )
    .option('--json', 'print one JSON document')
    .addHelpText('after', '\nExit code 1: there are values that do not open. They are named, and stay\nas they are.\n')
    .addHelpText('after', examples('cardea keys rotate-data --realm staff', 'cardea keys rotate-data --all --json'))
    .action(async (options: RotateDataOptions) => {
      if ((options.realm === undefined) === (options.all === undefined)) throw wrongUsage('give either --realm or --all');
      await withOperator(terminal, async (operator) => {
        const rotations = async function* (): AsyncGenerator<Rotated & { realm: string }> {
          for await (const realm of realmsOf(operator, options.realm)) {
            const rotated = await withProgress(terminal, realm.name, (progress) =>
              rotateDataKeys(operator, realm, { graceMs: options.grace * 1000, progress }),
            );
            if (rotated.unreadable.length > 0 || rotated.left > 0) output.exitCode = EXIT.refused;
            yield { realm: realm.name, ...rotated };
          }
        };
        if (options.json) return output.list(true, rotations(), { document: rotationOf, columns: [], none: '' });
        for await (const rotation of rotations())
          await output.write(
            rotationLines(rotation)
              .map((line) => `${line}\n`)
              .join(''),
          );
      });
    });
}

async function* realmsOf(operator: Operator, name: string | undefined): AsyncGenerator<RealmRow> {
  if (name === undefined) yield* allRealms(operator);
  else yield await requireRealm(operator, name);
}

const rotationOf = ({ waiting, ...rotation }: Rotated & { realm: string }) => ({
  ...rotation,
  waiting: waiting.map(({ key, until }) => ({ key, until: isoTime(until) })),
});

function rotationLines({ realm, key, resumed, resealed, left, unreadable, retired, waiting }: Rotated & { realm: string }): string[] {
  return [
    `${realm}: ${resumed ? 'went on with' : 'made'} data key ${key}, sealed ${resealed} values with it.`,
    ...retired.map((old) => `  Deleted ${old}, which nothing uses any more.`),
    ...waiting.map(({ key: old, until }) => `  Nothing uses ${old} any more. It is deleted after ${shownTime(until)}, by a server or the next run.`),
    ...unreadable.map(({ column, values }) => `  ALARM: ${values} of ${column} do not open. They were changed or moved, or their key is gone.`),
    ...(left > 0 ? [`  ${left} values were in use all the time. Run it again.`] : []),
  ];
}

function describeRotateMaster(keys: Command, { terminal, output }: Invocation): void {
  keys
    .command('rotate-master')
    .description('wrap all data keys with the first key of CARDEA_MASTER_KEY; the one that did it before has to stand behind it')
    .option('--json', 'print one JSON document')
    .addHelpText('after', '\nExit code 1: something was wrapped with a key that is not at hand.\n')
    .addHelpText('after', examples('CARDEA_MASTER_KEY=k2:…,k1:… cardea keys rotate-master'))
    .action(({ json }: { json?: boolean }) =>
      withOperator(terminal, async (operator, { keys: provider, config }) => {
        const rotated = await withProgress(terminal, 'Wrapping', (progress) => rotateMasterKey(operator, provider, progress));
        if (Object.keys(rotated.unreadable).length > 0) output.exitCode = EXIT.refused;
        const older = (config.masterKeys ?? []).map(({ id }) => id).filter((id) => id !== rotated.key);
        const document = { ...rotated, removable: removable(rotated, older) };
        await output.answer(json, document, () => masterKeyLines(rotated, older));
      }),
    );
}

/** Master keys of the settings that nothing needs any more. */
const removable = ({ unreadable }: MasterKeyRotated, older: readonly string[]): string[] => older.filter((id) => !(id in unreadable));

function masterKeyLines(rotated: MasterKeyRotated, older: readonly string[]): string[] {
  const { key, rewrapped, all, unreadable } = rotated;
  const free = removable(rotated, older);
  return [
    `Wrapped ${rewrapped} of ${all} keys anew with ${key}; ${all - rewrapped} were already, or are named below.`,
    ...Object.entries(unreadable).map(
      ([id, count]) => `ALARM: ${count} keys that ${id} wrapped do not unwrap. Put the right ${id} back into CARDEA_MASTER_KEY.`,
    ),
    ...(free.length === 0
      ? []
      : rewrapped > 0
        ? [`Nothing needs ${free.join(', ')} any more, unless a server still runs that has it in the first place: run this again once none does.`]
        : [`Nothing needs ${free.join(', ')} any more: take it out of CARDEA_MASTER_KEY.`]),
  ];
}

function seconds(text: string): number {
  const value = Number(text);
  if (!/^\d+$/.test(text) || value > MAX_SECONDS) throw new InvalidArgumentError(`It is not a whole number of seconds from 0 to ${MAX_SECONDS}.`);
  return value;
}
