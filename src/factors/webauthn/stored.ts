/** What is kept of an authenticator's key, sealed. The id that it is found by stands in the row as well, its counter only there. */
import { z } from 'zod';
import { corrupted } from '../../errors.ts';

export interface WebauthnSecret {
  /** The WebAuthn credential id, base64url. */
  credentialId: string;
  /** COSE (RFC 9052 section 7), base64url. */
  publicKey: string;
  /** How the browser can reach it, such as `usb` or `internal`; helps it to ask for the right thing. */
  transports: string[];
  /** The user handle that it was made with, base64url. */
  handle: string;
  /** The model, as it says itself; zeros where it does not. */
  aaguid: string;
  /** Whether it may ever be copied to another device. Never changes. */
  backupEligible: boolean;
  /** Whether it is, as it said last. */
  backedUp: boolean;
  /** Whether the maker's signed statement was verified up to a trust anchor of the realm. */
  attested: boolean;
}

const bytes = z
  .string()
  .min(1)
  .regex(/^[\w-]+$/);

const stored = z.strictObject({
  credentialId: bytes,
  publicKey: bytes,
  transports: z.array(z.string()),
  handle: bytes,
  aaguid: z.guid(),
  backupEligible: z.boolean(),
  backedUp: z.boolean(),
  attested: z.boolean(),
});

/** @throws `corrupted` for anything else */
export function parseWebauthnSecret(value: unknown): WebauthnSecret {
  const parsed = stored.safeParse(value);
  if (!parsed.success) throw corrupted('A stored security key or passkey is not what it must be.');
  return parsed.data;
}
