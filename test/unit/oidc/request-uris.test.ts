/** How often request objects are fetched, by a clock that the test turns. */
import { createHash } from 'node:crypto';
import test from 'ava';
import { UnsecuredJWT } from 'jose';
import { RequestObjects } from '../../../src/oidc/clients/request-uris.ts';

const AT = 'https://app.example/requests/';
const wiki = { id: 'wiki-row', clientId: 'wiki', attributes: { 'request.uris': `${AT}*` } };
const digest = (text: string): string => createHash('sha256').update(text).digest('base64url');

function stage() {
  let now = 1_800_000_000_000;
  const asked: string[] = [];
  const files = new Map<string, string>();
  const warned: object[] = [];
  const objects = new RequestObjects({
    now: () => now,
    context: { realm: { name: 'staff' } },
    log: { warn: (details) => void warned.push(details) },
    async fetchGuarded(address) {
      asked.push(address);
      return { status: 200, headers: { 'content-type': 'application/jwt' }, body: Buffer.from(files.get(address) ?? 'no JWT') };
    },
  });
  const retry: string[] = [];
  const visit = async (uri: string, ip = '192.0.2.1', row = wiki): Promise<string> => {
    try {
      return await objects.at(uri, row, { ip, set: (_field, value) => void retry.push(value) });
    } catch (error) {
      return error instanceof Error ? error.message : 'nothing';
    }
  };
  return { asked, files, warned, retry, visit, pass: (ms: number) => (now += ms) };
}

const object = (claims: object = {}): string => new UnsecuredJWT({ ...claims }).encode();

test('E09 what is at an address is believed for ten seconds, and so is that there is nothing', async (t) => {
  const { asked, files, warned, visit, pass } = stage();
  files.set(`${AT}a`, object());
  const answers = await Promise.all(Array.from({ length: 50 }, () => visit(`${AT}a`)));
  t.deepEqual(new Set(answers), new Set([object()]));
  for (let times = 0; times < 5; times += 1) t.is(await visit(`${AT}b`), 'invalid_request_uri');
  pass(9_999);
  await visit(`${AT}a`);
  await visit(`${AT}b`);
  t.deepEqual(asked, [`${AT}a`, `${AT}b`]);
  t.is(warned.length, 1);
  pass(1);
  await visit(`${AT}a`);
  t.is(asked.length, 3);
  await visit(`${AT}a`, '192.0.2.1', { ...wiki, id: 'another-row' });
  t.is(asked.length, 4, 'each client for itself');
});

test('one that is good once is asked for each time, and a digest that fits nothing is refused', async (t) => {
  const { asked, files, visit } = stage();
  const once = object({ jti: 'once' });
  files.set(`${AT}once`, once);
  for (let times = 0; times < 3; times += 1) t.is(await visit(`${AT}once`), once);
  t.is(asked.length, 3);
  t.is(await visit(`${AT}once#${digest(once)}`), once);
  t.is(await visit(`${AT}once#${digest('another')}`), 'invalid_request_uri');
  t.is(await visit(`${AT}once#nonsense`), 'invalid_request_uri');
  t.is(await visit('https://app.example/elsewhere'), 'invalid_request_uri');
  t.is(asked.length, 5);
  t.true(
    asked.every((address) => address === `${AT}once`),
    'the digest is not sent',
  );
});

test('E09 thirty times a minute for one visitor, three hundred for all, counted before anything is asked', async (t) => {
  const { asked, retry, visit, pass } = stage();
  const many = await Promise.all(Array.from({ length: 60 }, (_, index) => visit(`${AT}${index}#${digest(String(index))}`)));
  t.is(asked.length, 30);
  t.is(many.filter((said) => said === 'temporarily_unavailable').length, 30);
  t.deepEqual(new Set(retry), new Set(['60']));
  t.is(await visit(`${AT}1#${digest('1')}`), 'invalid_request_uri', 'what is known is not asked for');
  t.is(await visit(`${AT}61`, '192.0.2.2'), 'invalid_request_uri', 'and others go on');
  await Promise.all(Array.from({ length: 400 }, (_, index) => visit(`${AT}x${index}`, `198.51.100.${index}`)));
  t.is(asked.length, 300);
  pass(60_000);
  await visit(`${AT}y`);
  t.is(asked.length, 301);
});
