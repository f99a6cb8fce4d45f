import test from 'ava';
import { ConfigError, loadConfig } from '../../src/config.ts';

const MAIL = { MAIL_FROM: 'Example <no-reply@example.com>' };
const SMS = { TWILIO_ACCOUNT_SID: `AC${'0a'.repeat(16)}`, TWILIO_AUTH_TOKEN: '0123456789abcdef0123456789abcdef' };

const problemsOf = (env: Record<string, string>): string[] => {
  try {
    loadConfig(env);
    return [];
  } catch (error) {
    if (error instanceof ConfigError) return error.problems;
    throw error;
  }
};

test('a mail server is an address, with a login or without', (t) => {
  const { mail } = loadConfig({ ...MAIL, SMTP_URL: 'smtp://post%40example.com:p%3Ass%25@smtp.example.com' });
  t.deepEqual(mail, {
    host: 'smtp.example.com',
    port: 587,
    tls: 'required',
    login: { user: 'post@example.com', password: 'p:ss%' },
    from: { name: 'Example', address: 'no-reply@example.com' },
    replyTo: null,
    ca: null,
  });
  const of = (url: string) => {
    const { host, port, tls, login } = loadConfig({ ...MAIL, SMTP_URL: url }).mail ?? {};
    return [host, port, tls, login];
  };
  t.deepEqual(of('smtps://smtp.example.com'), ['smtp.example.com', 465, 'implicit', null]);
  t.deepEqual(of('smtp://mail:1025?tls=off'), ['mail', 1025, 'off', null]);
  t.deepEqual(of('smtp://localhost:1025'), ['localhost', 1025, 'optional', null]);
  t.deepEqual(of('smtp://127.0.0.1:25'), ['127.0.0.1', 25, 'optional', null]);
  t.deepEqual(of('smtp://[::1]:25/'), ['[::1]', 25, 'optional', null]);
});

test('who mails come from is one address, with a name or without', (t) => {
  const of = (from: string) => loadConfig({ SMTP_URL: 'smtp://localhost', MAIL_FROM: from }).mail?.from;
  t.deepEqual(of('no-reply@example.com'), { name: null, address: 'no-reply@example.com' });
  t.deepEqual(of('"Example, Inc." <no-reply@example.com>'), { name: 'Example, Inc.', address: 'no-reply@example.com' });
  t.deepEqual(loadConfig({ ...MAIL, SMTP_URL: 'smtp://localhost', MAIL_REPLY_TO: 'help@example.com' }).mail?.replyTo?.address, 'help@example.com');
  for (const from of ['example.com', 'a@b, c@d', 'A <a@b> <c@d>', 'A\u0007 <a@b.example>', '<a b@c.example>']) {
    t.regex(problemsOf({ SMTP_URL: 'smtp://localhost', MAIL_FROM: from }).join(), /^MAIL_FROM is no mail address/, from);
  }
});

test('what is wrong with a mail server is said without repeating it', (t) => {
  for (const [url, said] of [
    ['http://user:hunter2@smtp.example.com', 'is not the address of a mail server'],
    ['smtp://user:hunter2@', 'is not the address of a mail server'],
    ['smtp://user:hunter2@smtp.example.com/path', 'has more than user'],
    ['smtp://user:hunter2@smtp.example.com?pool=true', 'has more than user'],
    ['smtp://user:hunter2@smtp.example.com?tls=maybe', 'has a tls that is none of'],
    ['smtps://user:hunter2@smtp.example.com?tls=off', 'has a tls that is none of'],
    ['smtp://user@smtp.example.com', 'has a user without a password'],
    ['smtp://user:hunter2%ZZ@smtp.example.com', 'has a % that encodes no character'],
  ] as const) {
    const [problem = '', ...others] = problemsOf({ ...MAIL, SMTP_URL: url });
    t.true(problem.startsWith(`SMTP_URL ${said}`), `${url}: ${problem}`);
    t.false(problem.includes('hunter2'));
    t.deepEqual(others, []);
  }
  t.deepEqual(problemsOf({ SMTP_URL: 'smtp://localhost' }), [
    'MAIL_FROM is missing, and SMTP_URL needs it; for example Example <no-reply@example.com>',
  ]);
});

test('text messages have an account and one sender', (t) => {
  t.is(loadConfig({}).sms, null);
  t.deepEqual(loadConfig({ ...SMS, TWILIO_FROM: '+15005550006' }).sms?.sender, { from: '+15005550006' });
  t.deepEqual(loadConfig({ ...SMS, TWILIO_FROM: 'Example Ltd' }).sms?.sender, { from: 'Example Ltd' });
  const service = `MG${'0'.repeat(32)}`;
  t.deepEqual(loadConfig({ ...SMS, TWILIO_MESSAGING_SERVICE: service }).sms?.sender, { messagingService: service });
  for (const env of [SMS, { ...SMS, TWILIO_FROM: '+15005550006', TWILIO_MESSAGING_SERVICE: service }, { TWILIO_FROM: '+15005550006' }]) {
    t.regex(problemsOf(env).join(), /^TWILIO_ACCOUNT_SID and its companions are incomplete/);
  }
  const wrong = problemsOf({ TWILIO_ACCOUNT_SID: 'SK1', TWILIO_AUTH_TOKEN: 'hunter2 hunter2 hunter2', TWILIO_FROM: 'A name that is too long' });
  t.deepEqual(
    wrong.map((problem) => problem.split(' ', 1)[0]),
    ['TWILIO_ACCOUNT_SID', 'TWILIO_AUTH_TOKEN', 'TWILIO_FROM'],
  );
  t.false(wrong.join().includes('hunter2'));
});
