/** `cardea migrate`: brings the database up to date, as every other command does before its work. Needs no master key. */
import type { Command } from 'commander';
import { openDatabaseOf } from '../installation.ts';
import type { Invocation } from './cli.ts';
import { commandLog } from './open.ts';
import { examples } from './output.ts';

export function describeMigrate(migrate: Command, { terminal, output }: Invocation): void {
  migrate
    .option('--json', 'print one JSON document')
    .addHelpText('after', examples('cardea migrate', 'DATABASE_URL=postgresql://cardea@db.example.com/cardea cardea migrate --json'))
    .action(async ({ json }: { json?: boolean }) => {
      const db = await openDatabaseOf(terminal.settings(), commandLog(terminal));
      try {
        const ran = await db.migrate();
        await output.answer(json, { engine: db.engine, migrations: ran }, () =>
          ran.length === 0 ? ['The database is up to date.'] : [...ran.map((name) => `Ran ${name}.`), 'The database is up to date.'],
        );
      } finally {
        await db.close();
      }
    });
}
