/** `cardea realm update` and `delete`. */
import type { Command } from 'commander';
import { requireRealm } from '../admin/resources/context.ts';
import { changeRealm } from '../admin/resources/realm-changes.ts';
import { removeRealm } from '../admin/resources/realm-removal.ts';
import type { Invocation } from './cli.ts';
import { wrongUsage } from './failures.ts';
import { withFactorOperator, withOperator } from './open.ts';
import { requireYes, YES } from './options.ts';
import { examples } from './output.ts';
import { documentOf } from './realm-document.ts';

interface UpdateOptions {
  displayName?: string;
  enable?: boolean;
  disable?: boolean;
  json?: boolean;
}

export function describeRealmUpdate(realm: Command, { terminal, output }: Invocation): void {
  realm
    .command('update')
    .description('change how a realm is called, and whether anybody signs in there')
    .argument('<name>', 'the realm')
    .option('--display-name <name>', 'the name that people read')
    .option('--enable', 'people sign in')
    .option('--disable', 'nobody signs in, and no token is good')
    .option('--json', 'print one JSON document')
    .addHelpText('after', '\nSettings are changed by cardea realm set, the policy by cardea policy set.\n')
    .addHelpText('after', examples('cardea realm update shop --display-name "The Shop"', 'cardea realm update shop --disable --json'))
    .action((name: string, { displayName, enable, disable, json }: UpdateOptions) =>
      withFactorOperator(terminal, async (operator, { config }) => {
        if (enable && disable) throw wrongUsage('--enable and --disable exclude each other');
        const found = await requireRealm(operator, name);
        const changed = await changeRealm(operator, found, {
          displayName: displayName ?? found.displayName,
          enabled: enable || disable ? enable === true : found.enabled,
          settings: found.settings,
        });
        await output.answer(json, documentOf(changed, config.origin), () => [`Changed realm ${changed.name}.`]);
      }),
    );
}

export function describeRealmDelete(realm: Command, { terminal, output }: Invocation): void {
  realm
    .command('delete')
    .description('delete a realm with all of its users, clients, keys and records')
    .argument('<name>', 'the realm')
    .option(...YES)
    .option('--json', 'print one JSON document')
    .addHelpText('after', '\nInterrupted, it leaves a realm that is switched off: delete it again.\n')
    .addHelpText('after', examples('cardea realm delete shop', 'cardea realm delete shop --yes --json'))
    .action((name: string, { yes, json }: { yes?: boolean; json?: boolean }) =>
      withOperator(terminal, async (operator, { config }) => {
        const found = await requireRealm(operator, name);
        await requireYes(terminal, yes, `Realm ${found.name} is deleted for good, with all of its users.`);
        await removeRealm(operator, found);
        await output.answer(json, documentOf(found, config.origin), () => [`Deleted realm ${found.name}.`]);
      }),
    );
}
