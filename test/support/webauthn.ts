/** What the tests of security keys and passkeys share: the options that a page holds, and the harness of the contract suite. */
import type { PublicKeyCredentialCreationOptionsJSON, PublicKeyCredentialRequestOptionsJSON } from '@simplewebauthn/server';
import type { Form } from '../../src/factors/factor.ts';
import type { Challenge, RegistrationChallenge } from '../../src/factors/webauthn/challenge.ts';
import type { WebauthnSecret } from '../../src/factors/webauthn/stored.ts';
import { Authenticator } from './authenticator.ts';
import type { FactorHarness } from './factors.ts';

/** The options on the page of an enrolment. */
export function creationOptions(page: { model: Record<string, unknown> } | undefined): PublicKeyCredentialCreationOptionsJSON {
  const options: unknown = page?.model.options;
  if (!isCreation(options)) throw new Error('There are no options to make a key by.');
  return options;
}

/** The options on the page of a challenge, or on the first page. */
export function requestOptions(page: { model: Record<string, unknown> } | undefined): PublicKeyCredentialRequestOptionsJSON {
  const options: unknown = page?.model.options;
  if (!isRequest(options)) throw new Error('There are no options to sign by.');
  return options;
}

const isObject = (value: unknown): value is object => typeof value === 'object' && value !== null;
const isCreation = (value: unknown): value is PublicKeyCredentialCreationOptionsJSON => isObject(value) && 'challenge' in value && 'user' in value;
const isRequest = (value: unknown): value is PublicKeyCredentialRequestOptionsJSON => isObject(value) && 'challenge' in value && 'rpId' in value;

/** Where the contract suite is, and the domain of its keys. */
const ORIGIN = 'https://id.example';
const RP_ID = 'id.example';

/** A harness of a factor whose credentials are WebAuthn's. Each credential is on an authenticator of its own. */
export function webauthnHarness(factor: 'security-key' | 'passkey'): FactorHarness {
  const devices = new Map<string, Authenticator>();
  const answered = (secret: unknown, state: unknown, challenge?: string): Form => {
    const { credentialId } = secret as WebauthnSecret;
    const device = devices.get(credentialId);
    if (!device) throw new Error('No authenticator has that credential.');
    const options = { challenge: (state as Challenge).challenge, rpId: RP_ID, allowCredentials: [{ id: credentialId, type: 'public-key' as const }] };
    return { response: device.get(options, challenge === undefined ? {} : { challenge }) };
  };
  const another = Buffer.alloc(32, 1).toString('base64url');
  return {
    async credential() {
      const device = new Authenticator({ origin: ORIGIN });
      const handle = Buffer.alloc(64, 7).toString('base64url');
      device.create(creation({ challenge: another, expiresAt: 0, open: false, handle, exclude: [] }));
      const [key] = device.keys;
      if (!key) throw new Error('No key was made.');
      devices.set(key.id, device);
      const secret: WebauthnSecret = {
        credentialId: key.id,
        publicKey: device.publicKeyOf(key).toString('base64url'),
        transports: ['internal'],
        handle,
        aaguid: device.traits.aaguid,
        backupEligible: false,
        backedUp: false,
        attested: false,
      };
      return { id: key.id.slice(0, 8), factor, label: 'Mine', secret, counter: 0, level: null, createdAt: 0, lastUsedAt: null };
    },
    right: ({ secret, state }) => answered(secret, state),
    wrong: ({ secret, state }) => answered(secret, state, another),
    fields: ['response', 'label'],
    spends: 'once',
    secrets: (secret) => [(secret as WebauthnSecret).publicKey, (secret as WebauthnSecret).handle],
    confirm({ state }) {
      const device = new Authenticator({ origin: ORIGIN });
      const options = creation(state as RegistrationChallenge);
      return {
        right: { response: device.create(options), label: 'New laptop' },
        wrong: { response: device.create(options, { challenge: another }) },
      };
    },
  };
}

const creation = ({ challenge, handle }: RegistrationChallenge): PublicKeyCredentialCreationOptionsJSON => ({
  challenge,
  rp: { id: RP_ID, name: 'Demo' },
  user: { id: handle, name: 'alice', displayName: 'alice' },
  pubKeyCredParams: [],
});
