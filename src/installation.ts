/**
 * What the server and every command stand on: the database with its tables, the master key that fits it, and what is
 * made of them. Whoever opens an installation closes it.
 */
import { join } from 'node:path';
import type { Operator } from './admin/resources/context.ts';
import type { AllowedTarget } from './config/outbound.ts';
import type { Config } from './config.ts';
import {
  AUDIT_KEY_PLACE,
  checkCanary,
  type KeyProvider,
  Keyring,
  type MasterKey,
  makeAuditKey,
  makeCanary,
  masterKeyOfFolder,
  masterKeyProvider,
  readOrCreateMasterKey,
} from './crypto/keyring.ts';
import { Argon2Hasher } from './crypto/passwords.ts';
import { channelsIn } from './delivery/channels.ts';
import { createDeliveries, type Deliveries } from './delivery/delivery.ts';
import type { LetterHtml } from './delivery/letter.ts';
import { logoutCourier } from './delivery/logouts/courier.ts';
import { createNotices, type Notices } from './delivery/notices.ts';
import { webhookCourier } from './delivery/webhooks/courier.ts';
import { cannotStart } from './errors.ts';
import { customFactorsOf } from './factors/custom/factors.ts';
import { type LoadedModule, loadFactorModules } from './factors/custom/modules.ts';
import { createFactors, type Factors } from './factors/index.ts';
import { webhookSecrets } from './factors/webhook-secrets.ts';
import { createGuardedClient } from './http/guarded-client.ts';
import { createGuardedConnect } from './http/guarded-connect.ts';
import { Pace } from './http/pace.ts';
import { createWriter } from './http/render.ts';
import { logoCourier } from './logos/courier.ts';
import type { Level } from './policy/assurance.ts';
import { isRecovery } from './policy/proofs.ts';
import { defaultRealmSettings } from './realms/settings.ts';
import { countCoverage } from './store/coverage.ts';
import { dataKeys } from './store/data-keys.ts';
import { type Database, openDatabase } from './store/database.ts';
import { AUDIT_KEY, CANARY, insertInstallationValue, installationValue } from './store/realms.ts';
import { type HookCall, hookCalled } from './telemetry/hook-calls.ts';
import type { Log } from './telemetry/log.ts';
import { logoutCalled } from './telemetry/logout-calls.ts';
import type { ServedMetrics } from './telemetry/serve-metrics.ts';
import { webhookCalled } from './telemetry/webhook-calls.ts';

export interface Installation {
  config: Config;
  db: Database;
  /** The master key. */
  keys: KeyProvider;
  keyring: Keyring;
  passwords: Argon2Hasher;
  /** The modules of custom factors that were loaded at start. */
  factorModules: readonly LoadedModule[];
  factors: Factors;
  close(): Promise<void>;
}

/**
 * Opens the database, brings its tables up to date and checks the master key against it.
 * @throws AppError `cannot_start` when the database cannot be used or the key is not the one it was made with
 */
export async function openInstallation(config: Config, log: Log): Promise<Installation> {
  const factorModules = await loadFactorModules(config.factorModules, log);
  const db = await openDatabaseOf(config, log);
  try {
    await db.migrate();
    const keys = await fittingMasterKey(config, db, log);
    const keyring = new Keyring(keys, (realmId) => dataKeys(db.knex, realmId), await auditKey(db, keys));
    db.changes.onChange((topic) => keyring.changed(topic));
    const passwords = new Argon2Hasher(config.passwordHash);
    return {
      config,
      db,
      keys,
      keyring,
      passwords,
      factorModules,
      factors: installedFactors({ config, db, keyring, log, factorModules }),
      close: () => db.close(),
    };
  } catch (error) {
    await db.close();
    throw error;
  }
}

/** The factors of the product, and what realms have besides: modules that were loaded, and webhooks that are called. */
export function installedFactors(on: Pick<Installation, 'config' | 'db' | 'keyring' | 'factorModules'> & { log: Log }): Factors {
  const { config, db, keyring, log } = on;
  const deps = {
    modules: on.factorModules,
    send: createGuardedClient({ allow: config.outboundAllow }),
    secretsOf: (realmId: string, factor: string) => webhookSecrets({ db, keyring }, realmId, factor),
    report: ({ fault, ...call }: HookCall) => {
      hookCalled({ ...call, fault });
      if (fault === undefined) log.debug(call, 'a custom factor was asked');
      else log.warn({ ...call, err: fault }, 'a custom factor failed');
    },
  };
  return createFactors({
    custom: (settings) => customFactorsOf(settings, deps),
    channels: (settings) => channelsIn(config, settings),
    origin: config.origin,
  });
}

/** The database alone, with whatever tables it has. */
export async function openDatabaseOf(config: Config, log: Log): Promise<Database> {
  try {
    return await openDatabase(config, { warn: (message) => log.warn(message) });
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause);
    throw cannotStart(config.databaseUrl === undefined ? `The data folder ${config.dataDir} cannot be used: ${why}` : why, cause);
  }
}

/** What sends codes and notices. Whoever makes it closes it. */
export function deliveriesOf({ config, db, keyring }: Installation, log: Log): Deliveries {
  const connect = createGuardedConnect({ allow: config.outboundAllow });
  return createDeliveries({ db, keyring, config, log, now: () => Date.now(), html: letters(config), connect });
}

/** Of one host, by one process, for all realms together. */
const LOGOS_A_MINUTE = 60;

/** What tells webhooks, and applications of the end of a session, and fetches the logos of these. Whoever makes them closes them. */
export function couriersOf({ config, db, keyring }: Installation, log: Log) {
  const common = { db, keyring, now: () => Date.now(), log };
  const webhooks = { ...common, send: createGuardedClient({ allow: config.outboundAllow }), report: webhookCalled };
  const logouts = { ...common, send: createGuardedClient({ allow: allowedWithDemo(config) }), report: logoutCalled };
  const hosts = new Pace({ most: LOGOS_A_MINUTE, withinMs: 60_000, now: common.now });
  const logos = { ...common, fetch: webhooks.send, mayAsk: (host: string) => hosts.take(host) };
  return [webhookCourier(webhooks), logoutCourier({ ...logouts, origin: config.origin }), logoCourier(logos)] as const;
}

/** The demo application is on this machine, and is told of the end of sessions like any other. */
export const allowedWithDemo = ({ demo, demoPort, outboundAllow }: Config): readonly AllowedTarget[] =>
  demo ? [...outboundAllow, { kind: 'host', target: 'localhost', port: demoPort }] : outboundAllow;

/** What a command tells users: it is left in the outbox, for the server to send. */
export function noticesOf({ config, db, keyring }: Installation): Notices {
  return createNotices({ db, keyring, origin: config.origin, html: letters(config), channels: (settings) => channelsIn(config, settings) });
}

function letters(config: Config): LetterHtml {
  const write = createWriter({ production: config.production });
  return (model, language) => write('mail/letter', model, language);
}

/** The metrics, where the settings ask for them; what they are made with is loaded then and not before. */
export async function metricsOf({ config, db, passwords, factors }: Installation, log: Log): Promise<ServedMetrics | undefined> {
  const { port, token } = config.metrics;
  if (port === undefined && token === undefined) return undefined;
  const onFault = (error: unknown): void => log.warn({ err: error }, 'metrics could not be read');
  const { createMetrics } = await import('./telemetry/metrics.ts');
  const { serveMetrics } = await import('./telemetry/serve-metrics.ts');
  const second = [...factors.in(defaultRealmSettings()).values()].filter((factor) => !isRecovery({ factor: factor.id }));
  const reaching = (levels: readonly Level[]): string[] =>
    second.filter((factor) => levels.includes(factor.levelIn(defaultRealmSettings()))).map(({ id }) => id);
  const protecting = { aal2: reaching(['aal2']), phr: reaching(['phr', 'phrh']) };
  const metrics = createMetrics({ passwords, coverage: () => countCoverage(db.knex, protecting), onFault });
  try {
    return await serveMetrics(metrics, { port, token, host: config.host, onFault });
  } catch (cause) {
    throw cannotStart(
      `The metrics cannot be served at port ${port}: ${cause instanceof Error ? cause.message : cause}. Set CARDEA_METRICS_PORT to a free one.`,
      cause,
    );
  }
}

/** Who acts through the operations of admin/resources. */
export function operatorOf(installation: Installation, actor: string, now: number): Operator {
  const { config, db, keyring, passwords } = installation;
  return { db, keyring, passwords, outboundAllow: config.outboundAllow, actor, now };
}

/**
 * The key, once it has opened the canary. The first process to start on a new database makes the canary, under a lock, so
 * that of two processes with different keys one refuses to start.
 */
async function fittingMasterKey(config: Config, db: Database, log: Log): Promise<KeyProvider> {
  const canary = (await installationValue(db.knex, CANARY)) ?? (await db.withLock('master-key', () => firstCanary(config, db, log)));
  const keys = keysAtHand(config);
  if (keys === undefined) throw cannotStart(`There is no master key, and this database was made with one. ${remedy(config)}`);
  const provider = masterKeyProvider(keys);
  if (!(await checkCanary(provider, canary))) throw cannotStart(`The master key is not the one that this database was made with. ${remedy(config)}`);
  return provider;
}

async function firstCanary(config: Config, db: Database, log: Log): Promise<string> {
  const made = await installationValue(db.knex, CANARY);
  if (made !== undefined) return made;
  const { keys, created } = config.masterKeys ? { keys: config.masterKeys, created: false } : legible(() => readOrCreateMasterKey(config.dataDir));
  if (created) {
    log.warn(
      `A master key was made: ${fileOf(config)}. Keep a copy of it, apart from the backups of the database: without it, nothing sealed can be read again.`,
    );
  }
  const canary = await makeCanary(masterKeyProvider(keys));
  await insertInstallationValue(db.knex, CANARY, canary);
  return canary;
}

/** Made by the first process; of two at once the one that was first counts. */
async function auditKey(db: Database, keys: KeyProvider): Promise<Buffer> {
  const stored = await installationValue(db.knex, AUDIT_KEY);
  if (stored !== undefined) return keys.unwrap(stored, AUDIT_KEY_PLACE);
  await insertInstallationValue(db.knex, AUDIT_KEY, await makeAuditKey(keys));
  return auditKey(db, keys);
}

/** Never makes one: a new key beside an existing database would only hide that the old one is gone. */
const keysAtHand = (config: Config): MasterKey[] | undefined => config.masterKeys ?? legible(() => masterKeyOfFolder(config.dataDir));

const fileOf = (config: Config): string => join(config.dataDir, 'master.key');
const remedy = (config: Config): string => `Set CARDEA_MASTER_KEY to it${config.masterKeys ? '' : `, or put its file back: ${fileOf(config)}`}.`;

/** What is wrong with the file is said by the message of a plain error. */
function legible<T>(read: () => T): T {
  try {
    return read();
  } catch (cause) {
    throw cannotStart(cause instanceof Error ? cause.message : 'The master key cannot be read.', cause);
  }
}
