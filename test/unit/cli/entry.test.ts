/** The command's entry: on whatever Node it is started, what runs is the Node that the sources need. */
import { execFile, execFileSync } from 'node:child_process';
import { accessSync, constants } from 'node:fs';
import { delimiter, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import test from 'ava';
import { settingsFor } from '../../support/command.ts';
import { temporaryFolder } from '../../support/databases.ts';

const ENTRY = fileURLToPath(new URL('../../../bin/cardea.js', import.meta.url));

/** A Node of the machine that does not run TypeScript and can run the entry. */
function olderNode(): string | undefined {
  return (process.env.PATH ?? '')
    .split(delimiter)
    .map((folder) => join(folder, 'node'))
    .find((path) => {
      try {
        const [major = 0, minor = 0] = execFileSync(path, ['-p', 'process.versions.node'], { encoding: 'utf8' }).split('.').map(Number);
        return major < 24 && (major > 20 || (major === 20 && minor >= 19));
      } catch {
        return false;
      }
    });
}

function run(node: string, args: string[]): Promise<{ status: number | string | null | undefined; stdout: string; stderr: string }> {
  const env = { PATH: process.env.PATH, ...settingsFor({ dataDir: join(temporaryFolder(), 'data') }) };
  return new Promise((resolve) => {
    execFile(node, [ENTRY, ...args], { env }, (error, stdout, stderr) => resolve({ status: error ? error.code : 0, stdout, stderr }));
  });
}

test('the entry may be executed', (t) => {
  t.notThrows(() => accessSync(ENTRY, constants.X_OK));
});

const older = olderNode();
const nodes: [title: string, node: string | undefined][] = [
  ['the project’s Node', process.execPath],
  ['an older Node', older],
];
for (const [title, node] of nodes) {
  if (node === undefined)
    test.skip(`${title}: arguments, output and exit code are passed on (needs a Node from 20.19 to 23 in PATH)`, () => undefined);
  else
    test(`${title}: arguments, output and exit code are passed on`, async (t) => {
      const done = await run(node, ['realm', 'create', 'entry', '--display-name', 'Two words', '--json']);
      t.is(done.status, 0, done.stderr);
      t.is(JSON.parse(done.stdout).displayName, 'Two words');
      const refused = await run(node, ['realm', 'create', 'No Name']);
      t.is(refused.status, 1);
      t.regex(refused.stderr, /^cardea: name: /m);
      t.is((await run(node, ['nope'])).status, 2);
    });
}
