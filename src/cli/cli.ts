/**
 * The command line: `cardea COMMAND`, one file a command. Each file describes its command and calls the same operations
 * as the console and the REST API (admin/resources); opening the installation, reading secrets, printing and the exit
 * codes are shared:
 *
 * | 0 | done |
 * | 1 | refused: one line on standard error says what is wrong, and of which field |
 * | 2 | used wrongly |
 * | 70 | a fault of ours, with a reference; LOG_LEVEL=debug shows it |
 *
 * Only the file of the command that was asked for is loaded.
 */
import { readFileSync } from 'node:fs';
import { Command, CommanderError } from 'commander';
import { reportFailure } from './failures.ts';
import { examples, Output } from './output.ts';
import type { Terminal } from './terminal.ts';

/** What a command's file adds its description and its actions to. */
export interface Invocation {
  terminal: Terminal;
  output: Output;
  /** All commands with all that they take. */
  whole(): Promise<Command>;
}

const COMMANDS: Record<string, { summary: string; load: () => Promise<(command: Command, invocation: Invocation) => void> }> = {
  serve: { summary: 'start the server', load: async () => (await import('./serve.ts')).describeServe },
  migrate: { summary: 'bring the database up to date', load: async () => (await import('./migrate.ts')).describeMigrate },
  realm: { summary: 'make, list, change and delete realms', load: async () => (await import('./realm.ts')).describeRealm },
  client: {
    summary: 'make, list, change and delete clients, the applications of a realm',
    load: async () => (await import('./client.ts')).describeClient,
  },
  user: { summary: 'make, find, change, import and delete users; passwords, roles', load: async () => (await import('./user.ts')).describeUser },
  role: { summary: 'make, list, change and delete roles of a realm and of its clients', load: async () => (await import('./role.ts')).describeRole },
  group: { summary: 'make, list, change and delete groups, and say who is in them', load: async () => (await import('./group.ts')).describeGroup },
  session: { summary: 'list and end sessions', load: async () => (await import('./session.ts')).describeSession },
  scope: { summary: 'say what tokens say: client scopes and protocol mappers', load: async () => (await import('./scope.ts')).describeScope },
  keys: { summary: "rotate and list a realm's signing keys", load: async () => (await import('./keys.ts')).describeKeys },
  audit: { summary: 'list, export and check what was recorded', load: async () => (await import('./audit.ts')).describeAudit },
  factor: { summary: 'say which factors a realm uses, and add webhooks', load: async () => (await import('./factor.ts')).describeFactor },
  mail: { summary: 'say by which server a realm sends mail, and try it', load: async () => (await import('./mail.ts')).describeMail },
  sms: { summary: 'say by which account a realm sends text messages, and try it', load: async () => (await import('./sms.ts')).describeSms },
  policy: { summary: 'say who must prove what, ask why, and try a draft', load: async () => (await import('./policy.ts')).describePolicy },
  mfa: { summary: "list, enrol, try and remove users' second factors", load: async () => (await import('./mfa.ts')).describeMfa },
  pass: { summary: 'let users who have lost everything set up a new second factor', load: async () => (await import('./pass.ts')).describePass },
  gate: { summary: 'protect sites that know nothing of OpenID Connect', load: async () => (await import('./gate.ts')).describeGate },
  webhook: { summary: "say where a realm's events are told, and try it", load: async () => (await import('./webhook.ts')).describeWebhook },
  token: { summary: 'import hardware tokens, and say whose they are', load: async () => (await import('./token.ts')).describeToken },
  completion: { summary: 'complete commands and options in a shell', load: async () => (await import('./completion.ts')).describeCompletion },
};

/**
 * Runs one command.
 * @param args what stands behind `cardea`
 * @returns the exit code
 */
export async function runCommand(args: string[], terminal: Terminal): Promise<number> {
  const output = new Output(terminal);
  const invocation: Invocation = { terminal, output, whole: () => describe(undefined, invocation) };
  try {
    const program = await describe(args, invocation);
    await program.parseAsync(args, { from: 'user' });
    return output.exitCode;
  } catch (error) {
    // Help and the version are answers too.
    if (error instanceof CommanderError && error.exitCode === 0) return 0;
    return reportFailure(error, { terminal, output, asJson: args.includes('--json') });
  }
}

/** @param args of which only the command that is asked for is loaded; undefined for all of them */
async function describe(args: string[] | undefined, invocation: Invocation): Promise<Command> {
  const { terminal } = invocation;
  const program = new Command('cardea')
    .description('Cardea, an identity provider: realms, their applications and users, and who must prove what.')
    .version(version(), '--version')
    .exitOverride()
    .configureOutput({
      writeOut: (text) => terminal.stdout.write(text),
      writeErr: (text) => terminal.stderr.write(text),
      // Said once, by reportFailure.
      outputError: () => undefined,
    })
    .addHelpText('after', examples('cardea serve', 'cardea realm create staff --mfa required', 'cardea help client'))
    .addHelpText('after', '\nSettings are environment variables, the same for every command; see\nthe README.\n');
  const asked = args?.filter((arg) => !arg.startsWith('-')).slice(0, 2);
  for (const [name, { summary, load }] of Object.entries(COMMANDS)) {
    const command = program.command(name).description(summary);
    if (!asked || asked[0] === name || (asked[0] === 'help' && asked[1] === name)) (await load())(command, invocation);
  }
  return program;
}

function version(): string {
  const manifest: unknown = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8'));
  return typeof manifest === 'object' && manifest !== null && 'version' in manifest ? String(manifest.version) : 'unknown';
}
