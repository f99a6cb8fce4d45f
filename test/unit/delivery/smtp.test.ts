/** What arrives at a real mail server. */
import { createServer } from 'node:net';
import { setTimeout as pause } from 'node:timers/promises';
import test, { type ExecutionContext } from 'ava';
import { type Address, DeliveryError, type Message } from '../../../src/delivery/channel.ts';
import { createSmtp } from '../../../src/delivery/smtp.ts';
import { atEnd } from '../../support/cleanup.ts';
import { MAIL_LOGIN, SERVER_CERTIFICATE, startMailServer, unencoded } from '../../support/mail-server.ts';

const message = (some: Partial<Message> = {}): Message => ({
  id: '6d1a4c0e-0000-4000-8000-000000000001',
  from: 'Acme',
  subject: 'Your code for Acme',
  text: 'Grüße 👋\n\n    01234567\n',
  html: '<p>Grüße 👋</p>',
  validMs: 300_000,
  ...some,
});
const to = (value: string): Address => ({ kind: 'mail', value });
const patience = (ms = 30_000): AbortSignal => AbortSignal.timeout(ms);

const opened = (...account: Parameters<typeof createSmtp>): ReturnType<typeof createSmtp> => {
  const smtp = createSmtp(...account);
  atEnd(() => smtp.close());
  return smtp;
};

async function failure(t: ExecutionContext, sending: Promise<void>): Promise<DeliveryError> {
  const error = await t.throwsAsync(sending, { instanceOf: DeliveryError });
  if (!(error instanceof DeliveryError)) throw new Error('it was sent');
  return error;
}

test('a mail arrives with its headers, as text and as HTML', async (t) => {
  const server = await startMailServer();
  const smtp = opened(server.account({ replyTo: { name: 'Help, desk', address: 'help@example.com' } }));
  await smtp.deliver(to('ada@example.com'), message({ from: 'Zoë & Søn' }), patience());
  const [mail] = server.mails;
  t.is(server.mails.length, 1);
  t.is(mail?.from, 'no-reply@example.com');
  t.deepEqual(mail?.to, ['ada@example.com']);
  const header = (name: string) => mail?.headers.get(name)?.map(unencoded);
  t.deepEqual(header('from'), ['Zoë & Søn <no-reply@example.com>']);
  t.deepEqual(header('to'), ['ada@example.com']);
  t.deepEqual(header('reply-to'), ['"Help, desk" <help@example.com>']);
  t.deepEqual(header('subject'), ['Your code for Acme']);
  t.deepEqual(header('message-id'), ['<6d1a4c0e-0000-4000-8000-000000000001@example.com>']);
  t.deepEqual(header('auto-submitted'), ['auto-generated']);
  t.is(header('date')?.length, 1);
  t.deepEqual(
    mail?.parts.map(({ type, text }) => [type, text.trim().replaceAll('\r\n', '\n')]),
    [
      ['text/plain', 'Grüße 👋\n\n    01234567'],
      ['text/html', '<p>Grüße 👋</p>'],
    ],
  );
});

test('whatever is in a name or a subject, it begins no header and adds nobody (D04)', async (t) => {
  const server = await startMailServer();
  const smtp = opened(server.account({ from: { name: null, address: 'no-reply@example.com' } }));
  const evil = 'Acme\r\nBcc: eve@example.com\r\n\r\n<script>\u202egpj.exe\u0000\u001b[31m, "x" <eve@example.com>';
  await smtp.deliver(to('ada@example.com'), message({ from: evil, subject: evil }), patience());
  const [mail] = server.mails;
  t.deepEqual(mail?.to, ['ada@example.com']);
  t.deepEqual([...(mail?.headers.keys() ?? [])].sort(), [
    'auto-submitted',
    'content-type',
    'date',
    'from',
    'message-id',
    'mime-version',
    'subject',
    'to',
    'x-auto-response-suppress',
  ]);
  t.is(mail?.headers.get('from')?.length, 1);
  t.true(mail?.headers.get('from')?.[0]?.endsWith('<no-reply@example.com>'));
  t.is(unencoded(mail?.headers.get('subject')?.[0]), 'Acme Bcc: eve@example.com <script> gpj.exe [31m, "x" <eve@example.com>');
  t.false(/[^\t\r\n\x20-\x7e]/.test(mail?.raw.split('\r\n\r\n', 1)[0] ?? '\u0000'), 'headers are plain ASCII');
});

test('an address is one address', async (t) => {
  const server = await startMailServer();
  const smtp = opened(server.account());
  for (const address of [
    'ada@example.com, eve@example.com',
    'ada@example.com\r\nRCPT TO:<eve@example.com>',
    'Ada <ada@example.com>',
    '<ada@example.com>',
    'ada',
    '',
    'ada@example.com> SIZE=1',
    `${'a'.repeat(65)}@example.com`,
  ]) {
    const error = await failure(t, smtp.deliver(to(address), message(), patience()));
    t.true(error.permanent);
  }
  t.deepEqual(server.mails, []);
  t.is(server.connections, 0);
});

test('a body is text, and names no file and no address to be fetched', async (t) => {
  const server = await startMailServer();
  const smtp = opened(server.account());
  const text = '.\r\n..\r\nQUIT\r\n<img src="file:///etc/passwd">\n';
  await smtp.deliver(to('ada@example.com'), message({ text, html: null }), patience());
  t.is(server.mails[0]?.parts[0]?.text.trim(), text.trim().replace(/(?<!\r)\n/g, '\r\n'));
});

test('a connection is used again, and bounded in number', async (t) => {
  const server = await startMailServer();
  const smtp = opened(server.account());
  for (let index = 0; index < 3; index += 1) await smtp.deliver(to('ada@example.com'), message(), patience());
  t.is(server.connections, 1);
  await Promise.all(Array.from({ length: 12 }, () => smtp.deliver(to('ada@example.com'), message(), patience())));
  t.is(server.mails.length, 15);
  t.true(server.connections <= 3, `${server.connections} connections`);
});

test('a login is given over TLS', async (t) => {
  const server = await startMailServer({ disabledCommands: [], authOptional: false, authMethods: ['PLAIN', 'LOGIN'] });
  const smtp = opened(server.account({ tls: 'required', login: MAIL_LOGIN, ca: SERVER_CERTIFICATE }));
  await smtp.deliver(to('ada@example.com'), message(), patience());
  t.true(server.mails[0]?.secure);
  t.is(server.mails[0]?.user, MAIL_LOGIN.user);

  const implicit = await startMailServer({ secure: true, disabledCommands: ['STARTTLS'] });
  await opened(implicit.account({ tls: 'implicit', ca: SERVER_CERTIFICATE })).deliver(to('ada@example.com'), message(), patience());
  t.true(implicit.mails[0]?.secure);
});

test('a server that offers no TLS, or cannot show who it is, gets neither login nor mail', async (t) => {
  const logins: string[] = [];
  const onAuth = (auth: { username?: string }, _session: unknown, done: (error: Error | null, response?: object) => void) => {
    logins.push(auth.username ?? '');
    done(null, { user: 1 });
  };
  const plain = await startMailServer({ disabledCommands: ['STARTTLS'], authOptional: false, allowInsecureAuth: true, onAuth });
  const stripped = await failure(
    t,
    opened(plain.account({ tls: 'required', login: MAIL_LOGIN })).deliver(to('ada@example.com'), message(), patience()),
  );
  t.false(stripped.permanent);
  const stranger = await startMailServer({ disabledCommands: [], authOptional: false, onAuth });
  for (const tls of ['required', 'optional'] as const) {
    const unknown = await failure(t, opened(stranger.account({ tls, login: MAIL_LOGIN })).deliver(to('ada@example.com'), message(), patience()));
    t.false(unknown.permanent);
  }
  t.deepEqual(logins, []);
  t.deepEqual([...plain.mails, ...stranger.mails], []);
});

test('a wrong password may be mended, an unknown mailbox may not; neither is told with an address', async (t) => {
  const server = await startMailServer({
    disabledCommands: ['STARTTLS'],
    allowInsecureAuth: true,
    authMethods: ['PLAIN'],
    onRcptTo: ({ address }, _session, done) =>
      address.startsWith('busy')
        ? done(Object.assign(new Error('4.2.1 mailbox busy'), { responseCode: 450 }))
        : done(Object.assign(new Error(`5.1.1 <${address}> unknown`), { responseCode: 550 })),
  });
  const login = await failure(
    t,
    opened(server.account({ login: { ...MAIL_LOGIN, password: 'wrong' } })).deliver(to('ada@example.com'), message(), patience()),
  );
  t.regex(login.message, /^EAUTH 535/);
  t.false(login.permanent);
  const smtp = opened(server.account());
  const unknown = await failure(t, smtp.deliver(to('ada@example.com'), message(), patience()));
  t.is(unknown.message, 'EENVELOPE 550 5.1.1');
  t.true(unknown.permanent);
  const busy = await failure(t, smtp.deliver(to('busy@example.com'), message(), patience()));
  t.is(busy.message, 'EENVELOPE 450 4.2.1');
  t.false(busy.permanent);
  for (const error of [login, unknown, busy]) t.false(error.message.includes('@'));
});

test('a server that is not there, says nothing or stops in the middle is not waited for', async (t) => {
  const server = await startMailServer();
  await server.stop();
  const gone = await failure(t, opened(server.account()).deliver(to('ada@example.com'), message(), patience()));
  t.regex(gone.message, /ECONNREFUSED|ESOCKET|ECONNECTION/);
  t.false(gone.permanent);

  const silent = createServer(() => undefined);
  await new Promise<void>((resolve) => silent.listen(0, '127.0.0.1', resolve));
  atEnd(() => silent.close());
  const address = silent.address();
  const port = typeof address === 'object' && address !== null ? address.port : 0;
  const began = performance.now();
  const late = await failure(t, opened({ ...server.account(), port }).deliver(to('ada@example.com'), message(), patience(300)));
  t.is(late.message, 'ETIMEDOUT');
  t.true(performance.now() - began < 4_000);

  const slow = await startMailServer({ onData: (stream) => void stream.resume() });
  const middle = await failure(t, opened(slow.account()).deliver(to('ada@example.com'), message(), patience(500)));
  t.is(middle.message, 'ETIMEDOUT');
});

test('a kept connection that the server has closed meanwhile is replaced', async (t) => {
  const server = await startMailServer({ socketTimeout: 1_000 });
  const smtp = opened(server.account());
  await smtp.deliver(to('ada@example.com'), message(), patience());
  await pause(1_600);
  await smtp.deliver(to('ada@example.com'), message(), patience());
  t.is(server.mails.length, 2);
});
