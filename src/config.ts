/**
 * Settings: the only reader of the process environment. Every mistake is reported at once, one line each, naming the
 * variable, what is wrong with it and what a right value looks like. Values that may be secret are never repeated.
 *
 * An empty variable counts as absent, as compose files and unit files leave them.
 */
import { resolve } from 'node:path';
import type { z } from 'zod';
import { authoritiesFile, type ClientCertificates, certificateHeader } from './config/client-certificates.ts';
import { type DeliveryConfig, readDelivery } from './config/delivery.ts';
import { type AllowedTarget, allowedTargets } from './config/outbound.ts';
import {
  clientId,
  databaseUrl,
  EXAMPLE_ORIGIN,
  hostName,
  listed,
  MAKE_KEY,
  masterKeys,
  metricsToken,
  name,
  oneOf,
  onOrOff,
  originOnly,
  secretOf,
  shown,
  whole,
} from './config/values.ts';
import type { MasterKey } from './crypto/keyring.ts';

export interface Config extends DeliveryConfig {
  /** 0 means any free port; then the origin was given. */
  readonly port: number;
  /** The address to listen on. */
  readonly host: string;
  /** `http(s)://host[:port]`, as browsers write it: the base of every URL that leaves Cardea. */
  readonly origin: string;
  /** Absolute. */
  readonly dataDir: string;
  /** PostgreSQL; absent means SQLite in the data folder. */
  readonly databaseUrl?: string;
  /** The first wraps, the others only unwrap. Absent means the one of the data folder. */
  readonly masterKeys?: MasterKey[];
  readonly production: boolean;
  /** Whether the demo realm and its application are there. */
  readonly demo: boolean;
  /** The demo application listens here, on an origin of its own. */
  readonly demoPort: number;
  /** Made in realm master at the first start. */
  readonly bootstrap: {
    readonly admin?: { readonly username: string; readonly password: string };
    readonly client?: { readonly clientId: string; readonly secret: string };
  };
  /** Where the server may connect to besides public addresses by https, when somebody else chose the address. */
  readonly outboundAllow: readonly AllowedTarget[];
  /** Modules of custom factors: paths or names of packages. */
  readonly factorModules: readonly string[];
  /** How many proxies in front of us write X-Forwarded-For; 0 believes none. */
  readonly trustProxy: number;
  /** Where a proxy passes the certificates of clients on; absent where nobody does. */
  readonly clientCertificates?: ClientCertificates | undefined;
  readonly logLevel: LogLevel;
  /** Where the metrics can be read: at a port of their own (0: any free one), or at ours with a token; nowhere without either. */
  readonly metrics: { readonly port?: number; readonly token?: string };
  /** Argon2id, as new passwords are hashed. */
  readonly passwordHash: { readonly memoryKiB: number; readonly passes: number; readonly parallelism: number };
}

const LOG_LEVELS = ['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent'] as const;
export type LogLevel = (typeof LOG_LEVELS)[number];

/** What the environment got wrong, one line each. */
export class ConfigError extends Error {
  readonly problems: string[];

  constructor(problems: string[]) {
    super(`Cardea cannot start with these settings:\n${problems.map((problem) => `  ${problem}`).join('\n')}`);
    this.name = 'ConfigError';
    this.problems = problems;
  }
}

/**
 * The least that production hashes passwords with: the OWASP password storage cheat sheet lists these as equally
 * strong. The first is the default.
 */
const ARGON2_FLOORS = [
  { memoryKiB: 7_168, passes: 5 },
  { memoryKiB: 9_216, passes: 4 },
  { memoryKiB: 12_288, passes: 3 },
  { memoryKiB: 19_456, passes: 2 },
  { memoryKiB: 47_104, passes: 1 },
] as const;
const [ARGON2_DEFAULT] = ARGON2_FLOORS;

/** The realm's own default for passwords; the first administrator's password is not weaker than a user's. */
const PASSWORD_CHARACTERS = 8;
/** Nobody has to remember it. */
const SECRET_CHARACTERS = 16;

/**
 * Reads and checks all settings.
 * @param env the environment of this process when left out
 * @throws ConfigError with every mistake, in the order of the README
 */
export function loadConfig(env: NodeJS.ProcessEnv = process.env): Config {
  const problems: string[] = [];
  const reader = readerOf(env, problems);
  const { read } = reader;
  const production = env.NODE_ENV === 'production';
  const port = read('PORT', whole(0, 65_535, 8080)) ?? 8080;
  const config: Config = {
    port,
    host: read('HOST', hostName) ?? '127.0.0.1',
    origin: readOrigin(reader, port, production),
    dataDir: resolve(env.CARDEA_DATA_DIR?.trim() || '.data'),
    databaseUrl: read('DATABASE_URL', databaseUrl),
    masterKeys: readMasterKeys(reader, production),
    production,
    ...readDemo(reader, port, production),
    bootstrap: Object.freeze({ admin: readAdmin(reader), client: readClient(reader) }),
    outboundAllow: Object.freeze(read('CARDEA_OUTBOUND_ALLOW', allowedTargets) ?? []),
    factorModules: Object.freeze(read('CARDEA_FACTOR_MODULES', listed) ?? []),
    ...readDelivery(reader),
    ...readProxy(reader),
    logLevel: read('LOG_LEVEL', oneOf(LOG_LEVELS, 'info')) ?? 'info',
    metrics: readMetrics(reader, port),
    passwordHash: readPasswordHash(reader, production),
  };
  if (problems.length > 0) throw new ConfigError(problems);
  return Object.freeze(config);
}

interface Reader {
  /** Undefined when absent or wrong. `exact` keeps spaces at the ends, which may be part of a password. */
  read<T>(variable: string, schema: z.ZodType<T>, exact?: boolean): T | undefined;
  given(variable: string): boolean;
  complain(variable: string, what: string): void;
}

function readerOf(env: NodeJS.ProcessEnv, problems: string[]): Reader {
  const given = (variable: string): boolean => (env[variable]?.trim() ?? '') !== '';
  const complain = (variable: string, what: string): void => {
    problems.push(`${variable} ${what}`);
  };
  return {
    given,
    complain,
    read(variable, schema, exact = false) {
      if (!given(variable)) return undefined;
      const result = schema.safeParse(exact ? env[variable] : env[variable]?.trim());
      if (result.success) return result.data;
      complain(variable, result.error.issues[0]?.message ?? 'cannot be read');
      return undefined;
    },
  };
}

function readOrigin({ read, given, complain }: Reader, port: number, production: boolean): string {
  const origin = read('CARDEA_ORIGIN', originOnly) ?? `http://localhost${port === 80 ? '' : `:${port}`}`;
  if (port === 0 && !given('CARDEA_ORIGIN')) complain('CARDEA_ORIGIN', `is missing, and with PORT=0 it cannot be known; ${EXAMPLE_ORIGIN}`);
  if (production && origin.startsWith('http:') && !isLoopback(new URL(origin).hostname)) {
    const why = 'in production only https keeps passwords and tokens secret (http is for localhost)';
    complain('CARDEA_ORIGIN', `is ${shown(origin)}, and ${why}; ${EXAMPLE_ORIGIN}`);
  }
  return origin;
}

function readMasterKeys({ read, given, complain }: Reader, production: boolean): MasterKey[] | undefined {
  if (production && !given('CARDEA_MASTER_KEY')) {
    complain('CARDEA_MASTER_KEY', `is missing, and production needs it; set it to id:KEY, KEY made by ${MAKE_KEY}`);
  }
  return read('CARDEA_MASTER_KEY', masterKeys);
}

function readDemo({ read, given, complain }: Reader, port: number, production: boolean): Pick<Config, 'demo' | 'demoPort'> {
  const demo = read('CARDEA_DEMO', onOrOff) ?? (!production && !given('DATABASE_URL'));
  const demoPort = read('CARDEA_DEMO_PORT', whole(0, 65_535, 8081)) ?? (port === 0 ? 0 : port + 1);
  if (demo && demoPort > 65_535) complain('CARDEA_DEMO_PORT', `is missing, and PORT=${port} has no next port; for example 8081`);
  if (demo && demoPort === port && port !== 0) {
    complain('CARDEA_DEMO_PORT', `is ${demoPort}, the same as PORT; for example ${port === 65_535 ? 8081 : port + 1}`);
  }
  return { demo, demoPort };
}

/** What proxies in front of us are believed. */
function readProxy({ read, given, complain }: Reader): Pick<Config, 'trustProxy' | 'clientCertificates'> {
  const trustProxy = read('CARDEA_TRUST_PROXY', whole(0, 10, 1)) ?? 0;
  const header = read('CARDEA_CLIENT_CERTIFICATE_HEADER', certificateHeader);
  const authorities = read('CARDEA_CLIENT_CA', authoritiesFile) ?? [];
  if (header !== undefined && trustProxy === 0)
    complain(
      'CARDEA_CLIENT_CERTIFICATE_HEADER',
      'names a header of a proxy, and CARDEA_TRUST_PROXY says that there is none; for example CARDEA_TRUST_PROXY=1',
    );
  if (!given('CARDEA_CLIENT_CERTIFICATE_HEADER') && given('CARDEA_CLIENT_CA'))
    complain(
      'CARDEA_CLIENT_CA',
      'is of no use without CARDEA_CLIENT_CERTIFICATE_HEADER; for example CARDEA_CLIENT_CERTIFICATE_HEADER=X-Client-Certificate',
    );
  return { trustProxy, clientCertificates: header === undefined ? undefined : Object.freeze({ header, authorities: Object.freeze(authorities) }) };
}

function readMetrics({ read, complain }: Reader, port: number): Config['metrics'] {
  const own = read('CARDEA_METRICS_PORT', whole(0, 65_535, 9464));
  if (own !== undefined && own !== 0 && own === port) complain('CARDEA_METRICS_PORT', `is ${own}, the same as PORT; for example 9464`);
  return Object.freeze({ port: own, token: read('CARDEA_METRICS_TOKEN', metricsToken) });
}

function readAdmin(reader: Reader): Config['bootstrap']['admin'] {
  requireBoth(reader, 'CARDEA_BOOTSTRAP_ADMIN_USERNAME', 'CARDEA_BOOTSTRAP_ADMIN_PASSWORD', 'the first administrator');
  const username = reader.read('CARDEA_BOOTSTRAP_ADMIN_USERNAME', name);
  const schema = secretOf(PASSWORD_CHARACTERS, 'a sentence that you can remember is good');
  const password = reader.read('CARDEA_BOOTSTRAP_ADMIN_PASSWORD', schema, true);
  return username === undefined || password === undefined ? undefined : Object.freeze({ username, password });
}

function readClient(reader: Reader): Config['bootstrap']['client'] {
  requireBoth(reader, 'CARDEA_BOOTSTRAP_CLIENT_ID', 'CARDEA_BOOTSTRAP_CLIENT_SECRET', 'the first service account');
  const id = reader.read('CARDEA_BOOTSTRAP_CLIENT_ID', clientId);
  const secret = reader.read('CARDEA_BOOTSTRAP_CLIENT_SECRET', secretOf(SECRET_CHARACTERS, `make one by ${MAKE_KEY}`), true);
  return id === undefined || secret === undefined ? undefined : Object.freeze({ clientId: id, secret });
}

function requireBoth({ given, complain }: Reader, first: string, second: string, what: string): void {
  if (given(first) && !given(second)) complain(second, `is missing, and ${what} needs it beside ${first}; set both or neither`);
  if (given(second) && !given(first)) complain(first, `is missing, and ${what} needs it beside ${second}; set both or neither`);
}

function readPasswordHash({ read, given, complain }: Reader, production: boolean): Config['passwordHash'] {
  const memoryKiB = read('CARDEA_ARGON2_MEMORY_KIB', whole(8, 1_048_576, ARGON2_DEFAULT.memoryKiB)) ?? ARGON2_DEFAULT.memoryKiB;
  const passes = read('CARDEA_ARGON2_PASSES', whole(1, 100, ARGON2_DEFAULT.passes)) ?? ARGON2_DEFAULT.passes;
  if (production && !ARGON2_FLOORS.some((floor) => memoryKiB >= floor.memoryKiB && passes >= floor.passes)) {
    const allowed = ARGON2_FLOORS.map((floor) => `${floor.memoryKiB} with ${floor.passes}`).join(', ');
    const variable = given('CARDEA_ARGON2_MEMORY_KIB') ? 'CARDEA_ARGON2_MEMORY_KIB' : 'CARDEA_ARGON2_PASSES';
    complain(variable, `makes password hashes too weak for production (${memoryKiB} KiB with ${passes} passes); the least is ${allowed}`);
  }
  return Object.freeze({ memoryKiB, passes, parallelism: 1 });
}

/** localhost and its subdomains (RFC 6761 section 6.3), 127.0.0.0/8 and ::1, as URL.hostname writes them. */
const isLoopback = (host: string): boolean =>
  host === 'localhost' || host.endsWith('.localhost') || /^127\.\d+\.\d+\.\d+$/.test(host) || host === '[::1]';
