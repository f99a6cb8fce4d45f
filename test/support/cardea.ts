/**
 * A Cardea to test over HTTP: the product's own server on a free port, on a database of the test file, with cheap password
 * hashes. Tests of a file share it and make realms of their own.
 */
import { randomBytes } from 'node:crypto';
import * as argon2 from '@node-rs/argon2';
import { createClient, type NewClient } from '../../src/admin/resources/clients.ts';
import type { Operator } from '../../src/admin/resources/context.ts';
import { createRealm } from '../../src/admin/resources/realms.ts';
import { createUser, type NewUser } from '../../src/admin/resources/users.ts';
import { loadConfig } from '../../src/config.ts';
import { type Keyring, masterKeyProvider } from '../../src/crypto/keyring.ts';
import { Argon2Hasher } from '../../src/crypto/passwords.ts';
import { loadFactorModules } from '../../src/factors/custom/modules.ts';
import { builtIn } from '../../src/factors/index.ts';
import { type Installation, installedFactors } from '../../src/installation.ts';
import type { Shorthand } from '../../src/policy/document.ts';
import type { RealmSettings } from '../../src/realms/settings.ts';
import { startServer } from '../../src/server.ts';
import type { ClientRow } from '../../src/store/clients.ts';
import type { Database } from '../../src/store/database.ts';
import type { RealmRow } from '../../src/store/realms.ts';
import type { UserRow } from '../../src/store/users.ts';
import { createLog } from '../../src/telemetry/log.ts';
import { checkAnswers } from './answers.ts';
import { atEnd } from './cleanup.ts';
import { keyringOn, MASTER_KEY } from './keyring.ts';
import { freePort } from './ports.ts';
import { watchLog } from './secrets-seen.ts';

export interface TestClient {
  row: ClientRow;
  clientId: string;
  secret: string | null;
  redirectUri: string;
}

export interface Cardea {
  origin: string;
  /** Where this process listens, which is not the origin when several share one. */
  url: string;
  db: Database;
  keyring: Keyring;
  /** What was logged, line by line. */
  log: string[];
  /** How many argon2id verifications were computed so far. */
  verifications(): number;
  operator(now?: number): Operator;
  realm(settings?: RealmInput): Promise<RealmRow>;
  client(realm: RealmRow, input?: Partial<NewClient>): Promise<TestClient>;
  user(realm: RealmRow, input?: Partial<NewUser>): Promise<UserRow & { password: string }>;
}

/** The settings of a realm, and the name of its policy. */
export type RealmInput = Partial<RealmSettings> & { mfa?: Shorthand };

/** Nobody listens there: tests read where they are sent, and do not go. */
export const REDIRECT_URI = 'https://app.example/callback';

/** Most tests are about a sign-in with one second factor; those about the others say so. */
export const allBut = (...used: string[]): string[] => builtIn.flatMap(({ id, role }) => (role === 'second' && !used.includes(id) ? [id] : []));
export const ALL_BUT_APPS = allBut('totp');

let names = 0;
const unique = (prefix: string): string => {
  names += 1;
  return `${prefix}-${names}-${randomBytes(3).toString('hex')}`;
};

export async function startCardea(db: Database, env: Record<string, string> = {}): Promise<Cardea> {
  checkAnswers();
  const port = await freePort();
  const origin = env.CARDEA_ORIGIN ?? `http://localhost:${port}`;
  const config = { ...loadConfig({ CARDEA_DEMO: 'off', LOG_LEVEL: 'trace', ...env, PORT: String(port), CARDEA_ORIGIN: origin }) };
  const lines: string[] = [];
  watchLog(lines);
  const log = createLog({ level: config.logLevel, production: true, write: (line) => lines.push(line) });
  const keyring = keyringOn(db);
  let verified = 0;
  const counted = {
    hash: argon2.hash,
    verify: (phc: string, password: string) => {
      verified += 1;
      return argon2.verify(phc, password);
    },
  };
  const passwords = new Argon2Hasher({ memoryKiB: 256, passes: 1, parallelism: 1 }, counted);
  const factorModules = await loadFactorModules(config.factorModules, log);
  const factors = installedFactors({ config, db, keyring, log, factorModules });
  const installation: Installation = {
    config,
    db,
    keys: masterKeyProvider([MASTER_KEY]),
    keyring,
    passwords,
    factorModules,
    factors,
    close: async () => undefined,
  };
  const server = await startServer({ installation, log });
  atEnd(() => server.close());
  const operator = (now = Date.now()): Operator => ({ db, keyring, passwords, outboundAllow: config.outboundAllow, actor: 'test', now });
  return {
    origin,
    url: server.url,
    db,
    keyring,
    log: lines,
    verifications: () => verified,
    operator,
    realm: ({ mfa, ...settings } = {}) =>
      createRealm(operator(), { name: unique('realm'), mfa, settings: { disabledFactors: ALL_BUT_APPS, ...settings } }),
    async client(realm, input = {}) {
      const { client, secret } = await createClient(operator(), realm, {
        clientId: unique('client'),
        redirectUris: [REDIRECT_URI],
        firstParty: true,
        ...input,
      });
      return { row: client, clientId: client.clientId, secret, redirectUri: client.redirectUris[0] ?? REDIRECT_URI };
    },
    async user(realm, input = {}) {
      const username = input.username ?? unique('user');
      const password = input.password ?? `pw-${randomBytes(9).toString('base64url')}`;
      return { ...(await createUser(operator(), realm, { email: `${username}@example.com`, ...input, username, password })), password };
    },
  };
}
