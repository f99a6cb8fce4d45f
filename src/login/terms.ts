/**
 * The realm's terms, which the user accepts or does not: because an administrator requires it, or because the application asked.
 * When they were accepted stands where Keycloak has it, in the attribute `terms_and_conditions` of the user.
 */
import { conflict } from '../errors.ts';
import { languageOf } from '../http/language.ts';
import { say } from '../languages/messages.ts';
import { termsOf } from '../realms/terms.ts';
import type { Transaction } from '../store/rows.ts';
import { removeRequiredAction, replaceAttribute } from '../store/user-changes.ts';
import type { LoginForm } from './form.ts';
import { TERMS } from './required.ts';
import type { Login, LoginRequest } from './room.ts';
import { type Outcome, rulesOf, signingIn } from './steps.ts';
import { requireStillProved } from './still-proved.ts';

const ACTION = 'TERMS_AND_CONDITIONS';
/** In seconds since the epoch. */
const ATTRIBUTE = 'terms_and_conditions';

export async function termsPage({ ctx, realm: { realm } }: LoginRequest): Promise<{ view: string; model: object }> {
  return { view: 'login/terms', model: { terms: termsOf(realm.settings, languageOf(ctx)) } };
}

/** The buttons `accept` and `deny`. */
export async function termsStep(request: LoginRequest, login: Login, form: LoginForm, wished: boolean): Promise<Outcome | undefined> {
  if (form.do !== 'accept' && form.do !== 'deny') return undefined;
  const { user, known } = await signingIn(request, login);
  if (form.do === 'deny') {
    return {
      event: { type: 'cancelled' },
      rules: await rulesOf(request, login, user.id, known),
      renew: false,
      audit: { type: 'user.terms-declined', details: {} },
      subject: user.id,
      // As in Keycloak what was accepted before is not any more; but an application that only wishes it takes nothing away.
      ...(wished ? {} : { within: (trx: Transaction) => replaceAttribute(trx, user, ATTRIBUTE, []) }),
    };
  }
  return {
    event: { type: 'answered', action: TERMS },
    rules: await rulesOf(request, login, user.id, known, ACTION),
    renew: true,
    audit: { type: 'user.terms-accepted', details: {} },
    subject: user.id,
    within: async (trx) => {
      await requireStillProved(trx, request, login, user);
      if (!(await removeRequiredAction(trx, user, ACTION)) && !wished) throw conflict(say('login.stepDone'));
      await replaceAttribute(trx, user, ATTRIBUTE, [String(Math.floor(request.at / 1000))]);
    },
  };
}
