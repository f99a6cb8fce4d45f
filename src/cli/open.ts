/** Opening the installation for one command, and closing it again whatever comes. */
import type { Operator } from '../admin/resources/context.ts';
import { ensureMaster } from '../bootstrap.ts';
import { type Installation, openInstallation, operatorOf } from '../installation.ts';
import { createLog, type Log } from '../telemetry/log.ts';
import type { Terminal } from './terminal.ts';

/** The log of a command: on standard error, for a person. */
export function commandLog(terminal: Terminal): Log {
  return createLog({ level: terminal.settings().logLevel, production: false, write: (line) => terminal.stderr.write(line) });
}

/** Runs `work` as the operator at the command line. */
export async function withOperator<T>(terminal: Terminal, work: (operator: Operator, installation: Installation) => Promise<T>): Promise<T> {
  const installation = await openInstallation(terminal.settings(), commandLog(terminal));
  try {
    const now = Date.now();
    await ensureMaster(installation, now);
    return await work(operatorOf(installation, 'command line', now), installation);
  } finally {
    await installation.close();
  }
}
