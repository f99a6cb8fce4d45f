/** `cardea factor`: which factors a realm uses, and the secrets of its webhooks. */
import { type Command, InvalidArgumentError, Option } from 'commander';
import { requireRealm } from '../admin/resources/context.ts';
import {
  addWebhook,
  disableFactor,
  enableFactor,
  finishSecretRotation,
  type ListedFactor,
  listFactors,
  type NewWebhook,
  removeFactor,
  rotateWebhookSecret,
} from '../admin/resources/custom-factors.ts';
import { requireFetchable } from '../http/guarded-client.ts';
import type { Invocation } from './cli.ts';
import { withOperator } from './open.ts';
import { examples } from './output.ts';

export function describeFactor(factor: Command, invocation: Invocation): void {
  factor.addHelpText('after', examples('cardea factor list --realm staff', 'cardea factor disable sms-otp --realm staff'));
  describeList(factor, invocation);
  describeEnable(factor, invocation);
  describeDisable(factor, invocation);
  describeAddWebhook(factor, invocation);
  describeRotate(factor, invocation);
  describeRemove(factor, invocation);
}

interface RealmOptions {
  realm: string;
  json?: boolean;
}

/** Of one factor, in one realm. */
function ofFactor(factor: Command, name: string, description: string): Command {
  return factor
    .command(name)
    .description(description)
    .argument('<factor>', 'its id, as `cardea factor list` has it')
    .requiredOption('--realm <realm>', 'the realm')
    .option('--json', 'print one JSON document');
}

/** What a realm allows a custom factor. */
function withTerms(command: Command): Command {
  return command
    .addOption(new Option('--level <level>', 'what it is worth beside a password').choices(['aal1', 'aal2']))
    .option('--everyone', 'every user of the realm has it; otherwise each adds it to their account');
}

function describeList(factor: Command, { terminal, output }: Invocation): void {
  factor
    .command('list')
    .description('list the second factors of a realm, and the modules that it could use')
    .requiredOption('--realm <realm>', 'the realm')
    .option('--json', 'print one JSON document')
    .addHelpText('after', examples('cardea factor list --realm staff', 'cardea factor list --realm staff --json'))
    .action(({ realm: name, json }: RealmOptions) =>
      withOperator(terminal, async (operator, { factorModules }) => {
        const realm = await requireRealm(operator, name);
        await output.list(json, listFactors(realm, factorModules), {
          document: (listed) => listed,
          columns: [
            { title: 'FACTOR', value: ({ id }) => id },
            { title: 'NAME', value: (listed) => listed.name },
            { title: 'KIND', value: ({ source }) => source },
            { title: 'STATE', value: stateOf },
            { title: 'LEVEL', value: ({ level }) => level },
            { title: 'AMR', value: ({ amr }) => amr?.join(' ') ?? '' },
            { title: 'ADDRESS', value: ({ url }) => url ?? '' },
          ],
          none: 'There is no factor.',
        });
      }),
    );
}

const stateOf = ({ state, everyone }: ListedFactor): string =>
  ({ on: everyone ? 'on for everyone' : 'on', off: 'off', unused: 'not used here', missing: 'MODULE MISSING' })[state];

function describeEnable(factor: Command, { terminal, output }: Invocation): void {
  withTerms(ofFactor(factor, 'enable', 'have the realm use a factor: one that was switched off, or a module of the installation'))
    .option('--amr <names>', 'of a custom factor: all that tokens may say of it, separated by commas', names)
    .option('--no-everyone', 'each user adds it to their account')
    .addHelpText(
      'after',
      examples('cardea factor enable hotp --realm staff', 'cardea factor enable custom-badge --realm staff --level aal2 --everyone'),
    )
    .action((id: string, options: RealmOptions & { level?: 'aal1' | 'aal2'; amr?: string[]; everyone?: boolean }) =>
      withOperator(terminal, async (operator, { factorModules }) => {
        const realm = await requireRealm(operator, options.realm);
        const { level, amr, everyone } = options;
        const terms = { level, amr, everyone };
        const changed = await enableFactor(operator, realm, { id, terms, modules: factorModules });
        const listed = listFactors(changed, factorModules).find((one) => one.id === id);
        await output.answer(options.json, listed, () => [`Realm ${realm.name} uses ${id}.`]);
      }),
    );
}

function describeDisable(factor: Command, { terminal, output }: Invocation): void {
  ofFactor(factor, 'disable', 'switch a factor off: nobody is asked for it, nobody can add it; what users have of it stays')
    .addHelpText('after', examples('cardea factor disable sms-otp --realm staff'))
    .action((id: string, options: RealmOptions) =>
      withOperator(terminal, async (operator, { factorModules }) => {
        const realm = await requireRealm(operator, options.realm);
        const listed = listFactors(await disableFactor(operator, realm, id), factorModules).find((one) => one.id === id);
        await output.answer(options.json, listed, () => [`Realm ${realm.name} does not use ${id} any more.`]);
      }),
    );
}

function describeAddWebhook(factor: Command, { terminal, output }: Invocation): void {
  withTerms(factor.command('add-webhook'))
    .description('add a factor that an HTTPS service of yours answers for; the secret that it shares with us is printed, this once')
    .argument('<slug>', 'lower-case letters, digits and hyphens; the factor is called webhook-<slug>')
    .requiredOption('--realm <realm>', 'the realm')
    .requiredOption('--url <url>', 'where it is asked')
    .requiredOption('--name <name>', 'what pages call it')
    .requiredOption('--amr <names>', 'all that tokens may say of it, separated by commas', names)
    .option('--strength <sentence>', 'one sentence on how strong it is')
    .addOption(new Option('--kind <kind>', 'what a right answer shows: something that the user …').choices(['knowledge', 'possession', 'inherence']))
    .addOption(new Option('--events <events>', 'which hooks it has, separated by commas: init, check').argParser(names))
    .option('--json', 'print one JSON document')
    .addHelpText(
      'after',
      examples('cardea factor add-webhook badge --realm staff --url https://hooks.example/mfa --name "Badge PIN" --kind knowledge --amr pin'),
    )
    .action((slug: string, { realm: name, json, ...asked }: RealmOptions & Omit<NewWebhook, 'slug'>) =>
      withOperator(terminal, async (operator, { config }) => {
        const realm = await requireRealm(operator, name);
        const { factor: made, secret } = await addWebhook(operator, realm, { slug, ...asked }, (url) => requireFetchable(url, config.outboundAllow));
        await output.answer(json, { realm: realm.name, ...made, secret }, () => [`Added ${made.id} to realm ${realm.name}.`, `Secret  ${secret}`]);
      }),
    );
}

function describeRotate(factor: Command, { terminal, output }: Invocation): void {
  ofFactor(factor, 'rotate-secret', 'make a new secret for a webhook, and print it, this once; the one before it is good until --finish')
    .option('--finish', 'make none, and end the one before: the service has the newest')
    .addHelpText(
      'after',
      examples('cardea factor rotate-secret webhook-badge --realm staff', 'cardea factor rotate-secret webhook-badge --realm staff --finish'),
    )
    .action((id: string, { realm: name, json, finish }: RealmOptions & { finish?: boolean }) =>
      withOperator(terminal, async (operator) => {
        const realm = await requireRealm(operator, name);
        if (finish) {
          await finishSecretRotation(operator, realm, id);
          return output.answer(json, { realm: realm.name, factor: id }, () => [`Only the newest secret of ${id} is accepted now.`]);
        }
        const { secret } = await rotateWebhookSecret(operator, realm, id);
        await output.answer(json, { realm: realm.name, factor: id, secret }, () => [
          `Made a new secret for ${id}. Give it to the service, and then run the same with --finish.`,
          `Secret  ${secret}`,
        ]);
      }),
    );
}

function describeRemove(factor: Command, { terminal, output }: Invocation): void {
  ofFactor(factor, 'remove', 'take a custom factor away for good, with what every user has of it')
    .addHelpText('after', examples('cardea factor remove webhook-badge --realm staff'))
    .action((id: string, options: RealmOptions) =>
      withOperator(terminal, async (operator) => {
        const realm = await requireRealm(operator, options.realm);
        await removeFactor(operator, realm, id);
        await output.answer(options.json, { realm: realm.name, factor: id }, () => [
          `Removed ${id} from realm ${realm.name}, with what its users had of it.`,
        ]);
      }),
    );
}

function names(text: string): string[] {
  const listed = text.split(',').map((name) => name.trim());
  if (listed.some((name) => name === '')) throw new InvalidArgumentError('It is not a list of names with commas between them.');
  return listed;
}
