/** Custom factors as the contract suite and others meet them: each way of leaving hooks out, and a webhook. */
import { randomUUID } from 'node:crypto';
import { customFactor } from '../../src/factors/custom/custom.ts';
import type { CustomTerms } from '../../src/factors/custom/running.ts';
import { signAnswer } from '../../src/factors/custom/signature.ts';
import { type Send, webhookHooks } from '../../src/factors/custom/webhook.ts';
import type { Factor } from '../../src/factors/factor.ts';
import { type Asked, credentialOf, type FactorHarness } from './factors.ts';

export const SECRET = 'a secret of thirty-two characters or more';

/** A service that answers what it is told to, rightly signed. */
export const service =
  (answer: (request: Record<string, unknown>) => unknown): Send =>
  async (_url, { headers, body }) => {
    const text = JSON.stringify(await answer(JSON.parse(body)));
    const timestamp = headers['cardea-timestamp'] ?? '';
    const signature = signAnswer(SECRET, { nonce: headers['cardea-nonce'] ?? '', timestamp, body: text });
    return { status: 200, headers: { 'cardea-timestamp': timestamp, 'cardea-signature': signature }, body: Buffer.from(text) };
  };

/** What a factor is made of in these tests, unless they say otherwise. */
export const customTerms = (some: Partial<CustomTerms> = {}): CustomTerms => ({
  id: 'custom-test',
  name: 'Test',
  strength: 'Good for tests.',
  kind: 'possession',
  amr: ['badge', 'test'],
  level: 'aal2',
  everyone: false,
  hooks: {},
  report: () => undefined,
  ...some,
});

const PIN = '73-51-90';
const harness = (some: Partial<FactorHarness> & Pick<FactorHarness, 'right' | 'wrong'>): FactorHarness => ({
  credential: async () => credentialOf('custom', { kept: null, address: null }, { id: randomUUID() }),
  fields: ['code', 'label'],
  // A challenge is answered once, and a user holds one at most.
  spends: 'code',
  secrets: () => [],
  confirm: async (asked) => ({
    right: { ...(await some.right({ ...asked, secret: null })), label: 'Mine' },
    wrong: await some.wrong({ ...asked, secret: null }),
  }),
  ...some,
});
const byCode = {
  right: ({ sent }: Asked) => ({ code: sent.code }),
  wrong: ({ sent }: Asked) => ({ code: sent.code.replace(/.$/, (last) => (last === '0' ? '1' : '0')) }),
};
const byPin = { right: () => ({ code: PIN }), wrong: () => ({ code: '735191' }) };

export const customCases: readonly { factor: Factor; harness: FactorHarness }[] = [
  { factor: customFactor(customTerms({ id: 'custom-neither' })), harness: harness(byCode) },
  {
    factor: customFactor(
      customTerms({
        id: 'custom-init',
        hooks: { init: async () => ({ message: 'Look at the pager', code: 'K4TZ9Q', deliver: { sms: '+4915112345678' } }) },
      }),
    ),
    harness: harness(byCode),
  },
  {
    factor: customFactor(customTerms({ id: 'custom-check', hooks: { check: async () => true } })),
    harness: harness(byCode),
  },
  {
    factor: customFactor(
      customTerms({
        id: 'custom-both',
        hooks: {
          init: async () => ({ label: 'PIN', state: { pin: PIN } }),
          check: async (_cx, input, state) => JSON.stringify(state) === JSON.stringify({ pin: input }),
        },
      }),
    ),
    harness: harness(byPin),
  },
  {
    factor: customFactor(
      customTerms({
        id: 'webhook-both',
        hooks: webhookHooks({
          id: 'webhook-both',
          url: 'https://hooks.example/',
          events: ['init', 'check'],
          secrets: async () => [SECRET],
          send: service(({ event, input }) => (event === 'init' ? {} : { ok: input === PIN, ...(input === PIN ? {} : { reason: 'wrong' }) })),
        }),
      }),
    ),
    harness: harness(byPin),
  },
];
