/**
 * A passkey: a key that the device keeps together with whose it is, and gives out only to a finger, a face or a PIN. By
 * itself it is a complete sign-in, something one has and something one is, and it may begin one: then nobody has to
 * type a name.
 */

import type { RealmSettings } from '../../realms/settings.ts';
import { authenticationOptions, newChallenge, type Terms } from './challenge.ts';
import { relyingPartyAt } from './relying-party.ts';
import { assertionIn } from './responses.ts';
import { type WebauthnFactor, webauthnFactor } from './webauthn.ts';

/** A challenge with less left than this is replaced when its page is asked for: there has to be time to answer it. */
const SPARE_MS = 60_000;

const terms = ({ webauthn: { passkey: settings } }: RealmSettings): Terms => ({ ...settings, userVerification: 'required', discoverable: true });

export const passkey: WebauthnFactor = {
  ...webauthnFactor({
    id: 'passkey',
    name: 'Passkey',
    strength: 'Your device confirms that it is you, by finger, face or PIN. Nothing to type, and a fake page cannot use it.',
    kinds: ['possession', 'inherence'],
    terms,
  }),

  discover: {
    async begin(cx) {
      if (!cx.settings.webauthn.passkey.signIn || relyingPartyAt(cx.origin, cx.settings) === undefined) return undefined;
      return { state: newChallenge(cx.now, true) };
    },
    async show(cx, state) {
      return { options: authenticationOptions(cx, terms(cx.settings), state, []) };
    },
    isStale: (cx, { expiresAt }) => cx.now > expiresAt - SPARE_MS,
    lookup: (input) => assertionIn(input)?.id,
  },
};
