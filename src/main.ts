#!/usr/bin/env node
/**
 * The command `cardea`. Nothing is done here but to hand the process over to the command line (cli/cli.ts): compiled
 * code is kept from one start to the next, so everything else is imported after that was switched on.
 */
import module from 'node:module';
import { fileURLToPath } from 'node:url';

// Beside the code, not in the system's temporary folder: whoever could write there could have us run theirs.
module.enableCompileCache(fileURLToPath(new URL('../node_modules/.cache/compiled', import.meta.url)));

const { loadConfig } = await import('./config.ts');
const { runCommand } = await import('./cli/cli.ts');
const { stdin, stdout, stderr } = process;

// Whoever reads our output may stop reading, as `head` does.
stdout.on('error', (error: NodeJS.ErrnoException) => process.exit(error.code === 'EPIPE' ? 0 : 70));
process.exitCode = await runCommand(process.argv.slice(2), { stdin, stdout, stderr, settings: () => loadConfig() });
// What was not read of a pipe must not keep the process.
stdin.destroy();
