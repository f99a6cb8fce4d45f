/** Puts hooks (hooks.ts) on the contract of factors; what a challenge is and when an answer is right stands in challenge.ts. */
import { z } from 'zod';
import { corrupted } from '../../errors.ts';
import type { Enrolment, Factor, Page, Verdict } from '../factor.ts';
import { everybodys } from '../owned.ts';
import { labelOf } from '../typed.ts';
import { beginChallenge, type CustomState, checkAnswer, levelOf } from './challenge.ts';
import type { CustomSecret, CustomTerms } from './running.ts';

const stored = z.strictObject({ kept: z.json(), address: z.string().max(254).nullable() });

export function customFactor(terms: CustomTerms): Factor<CustomSecret, CustomState> {
  const { id, name, strength, kind, everyone, hooks } = terms;
  return {
    id,
    role: 'second',
    kinds: [kind],
    name,
    strength,
    texts: 'custom',
    byMail: hooks.init === undefined,
    levelIn: (settings) => levelOf(terms, settings),
    amrIn: () => terms.amr,
    ownedByAll: () => everyone,

    parseSecret(value: unknown): CustomSecret {
      const parsed = stored.safeParse(value);
      if (!parsed.success) throw corrupted('A stored custom factor is not what it must be.');
      return parsed.data;
    },

    // What everybody has, nobody has to add.
    ...(everyone ? {} : { enrol: enrolmentOf(terms) }),

    begin: (cx, held) => beginChallenge(terms, cx, 'sign-in', held[0]),
    resend: (cx, _state, held) => beginChallenge(terms, cx, 'sign-in', held[0]),
    show: async (cx, state) => pageOf('challenge', terms, state, cx.now),

    /** Form field `code`. */
    async verify(cx, state, input, held): Promise<Verdict<CustomSecret>> {
      const credential = held.find((one) => one.id === state.credential);
      const credentialId = credential?.id ?? (everyone && state.credential === null ? everybodys(id) : undefined);
      if (credentialId === undefined) return { ok: false, reason: 'wrong' };
      const answer = await checkAnswer(terms, cx, { purpose: 'sign-in', state, input: input.code, held: credential });
      return answer.ok ? { ok: true, credentialId, kinds: [kind], level: answer.level, amr: answer.amr } : { ...answer, credentialId };
    },
  };

  function enrolmentOf(of: CustomTerms): NonNullable<Factor<CustomSecret, CustomState>['enrol']> {
    return {
      // Without a hook of its own it is our code by mail, which needs an address.
      available: ({ user, channels }) => hooks.init !== undefined || (channels.mail && (user?.email ?? null) !== null),
      begin: (cx) => beginChallenge(of, cx, 'enrol', undefined),
      resend: (cx) => beginChallenge(of, cx, 'enrol', undefined),
      show: async (cx, state) => pageOf('enrol', of, state, cx.now),
      /** Form fields `code`, and `label` for the user's own name of it. */
      async finish(cx, state, input): Promise<Enrolment<CustomSecret, CustomState>> {
        const answer = await checkAnswer(of, cx, { purpose: 'enrol', state, input: input.code, held: undefined });
        if (!answer.ok) return answer;
        const { level, amr, keep } = answer;
        const { address } = state;
        return {
          ok: true,
          secret: { kept: keep, address },
          counter: null,
          label: labelOf(input.label) || name,
          kinds: [kind],
          level,
          amr,
          replaces: true,
          ...(address === null ? {} : { provesEmail: address }),
        };
      },
    };
  }
}

function pageOf(page: 'challenge' | 'enrol', { name }: CustomTerms, { until, sent, page: shown }: CustomState, now: number): Page {
  const { message, label, inputmode } = shown;
  const seconds = Math.max(1, Math.ceil((until - now) / 1000));
  // The label of the pages is the user's own name for it.
  return { view: `factors/custom/${page}`, model: { name, message, asks: label, inputmode, sent, seconds } };
}
