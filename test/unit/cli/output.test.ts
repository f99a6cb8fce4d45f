/** Lists: one JSON array however long, and columns that line up. */
import { PassThrough } from 'node:stream';
import test from 'ava';
import { Output } from '../../../src/cli/output.ts';
import { loadConfig } from '../../../src/config.ts';

function outputInto(): { output: Output; text: () => string } {
  const [stdin, stdout, stderr] = [new PassThrough(), new PassThrough(), new PassThrough()];
  let text = '';
  stdout.on('data', (chunk) => {
    text += chunk;
  });
  return { output: new Output({ stdin, stdout, stderr, settings: () => loadConfig({}) }), text: () => text };
}

const shape = {
  document: (row: string) => ({ row }),
  columns: [
    { title: 'ROW', value: (row: string) => row },
    { title: 'LENGTH', value: (row: string) => String(row.length) },
  ],
  none: 'There is nothing.',
};

test('a list is one JSON array, empty or long', async (t) => {
  for (const count of [0, 1, 2, 5000]) {
    const { output, text } = outputInto();
    await output.list(
      true,
      Array.from({ length: count }, (_, index) => `row ${index}`),
      shape,
    );
    t.is(JSON.parse(text()).length, count);
  }
});

test('columns line up, and a long list comes in parts that lose nothing', async (t) => {
  const { output, text } = outputInto();
  await output.list(false, ['a', 'bcdef'], shape);
  t.is(text(), 'ROW    LENGTH\na      1\nbcdef  5\n');
  const long = outputInto();
  await long.output.list(
    false,
    Array.from({ length: 450 }, (_, index) => `row${index}`),
    shape,
  );
  t.is(long.text().trimEnd().split('\n').length, 451);
});

test('an empty list says so', async (t) => {
  const { output, text } = outputInto();
  await output.list(false, [], shape);
  t.is(text(), 'There is nothing.\n');
});

test('characters that a terminal acts on are shown as escapes', async (t) => {
  const { output, text } = outputInto();
  await output.list(false, ['a\u001b[2Jb\u202ec'], shape);
  t.true(text().includes('a\\u001b[2Jb\\u202ec'));
});
