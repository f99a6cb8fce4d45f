/** Credentials as a factor is handed them: their secrets opened and narrowed. */
import type { Keyring } from '../crypto/keyring.ts';
import { corrupted } from '../errors.ts';
import { type CredentialRow, credentialSeal } from '../store/credentials.ts';
import type { Credential, Factor } from './factor.ts';

/**
 * Opens a user's credentials of one factor.
 * @throws `corrupted` when one does not open: that is an alarm and a refused sign-in, never "no factor"
 */
export async function openCredentials<Secret>(
  keyring: Keyring,
  factor: Factor<Secret>,
  rows: readonly CredentialRow[],
  credentialId: string | null,
): Promise<Credential<Secret>[]> {
  const wanted = rows.filter((row) => row.enabled && row.factor === factor.id && (credentialId === null || row.id === credentialId));
  return Promise.all(
    wanted.map(async (row) => ({
      id: row.id,
      factor: row.factor,
      label: row.label,
      secret: factor.parseSecret(json(await keyring.openText(credentialSeal(row), row.secret))),
      counter: row.counter,
      level: row.level,
      createdAt: row.createdAt,
      lastUsedAt: row.lastUsedAt,
    })),
  );
}

function json(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw corrupted('A stored credential cannot be read.', cause);
  }
}
