/** F08 · Webhooks of custom factors: what is not signed for this very request, in time, and within what was allowed, lets nobody in. */
import { createHmac } from 'node:crypto';
import type { IncomingHttpHeaders, IncomingMessage, ServerResponse } from 'node:http';
import test from 'ava';
import { loadConfig } from '../../src/config.ts';
import { AppError } from '../../src/errors.ts';
import { customFactor } from '../../src/factors/custom/custom.ts';
import { type WebhookEvent, webhookHooks } from '../../src/factors/custom/webhook.ts';
import type { Factor, FactorContext } from '../../src/factors/factor.ts';
import { createGuardedClient } from '../../src/http/guarded-client.ts';
import { customTerms, SECRET } from '../support/custom-factors.ts';
import { credentialOf, factorContext, stateOf } from '../support/factors.ts';
import { listen } from '../support/listen.ts';

interface Request {
  headers: IncomingHttpHeaders;
  body: string;
  json: Record<string, unknown>;
}

/** What an answer that cannot be believed comes to. */
const FAILED = { ok: false, reason: 'failed' };

/** Written from docs/custom-factors.md, not with the product's own function. */
const hmac = (secret: string, ...parts: string[]): string => `v1=${createHmac('sha256', secret).update(parts.join('\n')).digest('hex')}`;

const signed = (
  request: Request,
  body: string,
  some: { secret?: string; nonce?: string; timestamp?: string; what?: string } = {},
): Record<string, string> => {
  const timestamp = some.timestamp ?? String(request.headers['cardea-timestamp']);
  const nonce = some.nonce ?? String(request.headers['cardea-nonce']);
  return { 'cardea-timestamp': timestamp, 'cardea-signature': hmac(some.secret ?? SECRET, some.what ?? 'cardea-answer-v1', timestamp, nonce, body) };
};

const answers = (response: ServerResponse, headers: Record<string, string>, body: string, status = 200): void => {
  response.writeHead(status, headers).end(body);
};

type Behaviour = (request: Request, response: ServerResponse, count: number) => void;
const honest: Behaviour = (request, response) => {
  const body = JSON.stringify(request.json.event === 'init' ? {} : { ok: request.json.input === 'right' });
  answers(response, signed(request, body), body);
};

/** A factor whose service behaves like this, and what reached the service. */
async function webhook(
  behaviour: { init?: Behaviour; check?: Behaviour },
  some: { events?: WebhookEvent[]; secrets?: string[]; level?: 'aal1' } = {},
) {
  const requests: Request[] = [];
  const serve = async (message: IncomingMessage, response: ServerResponse): Promise<void> => {
    const chunks: Buffer[] = [];
    for await (const chunk of message) chunks.push(chunk);
    const body = Buffer.concat(chunks).toString();
    const request: Request = { headers: message.headers, body, json: JSON.parse(body) };
    requests.push(request);
    const count = requests.filter(({ json }) => json.event === request.json.event).length;
    const act = request.json.event === 'init' ? behaviour.init : behaviour.check;
    (act ?? honest)(request, response, count);
  };
  const { port } = await listen((message, response) => {
    serve(message, response).catch(() => response.destroy());
  });
  const faults: string[] = [];
  const hooks = webhookHooks({
    id: 'webhook-test',
    url: `http://localhost:${port}/mfa`,
    events: some.events ?? ['init', 'check'],
    secrets: async () => some.secrets ?? [SECRET],
    send: createGuardedClient({ allow: loadConfig({ CARDEA_OUTBOUND_ALLOW: `localhost:${port}` }).outboundAllow }),
  });
  const terms = customTerms({
    id: 'webhook-test',
    hooks,
    ...(some.level ? { level: some.level } : {}),
    report: ({ fault }) => fault !== undefined && faults.push(String(fault)),
  });
  const factor: Factor = customFactor(terms);
  const cx: FactorContext = factorContext({ now: Date.now() });
  const held = [credentialOf('webhook-test', { kept: null, address: null })];
  const begin = async () => factor.begin?.(cx, held);
  return {
    requests,
    faults,
    cx,
    begin,
    async answer(code: string) {
      return factor.verify(cx, stateOf(await begin()), { code }, held);
    },
  };
}

const lettingIn: Behaviour = (request, response) => {
  const body = JSON.stringify({ ok: true });
  answers(response, signed(request, body), body);
};

test('an honest service: both hooks are asked, each request signed anew', async (t) => {
  const { answer, requests, cx } = await webhook({});
  t.true((await answer('right')).ok);
  t.false((await answer('wrong')).ok);
  t.deepEqual(
    requests.map(({ json }) => json.event),
    ['init', 'check', 'init', 'check'],
  );
  const [init, check] = requests;
  t.like(init?.json, {
    factor: 'webhook-test',
    purpose: 'sign-in',
    realm: { name: 'demo' },
    user: { username: 'alice', email: 'alice@example.com' },
    now: cx.now,
  });
  t.like(check?.json, { input: 'right', state: null, challenge: init?.json.challenge });
  for (const { headers, body } of requests) {
    t.is(headers['cardea-signature'], hmac(SECRET, 'cardea-request-v1', String(headers['cardea-timestamp']), String(headers['cardea-nonce']), body));
    t.is(headers['content-type'], 'application/json');
    t.true(Math.abs(Number(headers['cardea-timestamp']) * 1000 - Date.now()) < 10_000);
  }
  t.is(new Set(requests.map(({ headers }) => headers['cardea-nonce'])).size, requests.length);
});

test('F08 an answer with a bad signature, or with none, fails closed', async (t) => {
  const body = JSON.stringify({ ok: true });
  const bad: [string, Behaviour][] = [
    ['none', (_request, response) => answers(response, {}, body)],
    ['no timestamp', (request, response) => answers(response, { 'cardea-signature': signed(request, body)['cardea-signature'] ?? '' }, body)],
    ['another secret', (request, response) => answers(response, signed(request, body, { secret: 'x'.repeat(43) }), body)],
    ['an empty secret', (request, response) => answers(response, signed(request, body, { secret: '' }), body)],
    ['another body', (request, response) => answers(response, signed(request, '{"ok":false}'), body)],
    ['another nonce', (request, response) => answers(response, signed(request, body, { nonce: 'AAAAAAAAAAAAAAAAAAAAAA' }), body)],
    [
      'without the prefix',
      (request, response) =>
        answers(response, { ...signed(request, body), 'cardea-signature': signed(request, body)['cardea-signature']?.slice(3) ?? '' }, body),
    ],
    [
      'in capitals',
      (request, response) =>
        answers(response, { ...signed(request, body), 'cardea-signature': signed(request, body)['cardea-signature']?.toUpperCase() ?? '' }, body),
    ],
    [
      'cut',
      (request, response) =>
        answers(response, { ...signed(request, body), 'cardea-signature': signed(request, body)['cardea-signature']?.slice(0, -1) ?? '' }, body),
    ],
    [
      'an hour ago',
      (request, response) => answers(response, signed(request, body, { timestamp: String(Math.floor(Date.now() / 1000) - 3600) }), body),
    ],
    [
      'an hour ahead',
      (request, response) => answers(response, signed(request, body, { timestamp: String(Math.floor(Date.now() / 1000) + 3600) }), body),
    ],
    ['a timestamp that is none', (request, response) => answers(response, signed(request, body, { timestamp: 'now' }), body)],
    [
      "the request's own signature",
      (request, response) =>
        answers(
          response,
          { 'cardea-timestamp': String(request.headers['cardea-timestamp']), 'cardea-signature': String(request.headers['cardea-signature']) },
          request.body,
        ),
    ],
    ['made as for a request', (request, response) => answers(response, signed(request, body, { what: 'cardea-request-v1' }), body)],
  ];
  for (const [what, check] of bad) {
    const { answer, requests, faults } = await webhook({ check });
    t.like(await answer('right'), FAILED, what);
    t.is(requests.length, 2, `${what}: it is asked once`);
    t.deepEqual(faults, ['HookFault: The signature of the answer is not right.'], what);
  }
});

test('F08 a replayed answer, of this challenge or of another, fails closed', async (t) => {
  let recorded: { headers: Record<string, string>; body: string } | undefined;
  const { answer } = await webhook({
    check: (request, response) => {
      const body = JSON.stringify({ ok: true });
      recorded ??= { headers: signed(request, body), body };
      answers(response, recorded.headers, recorded.body);
    },
  });
  t.true((await answer('right')).ok, 'the recorded one was right once');
  for (let times = 0; times < 3; times += 1) t.like(await answer('anything'), FAILED);
});

test('F08 claims of phrh, of an amr that is not allowed, or of another user fail closed', async (t) => {
  for (const claim of [{ level: 'phrh' }, { level: 'phr' }, { amr: ['hwk'] }, { amr: ['mfa'] }, { userId: 'somebody' }, { kinds: ['inherence'] }]) {
    const { answer } = await webhook({
      check: (request, response) => {
        const body = JSON.stringify({ ok: true, ...claim });
        answers(response, signed(request, body), body);
      },
    });
    t.like(await answer('right'), FAILED, JSON.stringify(claim));
  }
  const { answer } = await webhook({}, { level: 'aal1' });
  t.like(await answer('right'), { ok: true, level: 'aal1' });
});

test('F08 what is no 200, no JSON or no verdict fails closed', async (t) => {
  const raw =
    (body: string, status = 200): Behaviour =>
    (request, response) =>
      answers(response, signed(request, body), body, status);
  const bad: [string, Behaviour][] = [
    ['201', raw('{"ok":true}', 201)],
    ['204', raw('', 204)],
    ['302', (request, response) => answers(response, { ...signed(request, '{"ok":true}'), location: '/other' }, '{"ok":true}', 302)],
    ['401', raw('{"ok":true}', 401)],
    ['500', raw('{"ok":true}', 500)],
    ['nothing', raw('')],
    ['no JSON', raw('ok')],
    ['the word true', raw('"true"')],
    ['null', raw('null')],
    ['a list', raw('[true]')],
    ['too large', raw(JSON.stringify({ ok: true, keep: 'x'.repeat(100_000) }))],
    ['closed', (_request, response) => void response.destroy()],
  ];
  for (const [what, check] of bad) {
    const { answer, requests } = await webhook({ check });
    t.like(await answer('right'), FAILED, what);
    t.is(requests.filter(({ json }) => json.event === 'check').length, 1, `${what}: an answer to be checked is sent once`);
  }
});

test.serial('F08 a late 200 is too late', async (t) => {
  t.timeout(60_000);
  const late: Behaviour = (request, response) => void setTimeout(() => lettingIn(request, response, 0), 5_400);
  const slow: Behaviour = (request, response) => {
    const body = JSON.stringify({ ok: true });
    response.writeHead(200, signed(request, body)).write(body.slice(0, 4));
    setTimeout(() => response.end(body.slice(4)), 5_400);
  };
  const [checked, init, dripped] = [await webhook({ check: late }), await webhook({ init: late }), await webhook({ check: slow })];
  const [answered, begun, inPieces] = await Promise.all([checked.answer('right'), init.begin(), dripped.answer('right')]);
  t.like(answered, FAILED);
  t.like(inPieces, FAILED);
  t.deepEqual(begun, { ok: false, reason: 'failed' });
  t.is(init.requests.length, 1, 'what was sent is not sent again');
});

test('a service that fails once is asked once more to begin, with a nonce of its own and the same challenge', async (t) => {
  const flaky: Behaviour = (request, response, count) => (count === 1 ? answers(response, {}, '', 503) : honest(request, response, count));
  const { begin, requests } = await webhook({ init: flaky });
  t.true((await begin())?.ok);
  t.is(requests.length, 2);
  t.is(requests[0]?.json.challenge, requests[1]?.json.challenge);
  t.not(requests[0]?.headers['cardea-nonce'], requests[1]?.headers['cardea-nonce']);
  const broken = await webhook({ init: (_request, response) => answers(response, {}, '', 500) });
  t.deepEqual(await broken.begin(), { ok: false, reason: 'failed' });
  t.is(broken.requests.length, 2, 'once more, and no more');
});

test('of a request of which nothing was sent there is one more, also to check', async (t) => {
  const sent: string[] = [];
  const hooks = webhookHooks({
    id: 'webhook-test',
    url: 'https://hooks.example/',
    events: ['init', 'check'],
    secrets: async () => [SECRET],
    send: async (_url, { body }) => {
      sent.push(JSON.parse(body).event);
      throw new AppError({ code: sent.length < 3 ? 'outbound_unreachable' : 'outbound_failed', status: 502, message: 'no' });
    },
  });
  const told = {
    purpose: 'sign-in',
    challenge: 'c',
    realm: { id: 'r', name: 'r', displayName: 'R' },
    user: { id: 'u', username: 'u', email: null, emailVerified: false },
    language: null,
    now: Date.now(),
    kept: null,
  } as const;
  await t.throwsAsync(async () => hooks.check?.(told, 'x', null, AbortSignal.timeout(1000)));
  t.deepEqual(sent, ['check', 'check']);
  await t.throwsAsync(async () => hooks.check?.(told, 'x', null, AbortSignal.timeout(1000)));
  t.deepEqual(sent, ['check', 'check', 'check'], 'what may have arrived is not sent again');
});

test('during a rotation both secrets are good, in both directions', async (t) => {
  const newer = 'n'.repeat(43);
  for (const secret of [SECRET, newer]) {
    const { answer, requests } = await webhook(
      {
        init: (request, response) => answers(response, signed(request, '{}', { secret }), '{}'),
        check: (request, response) => answers(response, signed(request, '{"ok":true}', { secret }), '{"ok":true}'),
      },
      { secrets: [newer, SECRET] },
    );
    t.true((await answer('right')).ok);
    for (const { headers, body } of requests) {
      const parts = ['cardea-request-v1', String(headers['cardea-timestamp']), String(headers['cardea-nonce']), body];
      t.deepEqual(String(headers['cardea-signature']).split(','), [hmac(newer, ...parts), hmac(SECRET, ...parts)]);
    }
  }
  const after = await webhook({ check: lettingIn }, { secrets: [newer] });
  await t.throwsAsync(async () => stateOf(await after.begin()), { message: /not begun/ }, 'the older one is not accepted for ever');
});

test('what a service leaves out keeps its default', async (t) => {
  const onlyInit = await webhook(
    { init: (request, response) => answers(response, signed(request, '{"code":"771177"}'), '{"code":"771177"}') },
    { events: ['init'] },
  );
  t.true((await onlyInit.answer('771177')).ok);
  t.deepEqual(
    onlyInit.requests.map(({ json }) => json.event),
    ['init'],
  );
});

test('a webhook without a secret is not called', async (t) => {
  const { begin, requests } = await webhook({}, { secrets: [] });
  t.deepEqual(await begin(), { ok: false, reason: 'failed' });
  t.is(requests.length, 0);
});
