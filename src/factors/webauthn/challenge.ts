/** What an authenticator is asked, and on which terms: all that there is of a ceremony before somebody answers (ceremony.ts). */
import { randomBytes } from 'node:crypto';
import type { PublicKeyCredentialRequestOptionsJSON } from '@simplewebauthn/server';
import type { Credential, FactorContext } from '../factor.ts';
import type { AttestationTerms } from './attestation.ts';
import { type RelyingParty, relyingPartyAt } from './relying-party.ts';
import type { WebauthnSecret } from './stored.ts';

/** What a factor, and the realm, ask of an authenticator. */
export interface Terms extends AttestationTerms {
  userVerification: 'required' | 'preferred' | 'discouraged';
  /** It is found without a name: the authenticator keeps it, and the user handle with it. */
  discoverable: boolean;
}

/** A challenge as it is kept on the server, and what it was made for. */
export interface Challenge {
  /** 32 random bytes, base64url. */
  challenge: string;
  expiresAt: number;
  /** Asked of nobody in particular: whichever credential the user chooses, which then has to say whose it is. */
  open: boolean;
}

/** The same for a registration. */
export interface RegistrationChallenge extends Challenge {
  /** The user handle, base64url. */
  handle: string;
  /** Credential ids that an authenticator must not have already. */
  exclude: string[];
}

const CHALLENGE_BYTES = 32;
/** How long a challenge is good for, in milliseconds (WebAuthn section 15.1 recommends five to ten minutes). */
export const CHALLENGE_LIFETIME_MS = 5 * 60_000;

export const newChallenge = (now: number, open = false): Challenge => ({
  challenge: randomBytes(CHALLENGE_BYTES).toString('base64url'),
  expiresAt: now + CHALLENGE_LIFETIME_MS,
  open,
});

/** @param held the credentials that may answer, unless the challenge is open */
export function authenticationOptions(
  cx: FactorContext,
  terms: Terms,
  state: Challenge,
  held: readonly Credential<WebauthnSecret>[],
): PublicKeyCredentialRequestOptionsJSON {
  return {
    rpId: requireRelyingParty(cx).id,
    challenge: state.challenge,
    timeout: CHALLENGE_LIFETIME_MS,
    userVerification: terms.userVerification,
    allowCredentials: state.open ? [] : held.map(({ secret }) => ({ id: secret.credentialId, type: 'public-key', transports: secret.transports })),
  };
}

/** @throws where our origin offers no WebAuthn; whoever began a ceremony has looked */
export function requireRelyingParty(cx: FactorContext): RelyingParty {
  const relyingParty = relyingPartyAt(cx.origin, cx.settings);
  if (!relyingParty) throw new Error('There is no WebAuthn at this origin.');
  return relyingParty;
}
