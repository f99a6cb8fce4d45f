/**
 * What a security key and a passkey have in common, which is nearly all: the same two ceremonies (ceremony.ts), asked for
 * on other terms. Something one has, phr beside a password or by itself; the origin that it signs for is the browser's
 * word, so that no fake page can pass an answer on.
 *
 * A credential shows phrh when it was bound with a statement of its model that a trust anchor of the realm stands behind,
 * the model is on the realm's list, and its key never leaves the device.
 */
import type { Kind, Level } from '../../policy/assurance.ts';
import type { RealmSettings } from '../../realms/settings.ts';
import type { Begun, Credential, Enrolment, Factor, FactorContext, Form, Page, Verdict } from '../factor.ts';
import { labelOf } from '../typed.ts';
import { authenticationOptions, type Challenge, newChallenge, type RegistrationChallenge, type Terms } from './challenge.ts';
import { relyingPartyAt } from './relying-party.ts';
import { parseWebauthnSecret, type WebauthnSecret } from './stored.ts';

/** With the library, when the first key is shown or bound. */
const ceremony = () => import('./ceremony.ts');

export type WebauthnFactor = Factor<WebauthnSecret, Challenge, RegistrationChallenge>;

/** The ids of the factors whose credentials are WebAuthn's: no authenticator is bound to one user twice. */
const FAMILY = ['security-key', 'passkey'];

/** What the two differ in. */
export interface Species {
  id: string;
  name: string;
  strength: string;
  kinds: Kind[];
  terms(settings: RealmSettings): Terms;
}

export function webauthnFactor(species: Species): WebauthnFactor {
  const { id, name, strength, kinds } = species;
  const termsOf = (cx: FactorContext): Terms => species.terms(cx.settings);
  const isPossible = (cx: FactorContext): boolean => relyingPartyAt(cx.origin, cx.settings) !== undefined;

  return {
    id,
    role: 'second',
    kinds,
    name,
    strength,
    levelIn: () => 'phr',
    // Which of them is a key that may be copied, nobody can tell beforehand.
    amrIn: () => ['pop', 'hwk', 'user'],
    parseSecret: parseWebauthnSecret,

    enrol: {
      levelIn(settings) {
        const { aaguids, trustAnchors } = species.terms(settings);
        return aaguids.length > 0 && trustAnchors.length > 0 ? 'phrh' : 'phr';
      },

      available: ({ origin, settings }) => origin === undefined || relyingPartyAt(origin, settings) !== undefined,

      async begin(cx): Promise<Begun<RegistrationChallenge>> {
        if (!isPossible(cx)) return { ok: false, reason: 'not-configured' };
        return { ok: true, state: { ...newChallenge(cx.now), handle: cx.handle().toString('base64url'), exclude: await cx.lookups(FAMILY) } };
      },

      async show(cx, state): Promise<Page> {
        const { registrationOptions } = await ceremony();
        const options = await registrationOptions(cx, termsOf(cx), state);
        return { view: `factors/${id}/enrol`, model: { options, realmName: cx.realm.displayName || cx.realm.name } };
      },

      /** Form fields `response`, and `label` for the user's own name of it. */
      async finish(cx, state, input): Promise<Enrolment<WebauthnSecret, RegistrationChallenge>> {
        const { checkRegistration } = await ceremony();
        const result = await checkRegistration(cx, termsOf(cx), state, input);
        // Each challenge is answered once, rightly or not: the next press of the button gets another one. Not after a replay,
        // or what was answered first would find that its challenge is not the one that is due any more.
        if (!result.ok)
          return { ...result, field: 'response', ...(result.reason !== 'replayed' && { state: { ...state, ...newChallenge(cx.now) } }) };
        const { secret, counter } = result;
        const shown = shownBy(species, secret, levelOf(secret));
        return { ok: true, secret, counter, label: labelOf(input.label), lookup: secret.credentialId, ...shown };
      },
    },

    async begin(cx): Promise<Begun<Challenge>> {
      return isPossible(cx) ? { ok: true, state: newChallenge(cx.now) } : { ok: false, reason: 'not-configured' };
    },

    async show(cx, state, held): Promise<Page> {
      const [only, ...others] = held;
      const options = authenticationOptions(cx, termsOf(cx), state, held);
      return { view: `factors/${id}/challenge`, model: { options, label: others.length === 0 ? (only?.label ?? '') : '' } };
    },

    /** Form field `response`. */
    async verify(cx: FactorContext, state: Challenge, input: Form, held: Credential<WebauthnSecret>[]): Promise<Verdict<WebauthnSecret>> {
      const { checkAuthentication } = await ceremony();
      const result = await checkAuthentication(cx, termsOf(cx), state, input, held);
      if (!result.ok) return result;
      const { held: credential, renewed } = result;
      const shown = shownBy(species, credential.secret, credential.level ?? 'phr');
      return { ok: true, credentialId: credential.id, ...shown, ...(renewed && { renewed }) };
    },
  };
}

const levelOf = ({ attested, backupEligible }: WebauthnSecret): Level => (attested && !backupEligible ? 'phrh' : 'phr');

/**
 * RFC 8176 section 2: `pop` for the signature; `hwk` for a key that stays in its device, `swk` for one that may be copied to
 * another; `user`, because somebody had to touch it (every answer without the flag UP is refused).
 */
function shownBy({ kinds }: Species, { backupEligible }: WebauthnSecret, level: Level): { kinds: Kind[]; level: Level; amr: string[] } {
  return { kinds: [...kinds], level, amr: ['pop', backupEligible ? 'swk' : 'hwk', 'user'] };
}
