/**
 * The rules of the house (README, "How it is built") as a table and a checker of one file.
 *
 * Pure over the text of a file, so that the checker itself can be shown to fail. The rules look at import statements,
 * type imports included: what a room knows the shape of, it depends on.
 */
import { posix } from 'node:path';

/**
 * Rows from the top; a room imports only from rows below its own. `siblings` says whether rooms of one row may know each
 * other: the second row's meet in app.ts and nowhere else.
 */
const ROWS: { rooms: string[]; siblings: boolean }[] = [
  { rooms: ['main', 'cli'], siblings: true },
  { rooms: ['server', 'app', 'bootstrap', 'installation'], siblings: true },
  { rooms: ['oidc', 'login', 'account', 'admin', 'gate'], siblings: false },
  { rooms: ['http', 'telemetry'], siblings: true },
  { rooms: ['realms', 'policy', 'sessions', 'factors', 'delivery', 'logos', 'audit'], siblings: true },
  { rooms: ['store'], siblings: true },
  { rooms: ['crypto', 'errors', 'config', 'languages'], siblings: true },
];

/** Words that every room shares: types and zod schemas without behaviour, which even the store reads rows by. */
const SHARED_WORDS = [
  'src/policy/assurance.ts',
  'src/policy/document.ts',
  'src/policy/gate-document.ts',
  'src/realms/settings.ts',
  'src/realms/algorithms.ts',
  'src/realms/custom-factor-settings.ts',
  'src/realms/delivery-settings.ts',
  'src/realms/keycloak-settings.ts',
];

/** Packages that only some places may import, by name or by prefix. */
const KEPT_IN: { packages: RegExp; places: RegExp; why: string }[] = [
  { packages: /^oidc-provider$/, places: /^src\/oidc\//, why: 'only src/oidc imports oidc-provider' },
  {
    packages: /^(knex(\/.*)?|pg|node:sqlite)$/,
    places: /^(src\/store|migrations)\//,
    why: 'only src/store and the migrations import knex and the engines',
  },
  { packages: /^(koa-views|nunjucks)$/, places: /^src\/http\/render\.ts$/, why: 'only http/render.ts renders views' },
  {
    packages: /^(koa|@koa\/.*|koa-.*)$/,
    places: /^src\/(main|app|oidc|login|account|admin|gate|http|telemetry|cli)\b/,
    why: 'rooms below the second row know no Koa',
  },
  { packages: /^(otplib|qrcode)$/, places: /^src\/factors\//, why: 'one-time codes and their QR codes are the business of factors' },
  {
    packages: /^(csv-parse(\/.*)?|fast-xml-parser)$/,
    places: /^src\/(factors\/hotp\/import\/|cli\/csv-records\.ts$)/,
    why: 'files of hardware tokens are read in one place, and those of users in another',
  },
  {
    packages: /^sharp$/,
    places: /^src\/(factors\/totp\/logo|logos\/decoder)\.ts$/,
    why: 'pictures of administrators are read in one place, and those of strangers in a process apart',
  },
  { packages: /^@simplewebauthn\//, places: /^src\/factors\/webauthn\//, why: 'only src/factors/webauthn reads what authenticators say' },
  { packages: /^@node-rs\/argon2$/, places: /^src\/crypto\//, why: 'only src/crypto hashes passwords' },
  { packages: /^i18next$/, places: /^src\/languages\//, why: 'only src/languages puts things into words' },
  { packages: /^undici$/, places: /^src\/http\/guarded-client\.ts$/, why: 'what the server fetches goes through the guarded client' },
  { packages: /^ipaddr\.js$/, places: /^src\/(http\/outbound-rules|sessions\/addresses)\.ts$/, why: 'addresses are judged in two places' },
  { packages: /^prom-client$/, places: /^src\/telemetry\//, why: 'only src/telemetry measures' },
  { packages: /^nodemailer$/, places: /^src\/delivery\/smtp\.ts$/, why: 'only src/delivery sends mail' },
  { packages: /^twilio$/, places: /^src\/delivery\/twilio\.ts$/, why: 'only src/delivery sends text messages' },
  { packages: /^libphonenumber-js(\/.*)?$/, places: /^src\/factors\/sms-otp\/numbers\.ts$/, why: 'telephone numbers are read in one place' },
  {
    packages: /^(ava|fast-check|jsqr|playwright-core|axe-core|openid-client)$/,
    places: /^src\/(http|cli)\//,
    why: 'what tests and relying parties use has no place here',
  },
];

/** Files that depend on nothing but their arguments: no I/O, no clock, no chance, nothing to wait for. */
const PURE = /^src\/(login\/(state|walk|(recovery\/)?machine)|sessions\/attempts|policy\/[^/]+)\.ts$/;
const PURE_IMPORTS = /^(src\/policy\/|src\/login\/(state|walk)\.ts$|src\/errors\.ts$)/;
const IMPURE: [RegExp, string][] = [
  [/\bDate\.now\b|\bnew Date\b|\bperformance\b/, 'the clock'],
  [/\bMath\.random\b|\brandomUUID\b|\bcrypto\./, 'chance'],
  [/\bprocess\b|\bglobalThis\b|\bconsole\b|\bfetch\(|\bset(Timeout|Interval|Immediate)\b/, 'the outside world'],
  [/\basync\b|\bawait\b|\bPromise\b/, 'something to wait for'],
];

/** The rooms' way of not knowing: a factor is handed what it needs. */
const FACTOR = /^src\/factors\/(factor\.ts$|[^/]+\/)/;
const IO = /^node:(http|https|http2|net|tls|dgram|dns|fs|child_process|sqlite)\b/;
const FACTOR_IMPORTS = /^(src\/(factors|policy|crypto)\/|src\/realms\/(custom-factor-)?settings\.ts$|src\/errors\.ts$)/;

/** Loads what the installation names; nothing else that is run has a name that was computed. */
const LOADS_MODULES = 'src/factors/custom/modules.ts';

const COMPUTED_IMPORT: [RegExp, string] = [/\bimport\s*\(\s*[^\s'")]/, 'imports something whose name is computed'];

/** Whoever administers: their rows of the audit are chained. */
const ADMINISTRATORS = /^src\/admin\/(?!resources\/context\.ts$)/;

/** What no file of src/ may hold, whatever room it is in. */
const NOWHERE: [RegExp, string][] = [[/\bas\s+(any|unknown\s+as|never)\b|:\s*any\b|<any\b/, 'hides a doubt behind a cast']];
/** The same, comments included. */
const NOT_EVEN_SAID: [RegExp, string][] = [
  [/@ts-(ignore|expect-error|nocheck)/, 'silences the type checker'],
  [/\b(TODO|FIXME|XXX|HACK)\b/, 'leaves something for later'],
];
const READS_ENVIRONMENT = /\bprocess\s*\.\s*env\b|\bprocess\s*\[|\{[^}]*\benv\b[^}]*\}\s*=\s*process\b/;

/**
 * What a file does that it may not do, one sentence each; empty when it is in order.
 *
 * @param file its path from the root, such as `src/login/machine.ts`
 */
export function violations(file: string, text: string): string[] {
  const code = withoutComments(text);
  const imports = importsOf(text).flatMap((specifier) =>
    specifier.startsWith('.')
      ? relativeViolations(file, posix.normalize(posix.join(posix.dirname(file), specifier)))
      : packageViolations(file, specifier),
  );
  const said = (rules: [RegExp, string][], where: string): string[] =>
    rules.filter(([pattern]) => pattern.test(where)).map(([, sentence]) => sentence);
  const environment: [RegExp, string][] = file === 'src/config.ts' ? [] : [[READS_ENVIRONMENT, 'reads process.env, but config.ts alone does']];
  const computed = file === LOADS_MODULES ? [] : said([COMPUTED_IMPORT], code);
  const impure = PURE.test(file) ? said(IMPURE, code).map((what) => `is pure and yet uses ${what}`) : [];
  return [...imports, ...said(environment, code), ...impure, ...computed, ...said(NOWHERE, code), ...said(NOT_EVEN_SAID, text)].map(
    (sentence) => `${file}: ${sentence}`,
  );
}

function packageViolations(file: string, specifier: string): string[] {
  const found = KEPT_IN.filter((kept) => kept.packages.test(specifier) && !kept.places.test(file)).map(
    (kept) => `imports ${specifier}, but ${kept.why}`,
  );
  if (PURE.test(file) && specifier !== 'zod') found.push(`imports ${specifier}, but it is pure`);
  if (FACTOR.test(file) && IO.test(specifier)) found.push(`imports ${specifier}, but a factor does no I/O of its own`);
  return found;
}

function relativeViolations(file: string, target: string): string[] {
  if (!target.startsWith('src/')) return isOurs(file, target) ? [] : [`imports ${target}, which is not part of the product`];
  const found: string[] = [];
  if (PURE.test(file) && !PURE_IMPORTS.test(target)) found.push(`imports ${target}, but it is pure`);
  if (FACTOR.test(file) && !FACTOR_IMPORTS.test(target)) found.push(`imports ${target}, but a factor is handed what it needs`);
  if (ADMINISTRATORS.test(file) && target === 'src/audit/record.ts')
    found.push(`imports ${target}, but what administrators do hangs together in a chain: it is recorded by resources/context.ts`);
  if (SHARED_WORDS.includes(file)) {
    if (!SHARED_WORDS.includes(target)) found.push(`imports ${target}, but shared words stand by themselves`);
    return found;
  }
  if (SHARED_WORDS.includes(target)) return found;

  const [from, to] = [roomOf(file), roomOf(target)];
  const [above, below] = [rowOf(from), rowOf(to)];
  if (above === -1) found.push(`there is no room ${from}: name it in the table of rows`);
  else if (below === -1) found.push(`imports ${target}, but there is no room ${to}`);
  else if (from !== to && above > below) found.push(`imports ${target}, but imports point down`);
  else if (from !== to && above === below && ROWS[above]?.siblings === false)
    found.push(`imports ${target}, but rooms of the second row meet in app.ts`);
  return found;
}

/** What stands outside of src/ and yet belongs to one of its files. */
function isOurs(file: string, target: string): boolean {
  if (target.startsWith('migrations/')) return file.startsWith('src/store/');
  if (/^locales\/[a-z]{2}\//.test(target)) return file === 'src/languages/messages.ts';
  // What `npm start` shows a newcomer runs beside the server, as a relying party like any other.
  return target.startsWith('examples/demo-app/') && file === 'src/cli/serve.ts';
}

/** The modules that a file names in import and export statements and in `import('…')`. */
export function importsOf(text: string): string[] {
  const statements = text.matchAll(/^(?:import|export)\b(?:[^'";]*?\bfrom)?\s*['"]([^'"]+)['"]/gm);
  const calls = withoutComments(text).matchAll(/\b(?:import|require)\s*\(\s*['"]([^'"]+)['"]/g);
  return [...statements, ...calls].map((match) => match[1] ?? '');
}

/** Which rooms know which, for the test that finds circles. */
export function roomsKnown(file: string, text: string): [from: string, to: string][] {
  return importsOf(text)
    .filter((specifier) => specifier.startsWith('.'))
    .map((specifier) => posix.normalize(posix.join(posix.dirname(file), specifier)))
    .filter((target) => target.startsWith('src/') && !SHARED_WORDS.includes(target) && roomOf(target) !== roomOf(file))
    .map((target) => [roomOf(file), roomOf(target)]);
}

/** A room is a folder of src/, or a file that stands there by itself. */
function roomOf(file: string): string {
  return (file.split('/')[1] ?? '').replace(/\.ts$/, '');
}

function rowOf(room: string): number {
  return ROWS.findIndex((row) => row.rooms.includes(room));
}

/** Whole-line comments and comments after code; a `//` inside a string stays, as in a URL. */
function withoutComments(text: string): string {
  return text.replace(/\/\*[\s\S]*?\*\//g, ' ').replace(/(^|[\s;,{}()])\/\/[^\n]*/g, '$1');
}
