/** What the documentation says is what the product does, as far as that can be read off: settings, commands, files. */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { PassThrough, Writable } from 'node:stream';
import { fileURLToPath } from 'node:url';
import test from 'ava';
import { runCommand } from '../../src/cli/cli.ts';
import { loadConfig } from '../../src/config.ts';

const root = fileURLToPath(new URL('../..', import.meta.url));
const read = (file: string): string => readFileSync(join(root, file), 'utf8');
const DOCUMENTS = [
  'README.md',
  'CHANGELOG.md',
  'docs/administration.md',
  'docs/clients.md',
  'docs/custom-factors.md',
  'docs/delivery.md',
  'docs/factors.md',
  'docs/operations.md',
  'docs/performance.md',
  'docs/recovery.md',
];
const readme = read('README.md');

/** The rows of the table of settings: variable and default. */
const settings = new Map(
  [...readme.matchAll(/^\| `([A-Z][A-Z0-9_]*)` \| (?:`([^`]*)`|(none)) \|/gm)].map(([, name = '', value]) => [name, value] as const),
);

/** Every variable that is read when nothing is set. */
function variablesRead(): Set<string> {
  const names = new Set<string>();
  const env = new Proxy<NodeJS.ProcessEnv>(
    {},
    {
      get: (_, name) => {
        names.add(String(name));
        return undefined;
      },
    },
  );
  loadConfig(env);
  return names;
}

test('the table of settings has every variable that is read, and no other', (t) => {
  t.deepEqual([...settings.keys()].sort(), [...variablesRead()].sort());
});

test('the defaults are those that apply', (t) => {
  const { port, host, origin, dataDir, demo, demoPort, trustProxy, logLevel, passwordHash, ...rest } = loadConfig({});
  t.deepEqual(Object.fromEntries([...settings].filter(([, value]) => value !== undefined)), {
    PORT: String(port),
    HOST: host,
    CARDEA_ORIGIN: origin.replace(String(port), 'PORT'),
    CARDEA_DATA_DIR: relative(process.cwd(), dataDir),
    CARDEA_DEMO: demo ? 'on' : 'off',
    CARDEA_DEMO_PORT: `PORT + ${demoPort - port}`,
    CARDEA_TRUST_PROXY: String(trustProxy),
    LOG_LEVEL: logLevel,
    CARDEA_ARGON2_MEMORY_KIB: String(passwordHash.memoryKiB),
    CARDEA_ARGON2_PASSES: String(passwordHash.passes),
  });
  t.deepEqual(rest, {
    databaseUrl: undefined,
    masterKeys: undefined,
    production: false,
    bootstrap: { admin: undefined, client: undefined },
    outboundAllow: [],
    factorModules: [],
    clientCertificates: undefined,
    mail: null,
    sms: null,
    metrics: { port: undefined, token: undefined },
  });
});

test('settings that other documents name exist', (t) => {
  const known = new Set([...settings.keys(), 'CARDEA_BOOTSTRAP_ADMIN_']);
  for (const file of DOCUMENTS) {
    for (const [name] of read(file).matchAll(/\bCARDEA_[A-Z0-9_]+/g)) t.true(known.has(name), `${name} in ${file}`);
  }
});

/** What `cardea …` prints. */
async function helpOf(command: string[]): Promise<string> {
  let text = '';
  const stdout = new Writable({
    write: (chunk, _encoding, done) => {
      text += String(chunk);
      done();
    },
  });
  await runCommand([...command, '--help'], { stdin: new PassThrough(), stdout, stderr: new PassThrough(), settings: () => loadConfig({}) });
  return text;
}

/** The help of the longest command that a line begins with, and of how many words it is. */
async function longestHelp(words: string[]): Promise<[length: number, help: string]> {
  for (const length of [3, 2]) {
    const help = await helpOf(words.slice(0, length));
    if (help.startsWith(`Usage: cardea ${words.slice(0, length).join(' ')} `)) return [length, help];
  }
  return [1, await helpOf(words.slice(0, 1))];
}

test('every command of the documents exists, with its options', async (t) => {
  const commands = DOCUMENTS.flatMap((file) =>
    [
      ...read(file)
        .replaceAll(/\\\n\s*/g, '')
        .matchAll(/(?:npx|exec cardea) cardea ([a-z][^\n`<#]*)/g),
    ].map(([, line = '']) => ({ file, line })),
  );
  t.true(commands.length > 15);
  for (const { file, line } of commands) {
    const words = line.split(/[\s.,;:]+/).filter((word) => word !== '');
    const [length = 2, help = ''] = await longestHelp(words);
    const command = words.slice(0, length);
    t.true(help.startsWith(`Usage: cardea ${command.join(' ')} `), `${line} in ${file}`);
    for (const [option] of line.matchAll(/--[a-z-]+/g))
      t.true(help.includes(`${option} `) || help.includes(`${option}\n`), `${option} of ${line} in ${file}`);
  }
});

test('every script and every file of the documents exists', (t) => {
  const { scripts }: { scripts: Record<string, string> } = JSON.parse(read('package.json'));
  for (const file of DOCUMENTS) {
    const text = read(file);
    for (const [, name = ''] of text.matchAll(/npm (?:run )?((?:run|start|test|bench|types|lint|cardea)[a-z:]*)\b/g)) {
      t.true(name in scripts, `npm run ${name} in ${file}`);
    }
    for (const [, link = ''] of text.matchAll(/\]\((?!https?:)([^)\s]+)\)/g)) {
      const [path = '', anchor] = link.split('#');
      const target = path === '' ? file : join(dirname(file), path);
      t.true(existsSync(join(root, target)), `${link} in ${file}`);
      if (anchor !== undefined) t.true(anchorsOf(read(target)).includes(anchor), `${link} in ${file}`);
    }
  }
});

test('every room under src is in the README', (t) => {
  const drawn = /```\nsrc\/main\.ts[\s\S]*?```/.exec(readme)?.[0] ?? '';
  const rooms = readdirSync(join(root, 'src'), { withFileTypes: true }).flatMap((entry) =>
    entry.isDirectory() && entry.name !== 'cli' ? [entry.name] : [],
  );
  t.true(rooms.length > 10);
  for (const room of rooms) t.true(drawn.includes(`src/${room}/`), room);
  for (const [path] of drawn.matchAll(/\b(?:src\/\w+|migrations|views)\/?/g))
    t.true(existsSync(join(root, path)) || existsSync(join(root, `${path}.ts`)), path);
});

/** The anchors that GitHub gives to headings. */
const anchorsOf = (markdown: string): string[] =>
  [...markdown.matchAll(/^#+ (.+)$/gm)].map(([, heading = '']) =>
    heading
      .toLowerCase()
      .replaceAll(/[^\p{L}\p{N}\s_-]/gu, '')
      .replaceAll(' ', '-'),
  );
