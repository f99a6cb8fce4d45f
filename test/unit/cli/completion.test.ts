/** Shell completion: the scripts are written from the commands, and bash does what is expected of it. */
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import test from 'ava';
import { runHere, settingsFor } from '../../support/command.ts';
import { temporaryFolder } from '../../support/databases.ts';

const env = settingsFor({ dataDir: `${temporaryFolder()}/data` });
const script = async (shell: string): Promise<string> => (await runHere(['completion', shell], env)).stdout;

/** What bash offers behind these words. */
async function offered(text: string, words: string[]): Promise<string[]> {
  const line = `${text}\nCOMP_WORDS=(${['cardea', ...words].map((word) => `'${word}'`).join(' ')}); COMP_CWORD=${words.length}; _cardea; printf '%s\\n' "\${COMPREPLY[@]}"`;
  const { stdout } = await promisify(execFile)('bash', ['-c', line]);
  return stdout.split('\n').filter((word) => word !== '');
}

test('bash completes commands, options and choices, and leaves files alone', async (t) => {
  const text = await script('bash');
  const first = await offered(text, ['']);
  t.true(['realm', 'user', 'session', 'completion', '--help'].every((word) => first.includes(word)));
  t.deepEqual(await offered(text, ['us']), ['user']);
  t.deepEqual(await offered(text, ['user', 'imp']), ['import']);
  t.deepEqual(await offered(text, ['user', 'import', '--dry']), ['--dry-run']);
  t.deepEqual(await offered(text, ['user', 'list', '--realm', 'staff', '--ena']), ['--enabled']);
  t.deepEqual(await offered(text, ['realm', 'create', 'a', '--mfa', 'o']), ['off', 'optional']);
  t.deepEqual(await offered(text, ['completion', 'z']), ['zsh']);
  t.deepEqual(await offered(text, ['user', 'list', '--realm', '']), [], 'a realm is not known to the script');
  t.deepEqual(await offered(text, ['user', 'import', 'peop']), [], 'a file: bash goes on by itself');
});

test('zsh and fish get every command with what it is', async (t) => {
  const zsh = await script('zsh');
  t.regex(zsh, /^#compdef cardea\n/);
  t.regex(zsh, /'user'\) found=\('create:make a user; .*'list:list the users/);
  t.regex(zsh, /'realm create --mfa'\) compadd -- 'off' 'optional' 'required'/);
  const fish = await script('fish');
  t.regex(fish, /complete -c cardea -n '__cardea_at \\'user\\'' -f -a import -d 'make users from a CSV or JSON file/);
  t.regex(fish, /complete -c cardea -n '__cardea_at \\'realm create\\'' -l mfa -x -a 'off optional required'/);
  const { status, stderr } = await runHere(['completion', 'tcsh'], env);
  t.is(status, 2);
  t.regex(stderr, /bash, zsh, fish/);
});
