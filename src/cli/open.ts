/** Opening the installation for one command, and closing it again whatever comes. */
import type { Operator } from '../admin/resources/context.ts';
import type { FactorOperator } from '../admin/resources/factor-operator.ts';
import { ensureMaster } from '../bootstrap.ts';
import { type Installation, noticesOf, openInstallation, operatorOf } from '../installation.ts';
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

/** The same, for what users sign in with. */
export function withFactorOperator<T>(terminal: Terminal, work: (operator: FactorOperator, installation: Installation) => Promise<T>): Promise<T> {
  return withOperator(terminal, (operator, installation) => {
    const { factors, config } = installation;
    return work({ ...operator, factors, origin: config.origin, notices: noticesOf(installation) }, installation);
  });
}
