/** What the SDK of Twilio sends, to a server of ours that stands in for theirs. */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import test, { type ExecutionContext } from 'ava';
import twilio from 'twilio';
import type { SmsAccount } from '../../../src/config/delivery.ts';
import { type Channel, DeliveryError, type Message } from '../../../src/delivery/channel.ts';
import { createTwilio } from '../../../src/delivery/twilio.ts';
import { atEnd } from '../../support/cleanup.ts';

const ACCOUNT: SmsAccount = { accountSid: `AC${'0a'.repeat(16)}`, authToken: '0123456789abcdef0123456789abcdef', sender: { from: '+15005550006' } };
const NUMBER = { kind: 'sms', value: '+4915123456789' } as const;
const TEXT: Message = { id: 'x', from: 'Acme', subject: '', text: '012345 is your code.\n\n@id.example.com #012345', html: null, validMs: 300_500 };

interface Asked {
  url: string;
  method: string;
  authorization: string;
  form: Record<string, string>;
}

type Answer = (request: IncomingMessage, response: ServerResponse) => void;
const accepted: Answer = (_request, response) => {
  response.writeHead(201, { 'content-type': 'application/json' });
  response.end(JSON.stringify({ sid: `SM${'0'.repeat(32)}`, status: 'queued' }));
};
const refused =
  (status: number, code: number): Answer =>
  (_request, response) => {
    response.writeHead(status, { 'content-type': 'application/json' });
    response.end(
      JSON.stringify({ code, message: `The number ${NUMBER.value} is not good`, more_info: 'https://www.twilio.com/docs/errors', status }),
    );
  };

async function provider(answer: Answer): Promise<{ asked: Asked[]; origin: string }> {
  const asked: Asked[] = [];
  const server: Server = createServer(async (request, response) => {
    let body = '';
    for await (const chunk of request) body += String(chunk);
    asked.push({
      url: request.url ?? '',
      method: request.method ?? '',
      authorization: request.headers.authorization ?? '',
      form: Object.fromEntries(new URLSearchParams(body)),
    });
    answer(request, response);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  atEnd(() => {
    server.closeAllConnections();
    server.close();
  });
  const address = server.address();
  return { asked, origin: `http://127.0.0.1:${typeof address === 'object' && address !== null ? address.port : 0}` };
}

/** The SDK's own client, but for where it goes. */
const sendsTo = (origin: string, account: SmsAccount = ACCOUNT): Channel =>
  createTwilio(account, async () => {
    class Elsewhere extends twilio.RequestClient {
      override request<Data>(options: Parameters<typeof twilio.RequestClient.prototype.request<Data>>[0]) {
        return super.request<Data>({ ...options, uri: options.uri.replace('https://api.twilio.com', origin) });
      }
    }
    return new Elsewhere({ timeout: 8_000 });
  });

async function failure(t: ExecutionContext, sending: Promise<void>): Promise<DeliveryError> {
  const error = await t.throwsAsync(sending, { instanceOf: DeliveryError });
  if (!(error instanceof DeliveryError)) throw new Error('it was sent');
  t.false(error.message.includes('+49'), 'a reason names no number');
  return error;
}

const patience = (ms = 30_000): AbortSignal => AbortSignal.timeout(ms);

test('a message is sent once, by the account and from its number', async (t) => {
  const { asked, origin } = await provider(accepted);
  await sendsTo(origin).deliver(NUMBER, TEXT, patience());
  t.deepEqual(asked, [
    {
      url: `/2010-04-01/Accounts/${ACCOUNT.accountSid}/Messages.json`,
      method: 'POST',
      authorization: `Basic ${Buffer.from(`${ACCOUNT.accountSid}:${ACCOUNT.authToken}`).toString('base64')}`,
      form: { To: '+4915123456789', Body: TEXT.text, From: '+15005550006', ValidityPeriod: '300' },
    },
  ]);
});

test('a messaging service chooses the sender, and a notice does not expire', async (t) => {
  const { asked, origin } = await provider(accepted);
  const messagingService = `MG${'0'.repeat(32)}`;
  await sendsTo(origin, { ...ACCOUNT, sender: { messagingService } }).deliver(NUMBER, { ...TEXT, validMs: null }, patience());
  t.deepEqual(asked[0]?.form, { To: '+4915123456789', Body: TEXT.text, MessagingServiceSid: messagingService });
});

test('what will never arrive is told from what may be tried again', async (t) => {
  for (const [status, code, permanent] of [
    [400, 21211, true],
    [400, 21614, true],
    [400, 21610, true],
    [403, 21408, true],
    [401, 20003, false],
    [429, 20429, false],
    [500, 20500, false],
    [503, 20503, false],
  ] as const) {
    const { asked, origin } = await provider(refused(status, code));
    const error = await failure(t, sendsTo(origin).deliver(NUMBER, TEXT, patience()));
    t.is(error.message, `${status} ${code}`);
    t.is(error.permanent, permanent, String(code));
    t.is(asked.length, 1, 'it is not sent twice');
  }
});

test('a provider that does not answer, or is not there, is not waited for', async (t) => {
  const silent = await provider(() => undefined);
  const began = performance.now();
  const late = await failure(t, sendsTo(silent.origin).deliver(NUMBER, TEXT, patience(300)));
  t.is(late.message, 'ETIMEDOUT');
  t.true(performance.now() - began < 7_500);

  const gone = await failure(t, sendsTo('http://127.0.0.1:1').deliver(NUMBER, TEXT, patience()));
  t.is(gone.message, 'ECONNREFUSED');
  t.false(gone.permanent);

  const nonsense = await provider((_request, response) => response.end('<html>'));
  const unread = await failure(t, sendsTo(nonsense.origin).deliver(NUMBER, TEXT, patience()));
  t.is(unread.message, 'SyntaxError', 'what nobody confirmed is not sent');
});

test('a mail is not for it', async (t) => {
  const error = await failure(t, createTwilio(ACCOUNT).deliver({ kind: 'mail', value: 'ada@example.com' }, TEXT, patience()));
  t.true(error.permanent);
});
