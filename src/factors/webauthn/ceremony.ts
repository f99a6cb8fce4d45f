/**
 * The two ceremonies of WebAuthn Level 3: registration (section 7.1) and authentication (section 7.2), with the rules of
 * this product. The library parses and verifies; what is here is what it is told to insist on, and what it leaves to us:
 *
 *     parse ─► not too late ─► the library: type, challenge, origin, RP ID, flags, algorithm, statement, signature
 *           ─► not in a frame, the right user handle, backup flag and counter ─► the challenge is spent, once ─► ok
 *
 * Loaded when somebody answers, or binds a key (webauthn.ts): with the library it is the largest part of this folder.
 *
 * The counter is ours, because the library looks at it before the signature: an alarm that anybody can set off is none.
 */
import {
  generateRegistrationOptions,
  type PublicKeyCredentialCreationOptionsJSON,
  verifyAuthenticationResponse,
  verifyRegistrationResponse,
} from '@simplewebauthn/server';
import { COSEALG, decodeClientDataJSON } from '@simplewebauthn/server/helpers';
import type { Credential, FactorContext, Form } from '../factor.ts';
import { conveyanceOf, isReadable, judgeModel } from './attestation.ts';
import { CHALLENGE_LIFETIME_MS, type Challenge, type RegistrationChallenge, requireRelyingParty, type Terms } from './challenge.ts';
import type { RelyingParty } from './relying-party.ts';
import { type Assertion, assertionIn, type Registration, registrationIn } from './responses.ts';
import type { WebauthnSecret } from './stored.ts';

export type Registered =
  | { ok: true; secret: WebauthnSecret; counter: number }
  | { ok: false; reason: 'malformed' | 'expired' | 'wrong' | 'replayed' | 'not-allowed' };

export type Authenticated =
  | { ok: true; held: Credential<WebauthnSecret>; renewed?: WebauthnSecret }
  | { ok: false; reason: 'malformed' | 'expired' | 'wrong' | 'replayed' | 'cloned'; credentialId?: string };

/** By the names of the IANA registry (RFC 9053, RFC 8812). */
const ALGORITHMS = {
  EdDSA: COSEALG.EdDSA,
  ES256: COSEALG.ES256,
  ES384: COSEALG.ES384,
  ES512: COSEALG.ES512,
  PS256: COSEALG.PS256,
  RS256: COSEALG.RS256,
} as const;

/** @throws where our origin offers no WebAuthn; whoever began a ceremony has looked */
export async function registrationOptions(
  cx: FactorContext,
  terms: Terms,
  state: RegistrationChallenge,
): Promise<PublicKeyCredentialCreationOptionsJSON> {
  if (cx.user === undefined) throw new Error('a key is bound to a user who is known');
  return generateRegistrationOptions({
    rpName: cx.realm.displayName || cx.realm.name,
    rpID: requireRelyingParty(cx).id,
    userID: toBytes(state.handle),
    userName: cx.user.username,
    userDisplayName: cx.user.username,
    challenge: toBytes(state.challenge),
    timeout: CHALLENGE_LIFETIME_MS,
    attestationType: conveyanceOf(terms),
    excludeCredentials: state.exclude.map((id) => ({ id })),
    authenticatorSelection: { residentKey: terms.discoverable ? 'required' : 'discouraged', userVerification: terms.userVerification },
    supportedAlgorithmIDs: algorithmsOf(cx),
    // What is not kept on this device. A passkey may be anywhere.
    ...(terms.discoverable ? {} : { preferredAuthenticatorType: 'securityKey' }),
  });
}

/** WebAuthn section 7.1. Form field `response`. */
export async function checkRegistration(cx: FactorContext, terms: Terms, state: RegistrationChallenge, input: Form): Promise<Registered> {
  const answer = registrationIn(input);
  if (!answer) return { ok: false, reason: 'malformed' };
  if (cx.now > state.expiresAt) return { ok: false, reason: 'expired' };
  const relyingParty = requireRelyingParty(cx);
  const readable = await attempt(async () => isReadable(answer.response.attestationObject));
  if (!readable) return { ok: false, reason: readable === false ? 'not-allowed' : 'wrong' };
  const registered = await attempt(async () => {
    const { verified, registrationInfo } = await verifyRegistrationResponse({
      response: asRegistration(answer),
      expectedChallenge: state.challenge,
      expectedOrigin: relyingParty.origin,
      expectedRPID: relyingParty.id,
      requireUserVerification: terms.userVerification === 'required',
      supportedAlgorithmIDs: algorithmsOf(cx),
    });
    return verified && !isFramed(answer) && registrationInfo.credential.id === answer.id ? registrationInfo : undefined;
  });
  if (!registered) return { ok: false, reason: 'wrong' };
  const model = judgeModel(registered, terms, cx.now);
  if (!model) return { ok: false, reason: 'not-allowed' };
  if (state.exclude.includes(answer.id) || !(await cx.once(`webauthn ${state.challenge}`, state.expiresAt))) {
    return { ok: false, reason: 'replayed' };
  }
  return {
    ok: true,
    counter: registered.credential.counter,
    secret: {
      credentialId: registered.credential.id,
      publicKey: Buffer.from(registered.credential.publicKey).toString('base64url'),
      transports: answer.response.transports,
      handle: state.handle,
      aaguid: registered.aaguid,
      backupEligible: registered.credentialDeviceType === 'multiDevice',
      backedUp: registered.credentialBackedUp,
      attested: model.attested,
    },
  };
}

/** WebAuthn section 7.2. Form field `response`. Of `held`, the one that the answer names is consulted and no other. */
export async function checkAuthentication(
  cx: FactorContext,
  terms: Terms,
  state: Challenge,
  input: Form,
  held: readonly Credential<WebauthnSecret>[],
): Promise<Authenticated> {
  const answer = assertionIn(input);
  if (!answer) return { ok: false, reason: 'malformed' };
  const credential = held.find(({ secret }) => secret.credentialId === answer.id);
  if (!credential) return { ok: false, reason: 'wrong' };
  const refused = (reason: Extract<Authenticated, { ok: false }>['reason']): Authenticated => ({ ok: false, reason, credentialId: credential.id });
  if (cx.now > state.expiresAt) return refused('expired');

  const { secret } = credential;
  const shown = await verifiedAssertion(requireRelyingParty(cx), terms, state, answer, secret);
  if (!shown) return refused('wrong');
  // The same key with another flag, or with a counter that went back, is a key in two places (sections 6.1.1 and 6.1.3).
  if (shown.backupEligible !== secret.backupEligible || wentBack(credential.counter, shown.counter)) return refused('cloned');
  if (!(await cx.once(`webauthn ${state.challenge}`, state.expiresAt))) return refused('replayed');
  if (shown.counter > 0 && !(await cx.spend(credential.id, shown.counter))) return refused('cloned');
  return { ok: true, held: credential, ...(shown.backedUp === secret.backedUp ? {} : { renewed: { ...secret, backedUp: shown.backedUp } }) };
}

interface Shown {
  counter: number;
  backupEligible: boolean;
  backedUp: boolean;
}

async function verifiedAssertion(
  relyingParty: RelyingParty,
  terms: Terms,
  state: Challenge,
  answer: Assertion,
  secret: WebauthnSecret,
): Promise<Shown | undefined> {
  const { userHandle } = answer.response;
  if (userHandle === undefined ? state.open : userHandle !== secret.handle) return undefined;
  return attempt(async () => {
    const { verified, authenticationInfo: info } = await verifyAuthenticationResponse({
      response: { ...answer, clientExtensionResults: {} },
      expectedChallenge: state.challenge,
      expectedOrigin: relyingParty.origin,
      expectedRPID: relyingParty.id,
      credential: { id: secret.credentialId, publicKey: toBytes(secret.publicKey), counter: 0 },
      requireUserVerification: terms.userVerification === 'required',
    });
    if (!verified || isFramed(answer)) return undefined;
    return { counter: info.newCounter, backupEligible: info.credentialDeviceType === 'multiDevice', backedUp: info.credentialBackedUp };
  });
}

/** Both zero: an authenticator without a counter. Else it has to grow. */
const wentBack = (before: number | null, now: number): boolean => (now > 0 || (before ?? 0) > 0) && now <= (before ?? -1);

/** No page of ours stands in a frame, so that no key is ever asked for in one. */
function isFramed({ response }: Registration | Assertion): boolean {
  const { crossOrigin, topOrigin } = decodeClientDataJSON(response.clientDataJSON);
  return crossOrigin === true || topOrigin !== undefined;
}

/** The library throws for whatever is wrong with an answer. To us that is an answer that is wrong. */
async function attempt<Result>(verify: () => Promise<Result | undefined>): Promise<Result | undefined> {
  try {
    return await verify();
  } catch {
    return undefined;
  }
}

const algorithmsOf = ({ settings }: FactorContext): COSEALG[] => settings.webauthn.algorithms.map((name) => ALGORITHMS[name]);
const asRegistration = (answer: Registration) => ({ ...answer, clientExtensionResults: {} });
const toBytes = (text: string): Uint8Array<ArrayBuffer> => new Uint8Array(Buffer.from(text, 'base64url'));
