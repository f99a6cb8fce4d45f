/** `cardea keys`: a realm's signing keys are rotated by times in their rows, and listed. */
import { type Command, InvalidArgumentError } from 'commander';
import { requireRealm } from '../admin/resources/context.ts';
import { listKeys, rotateKeys } from '../admin/resources/keys.ts';
import type { Invocation } from './cli.ts';
import { withOperator } from './open.ts';
import { examples, isoTime, shownTime } from './output.ts';

/** Ten years: more is a mistake, such as milliseconds. */
const MAX_SECONDS = 10 * 365 * 86_400;

export function describeKeys(keys: Command, { terminal, output }: Invocation): void {
  keys.addHelpText('after', examples('cardea keys rotate --realm staff', 'cardea keys list --realm staff'));
  keys
    .command('rotate')
    .description('make new signing keys: published at once, signing later, and the older ones published for a while after')
    .requiredOption('--realm <realm>', 'the realm')
    .option('--publish-ahead <seconds>', 'when the new keys begin to sign; applications need the time to fetch them', seconds, 600)
    .option('--keep <seconds>', 'how long the older keys stay published after that; tokens that they signed verify until then', seconds)
    .option('--json', 'print one JSON document')
    .addHelpText('after', examples('cardea keys rotate --realm staff', 'cardea keys rotate --realm staff --publish-ahead 3600 --keep 86400 --json'))
    .action((options: { realm: string; publishAhead: number; keep?: number; json?: boolean }) =>
      withOperator(terminal, async (operator) => {
        const realm = await requireRealm(operator, options.realm);
        const made = await rotateKeys(operator, realm, {
          publishAheadMs: options.publishAhead * 1000,
          ...(options.keep !== undefined && { keepMs: options.keep * 1000 }),
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

function seconds(text: string): number {
  const value = Number(text);
  if (!/^\d+$/.test(text) || value > MAX_SECONDS) throw new InvalidArgumentError(`It is not a whole number of seconds from 0 to ${MAX_SECONDS}.`);
  return value;
}
