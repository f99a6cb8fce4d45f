/**
 * The server: the socket that the application (app.ts) answers at, what is done meanwhile (deliveries, and the removal of
 * what has run out), and how all of it stops.
 */
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { retireOldKeys } from './admin/resources/data-keys.ts';
import { createApp } from './app.ts';
import { AuditBatch } from './audit/batch.ts';
import { missingChannels } from './delivery/delivery.ts';
import { answerUnreadable } from './http/unreadable.ts';
import { couriersOf, deliveriesOf, type Installation, metricsOf, operatorOf } from './installation.ts';
import { endRunOut } from './sessions/run-out.ts';
import { sweepExpired } from './store/sweep.ts';
import type { Log } from './telemetry/log.ts';

/** Expired rows are removed this often, a bounded batch at a time. */
const SWEEP_EVERY_MS = 60_000;
/** Data keys that a rotation has left behind are looked for this often. */
const RETIRE_EVERY_MS = 600_000;
/** Longer than any proxy keeps an idle connection, so that it is the proxy who closes it. */
const KEEP_ALIVE_MS = 65_000;
/** Requests under way get this long when the server stops. */
const SHUTDOWN_MS = 10_000;

export interface RunningServer {
  /** Where it listens, such as `http://127.0.0.1:8080`. */
  url: string;
  close(): Promise<void>;
}

/** Starts listening. */
export async function startServer(options: { installation: Installation; log: Log }): Promise<RunningServer> {
  const { config, db } = options.installation;
  const now = () => Date.now();
  const metrics = await metricsOf(options.installation, options.log);
  const server = createServer();
  server.keepAliveTimeout = KEEP_ALIVE_MS;
  server.on('clientError', answerUnreadable);
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(config.port, config.host, resolve);
  });
  const url = addressOf(server);
  const deliveries = deliveriesOf(options.installation, options.log);
  const batch = new AuditBatch(db.knex, (error) => options.log.error({ err: error }, 'events could not be recorded'));
  for (const missing of missingChannels(config)) options.log.warn(missing);
  server.on('request', createApp({ ...options, deliveries, batch, metrics, now, listening: () => url }).callback());
  deliveries.postman.start();
  const couriers = couriersOf(options.installation, options.log);
  for (const courier of couriers) courier.start();

  const stopTidying = tidy(options.installation, options.log, now);
  return {
    url,
    async close() {
      stopTidying();
      const closed = new Promise<void>((resolve) => server.close(() => resolve()));
      server.closeIdleConnections();
      const limit = setTimeout(() => server.closeAllConnections(), SHUTDOWN_MS);
      await closed;
      clearTimeout(limit);
      await deliveries.close();
      await batch.flush();
      await Promise.all(couriers.map((courier) => courier.close()));
      await metrics?.close();
    },
  };
}

/** Removes what has run out, as long as the server runs. Returns what ends that. */
function tidy(installation: Installation, log: Log, now: () => number): () => void {
  const { db } = installation;
  const sweeping = setInterval(() => {
    sweepExpired(db, now()).catch((error: unknown) => log.warn({ err: error }, 'expired rows could not be removed'));
    endRunOut(db, now()).catch((error: unknown) => log.warn({ err: error }, 'sessions that ran out could not be ended'));
  }, SWEEP_EVERY_MS);
  sweeping.unref();
  const retiring = setInterval(() => void retireKeys(installation, log, now()), RETIRE_EVERY_MS);
  retiring.unref();
  return () => {
    clearInterval(sweeping);
    clearInterval(retiring);
  };
}

/** What a rotation of data keys has left behind: old keys go when their time has come. */
async function retireKeys(installation: Installation, log: Log, now: number): Promise<void> {
  try {
    for await (const { realmId, retired, unreadable } of retireOldKeys(operatorOf(installation, 'server', now))) {
      if (retired.length > 0) log.info({ realm: realmId, keys: retired }, 'old data keys were deleted');
      if (unreadable.length > 0) log.error({ realm: realmId, columns: unreadable }, 'there are sealed values that do not open');
    }
  } catch (error) {
    log.warn({ err: error }, 'old data keys could not be looked for');
  }
}

function addressOf(server: Server): string {
  const address: AddressInfo | string | null = server.address();
  if (address === null || typeof address === 'string') throw new Error('The server listens on no port.');
  const host = address.family === 'IPv6' ? `[${address.address}]` : address.address;
  return `http://${host}:${address.port}`;
}
