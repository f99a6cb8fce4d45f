/**
 * Tokens that are bound to a key (DPoP, RFC 9449): what the library is told. Grants of ours have them bound by binding.ts.
 *
 * A proof is good once, within minutes of its time, on all nodes together: its `jti` is stored by an insert that fails the
 * second time. Nonces are given out and checked where a client uses them; they are not demanded, because they would cost
 * every first request a round trip and add little to proofs that are good once.
 */
import type { Configuration } from 'oidc-provider';
import { derive } from '../../crypto/keyring.ts';
import type { RealmRoom } from '../room.ts';

/** How far the library lets a proof's time be from now, to either side, in seconds. */
export const PROOF_WINDOW = 300;

type Features = NonNullable<Configuration['features']>;

/** Nonces come of a secret of the realm's that every node derives, so that any of them takes what another gave out. */
export const dpopOf = ({ context }: RealmRoom): NonNullable<Features['dPoP']> => ({
  enabled: true,
  nonceSecret: derive(context.rootSecret, 'dpop nonces'),
  requireNonce: () => false,
});
