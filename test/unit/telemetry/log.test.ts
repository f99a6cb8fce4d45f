import { Buffer } from 'node:buffer';
import { IncomingMessage } from 'node:http';
import { type AddressInfo, Socket } from 'node:net';
import test, { type ExecutionContext } from 'ava';
import Koa from 'koa';
import { badInput, corrupted } from '../../../src/errors.ts';
import { createLog, currentRequestId, requestLog } from '../../../src/telemetry/log.ts';
import { pathShown, redact, scrub } from '../../../src/telemetry/redact.ts';
import fc from '../../support/property.ts';
import { until } from '../../support/until.ts';

const SECRET = 'hunter22hunter22';

function capture(production = true, level = 'debug') {
  const lines: string[] = [];
  return { lines, log: createLog({ level, production, write: (line) => lines.push(line) }) };
}

/** Every line is one line, and in production it is JSON. */
function parsed(t: ExecutionContext, line: string | undefined): Record<string, unknown> {
  t.regex(line ?? '', /^[^\n]*\n$/);
  return JSON.parse(line ?? '');
}

test('a line is JSON with time, level, message and what was given', (t) => {
  const { lines, log } = capture();
  log.info({ realm: 'demo', count: 2 }, 'realm created');
  const { time, ...rest } = parsed(t, lines[0]);
  t.deepEqual(rest, { level: 'info', realm: 'demo', count: 2, msg: 'realm created' });
  t.regex(String(time), /^\d{4}-\d\d-\d\dT/);
});

test('the level is respected', (t) => {
  const { lines, log } = capture(true, 'warn');
  log.info('no');
  log.warn('yes');
  t.is(lines.length, 1);
});

test('values under telling names are struck out at any depth', (t) => {
  const { lines, log } = capture();
  const names = [
    'authorization',
    'Authorization',
    'proxy-authorization',
    'cookie',
    'cookies',
    'set-cookie',
    'password',
    'newPassword',
    'code',
    'client_secret',
    'clientSecret',
    'secret',
    'token',
    'access_token',
    'refreshToken',
    'id_token',
    'id_token_hint',
    'client_assertion',
    'code_verifier',
    'otp',
    'totp',
    'seed',
    'privateJwk',
    'DATABASE_URL',
    'masterKeys',
  ];
  for (const name of names) {
    log.info({ [name]: SECRET, a: { b: [{ [name]: [SECRET] }] } }, 'x');
    const line = parsed(t, lines.at(-1));
    t.is(line[name], '[redacted]', name);
    t.false(lines.at(-1)?.includes(SECRET), name);
  }
});

test('harmless neighbours stay', (t) => {
  const value = {
    statusCode: 200,
    errorCode: 'x',
    client_id: 'app',
    tokenType: 'Bearer',
    username: 'alice',
    grant_type: 'code',
    keyId: 'k1',
    passwordHash: undefined,
    token: null,
  };
  t.deepEqual(redact(value), value);
});

test('credentials inside texts are struck out: URLs, headers, tokens, connection strings', (t) => {
  const texts = [
    `GET /cb?code=${SECRET}&state=1`,
    `?id_token_hint=${SECRET}`,
    `otpauth://totp/x?secret=${SECRET}&issuer=y`,
    `Authorization: Bearer ${SECRET}`,
    `authorization: basic ${SECRET}`,
    `dpop ${SECRET}`,
    `token eyJhbGciOiJSUzI1NiJ9.${SECRET}.${SECRET} is bad`,
    `eyJhbGciOiJSUzI1NiJ9.${SECRET}.${SECRET}.${SECRET}.${SECRET}`,
    `postgresql://cardea:${SECRET}@db/x refused`,
    `client_secret=${SECRET}`,
  ];
  const { lines, log } = capture();
  for (const text of texts) {
    t.false(scrub(text).includes(SECRET), text);
    log.info({ text }, text);
    log.info(text);
    log.info('%s and %o', text, { text, password: SECRET });
    log.error(new Error(text));
    log.error({ err: new Error('outside', { cause: new AggregateError([new Error(text)], text) }) }, 'failed');
    log.child({ text, cookie: SECRET }).info('x');
  }
  t.false(lines.join('').includes(SECRET));
  t.is(scrub('code: bad_input, the tokens are 3, secretly'), 'code: bad_input, the tokens are 3, secretly');
});

test('an error keeps what explains it, and nothing that hangs on it', (t) => {
  const { lines, log } = capture();
  log.error({ err: corrupted('does not open', new Error('bad tag')) }, 'failed');
  t.like(parsed(t, lines[0]), {
    err: { type: 'AppError', code: 'corrupted', status: 500, message: 'does not open', cause: { type: 'Error', message: 'bad tag' } },
  });

  log.error(Object.assign(new Error('duplicate key'), { code: '23505', detail: SECRET, parameters: [SECRET], response: { body: SECRET } }));
  t.like(parsed(t, lines[1]), { msg: 'duplicate key', err: { code: '23505' } });
  t.false(lines[1]?.includes(SECRET));

  log.error(badInput('email', 'is not an address'), 'refused');
  t.like(parsed(t, lines[2]), { msg: 'refused', err: { code: 'bad_input', message: 'is not an address' } });
});

test('whole requests, buffers and other machinery are named, not written out', (t) => {
  const request = new IncomingMessage(new Socket());
  Object.assign(request, { method: 'GET', url: `/realms/x/cb?code=${SECRET}`, headers: { cookie: SECRET } });
  t.deepEqual(redact({ req: request, bytes: Buffer.from(SECRET), map: new Map([[SECRET, SECRET]]), big: 1n, call: () => SECRET }), {
    req: { method: 'GET', path: '/realms/x/cb' },
    bytes: '[Buffer]',
    map: '[Map]',
    big: '1',
    call: '[function]',
  });
});

test('circles, depth, breadth and length are bounded', (t) => {
  const circle: Record<string, unknown> = {};
  circle.self = circle;
  const { lines, log } = capture();
  log.info({ circle, wide: Array.from({ length: 10_000 }, () => 'x'), long: 'x'.repeat(1_000_000) }, 'x'.repeat(1_000_000));
  t.true((lines[0]?.length ?? 0) < 12_000);
  t.regex(lines[0] ?? '', /\[deep\]/);
});

test('D04 nothing in a value or a message begins a line, colours a terminal or turns the direction', (t) => {
  const evil = 'a\r\nlevel=fatal\u001b[31mred\u009b31m\u202ereversed\u2028next\u0085\u0000\u007f\u200bzero\u{e0041}tag\ufeff';
  for (const production of [true, false]) {
    const { lines, log } = capture(production);
    log.info({ name: evil, [evil]: 1 }, evil);
    log.error(new Error(evil));
    log.child({ evil }).warn('%s', evil);
    t.is(lines.length, 3);
    for (const line of lines) {
      t.is(line.indexOf('\n'), line.length - 1);
      t.notRegex(line.slice(0, -1), /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/u);
    }
    if (production) t.like(parsed(t, lines[0]), { name: evil, msg: evil });
  }
});

test('D04 whatever is logged is one line that says it again', (t) => {
  const { lines, log } = capture();
  fc.assert(
    fc.property(fc.string({ unit: 'binary', maxLength: 200 }), (name) => {
      lines.length = 0;
      log.info({ x: { name } }, 'm');
      const [line = ''] = lines;
      const said: { x: { name: string } } = JSON.parse(line);
      return lines.length === 1 && line.indexOf('\n') === line.length - 1 && !/[\p{Cc}\p{Cf}]/u.test(line.trimEnd()) && said.x.name === scrub(name);
    }),
  );
  t.pass();
});

test('in development a line is for reading', (t) => {
  const { lines, log } = capture(false);
  log.info({ realm: 'demo', said: 'two words' }, 'realm created');
  t.regex(lines[0] ?? '', /^\d\d:\d\d:\d\d INFO {2}realm created realm=demo said="two words"\n$/);
  log.error(new Error('broken'), 'failed');
  t.regex(lines[1] ?? '', /^\d\d:\d\d:\d\d ERROR failed \| Error: broken \| at .*\n$/);
});

test('a path is logged without query and without what is secret in it', (t) => {
  t.is(pathShown('/realms/demo/login/V1StGXR8_Z5jdHi6B-myT78QsKqL/factor?code=1#x'), '/realms/demo/login/…/factor');
  t.is(pathShown('/realms/demo/login/V1StGXR8_Z5jdHi6B-myT'), '/realms/demo/login/…');
  t.is(pathShown('/admin/realms/x/users/7d6b4f2e-93a1-4b7e-8c55-0a4b9a3f2d11'), '/admin/realms/x/users/7d6b4f2e-93a1-4b7e-8c55-0a4b9a3f2d11');
  t.is(pathShown('/realms/demo/protocol/openid-connect/token'), '/realms/demo/protocol/openid-connect/token');
  for (const [path, shown] of [
    ['/login/V1StGXR8_Z5jdHi6B-myT78.', '/login/….'],
    ['/login/V1StGXR8_Z5jdHi6B-myT78;a=b', '/login/…;a=b'],
    ['/login/.V1StGXR8_Z5jdHi6B-myT78', '/login/.…'],
    ['/login/V1StGXR8%5FZ5jdHi6B%2DmyT7%38', '/login/…'],
    ['/login/%56%31StGXR8_Z5jdHi6B-myT78%0d%0a', '/login/…%0d%0a'],
    ['http://localhost/login/V1StGXR8_Z5jdHi6B-myT78', 'http://localhost/login/…'],
  ] as const)
    t.is(pathShown(path), shown, 'whatever is put around it');
});

async function serve(t: ExecutionContext, answer: Koa.Middleware) {
  const { lines, log } = capture();
  const app = new Koa();
  app.use(requestLog(log));
  app.use(answer);
  app.silent = true;
  const server = app.listen(0, '127.0.0.1');
  await new Promise((resolve) => server.once('listening', resolve));
  t.teardown(() => server.close());
  const address = server.address() as AddressInfo;
  return { lines, log, url: `http://127.0.0.1:${address.port}` };
}

test('a request is one line, and every line of its work carries its id', async (t) => {
  const { lines, log, url } = await serve(t, async (ctx) => {
    await new Promise((resolve) => setImmediate(resolve));
    log.debug('at work');
    ctx.body = currentRequestId();
  });
  const answer = await fetch(`${url}/realms/demo?code=${SECRET}`, { headers: { cookie: SECRET } });
  const id = answer.headers.get('x-request-id') ?? '';
  t.is(await answer.text(), id);
  t.true(await until(() => lines.length > 1));
  t.like(parsed(t, lines[0]), { msg: 'at work', requestId: id });
  t.like(parsed(t, lines[1]), { msg: 'request', requestId: id, method: 'GET', path: '/realms/demo', status: 200 });
  t.false(lines.join('').includes(SECRET));
  t.is(currentRequestId(), undefined);
});

test('a request that fails is logged with the status that went out', async (t) => {
  const { lines, url } = await serve(t, (ctx) => ctx.throw(503));
  t.is((await fetch(url)).status, 503);
  t.true(await until(() => lines.length > 0));
  t.like(parsed(t, lines[0]), { status: 503 });
});

test('a proxy may choose the id, a visitor may not write into the log by it', async (t) => {
  const { url } = await serve(t, (ctx) => {
    ctx.body = currentRequestId();
  });
  t.is(await (await fetch(url, { headers: { 'x-request-id': 'proxy-1234.5' } })).text(), 'proxy-1234.5');
  for (const id of ['short', 'x'.repeat(65), 'has space in', '{"a":"bcdef"}']) {
    t.not(await (await fetch(url, { headers: { 'x-request-id': id } })).text(), id);
  }
});
