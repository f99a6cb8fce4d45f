/** `cardea serve`: the server and, where the settings ask for it, the demo application beside it, until a signal ends them. */
import module from 'node:module';
import type { Command } from 'commander';
import { bootstrap, DEMO_REALM, type FirstRun } from '../bootstrap.ts';
import type { Config } from '../config.ts';
import { cannotStart } from '../errors.ts';
import { type Installation, openInstallation } from '../installation.ts';
import { issuerOf } from '../realms/issuer.ts';
import { type RunningServer, startServer } from '../server.ts';
import { createLog, type Log } from '../telemetry/log.ts';
import { banner } from './banner.ts';
import type { Invocation } from './cli.ts';
import { examples } from './output.ts';

/**
 * A terminal's Ctrl-C reaches us once from the terminal and, under npm, once more from npm. What comes this soon after
 * the first signal, in milliseconds, is the same one.
 */
const SAME_SIGNAL_MS = 500;
/** Requests under way get ten seconds (server.ts); what still runs a little later is left behind. */
const SHUTDOWN_MS = 12_000;

export function describeServe(serve: Command, { terminal, output }: Invocation): void {
  serve
    .addHelpText('after', examples('cardea serve', 'PORT=9000 CARDEA_DATA_DIR=/var/lib/cardea cardea serve'))
    .addHelpText('after', '\nSIGINT or SIGTERM lets requests under way finish; a second one ends the process\nat once.\n')
    .action(async () => {
      const config = terminal.settings();
      const log = createLog({ level: config.logLevel, production: config.production, write: (line) => terminal.stdout.write(line) });
      const stopSignal = nextSignal();
      const running = await start(config, log);
      await announce(config, running, log, (text) => output.write(text));
      module.flushCompileCache();
      await stopSignal;
      await stop(running, log);
    });
}

interface Running {
  installation: Installation;
  firstRun: FirstRun;
  server: RunningServer;
  demo?: RunningServer;
}

/** Everything, or nothing: what was opened before a failure is closed again. */
async function start(config: Config, log: Log): Promise<Running> {
  const opened: { close(): Promise<void> }[] = [];
  const keep = <T extends { close(): Promise<void> }>(one: T): T => {
    opened.unshift(one);
    return one;
  };
  try {
    const installation = keep(await openInstallation(config, log));
    const firstRun = await bootstrap(installation, Date.now());
    const server = keep(await listening(() => startServer({ installation, log }), 'PORT', config.port));
    const demo = await startDemo(config, firstRun);
    return { installation, firstRun, server, ...(demo && { demo }) };
  } catch (error) {
    for (const one of opened) await one.close();
    throw error;
  }
}

async function startDemo(config: Config, { demoClient }: FirstRun): Promise<RunningServer | undefined> {
  if (!demoClient) return undefined;
  const { startDemoApp } = await import('../../examples/demo-app/server.ts');
  const { clientId, secret: clientSecret } = demoClient;
  const options = { issuer: issuerOf(config.origin, DEMO_REALM), clientId, clientSecret, port: config.demoPort, host: config.host };
  return listening(() => startDemoApp(options), 'CARDEA_DEMO_PORT', config.demoPort);
}

/** A port that cannot be had is said in one line, with the setting to change. */
async function listening<T>(begin: () => Promise<T>, setting: string, port: number): Promise<T> {
  try {
    return await begin();
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? error.code : undefined;
    if (code === 'EADDRINUSE') throw cannotStart(`Port ${port} is used by another program. Set ${setting} to a free one.`, error);
    if (code === 'EACCES') throw cannotStart(`Port ${port} needs rights that this process does not have. Set ${setting} to one above 1023.`, error);
    if (code === 'EADDRNOTAVAIL' || code === 'ENOTFOUND') throw cannotStart('HOST is no address of this machine.', error);
    throw error;
  }
}

/** For people a banner; in production a line of the log, which machines read. */
async function announce(config: Config, { firstRun, server, demo }: Running, log: Log, print: (text: string) => Promise<void>): Promise<void> {
  const demoUrl = demo && `http://localhost:${new URL(demo.url).port}/`;
  const generated = firstRun.adminCredentials ?? firstRun.demoCredentials;
  if (!config.production || generated) return print(banner(config, firstRun, demoUrl));
  log.info({ origin: config.origin, listening: server.url }, 'Cardea is running');
  if (!firstRun.hasAdministrator) log.warn('There is no administrator yet: run cardea user create --realm master --username NAME --role admin');
}

async function stop({ installation, server, demo }: Running, log: Log): Promise<void> {
  log.info('stopping: requests under way are finished');
  const limit = setTimeout(() => {
    log.warn('stopped before everything was finished');
    process.exit(1);
  }, SHUTDOWN_MS);
  await Promise.all([server.close(), demo?.close()]);
  await installation.close();
  clearTimeout(limit);
}

/** Resolves at the first signal to stop; a second one ends the process at once. */
function nextSignal(): Promise<void> {
  return new Promise((resolve) => {
    let first: number | undefined;
    const onSignal = (signal: 'SIGINT' | 'SIGTERM'): void => {
      const now = performance.now();
      first ??= now;
      if (now === first) resolve();
      else if (now - first > SAME_SIGNAL_MS) process.exit(signal === 'SIGINT' ? 130 : 143);
    };
    process.on('SIGINT', onSignal);
    process.on('SIGTERM', onSignal);
  });
}
