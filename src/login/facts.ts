/** What a sign-in is judged by: the rules of machine.ts, computed anew for each event from what is stored. */
import type { Keyring } from '../crypto/keyring.ts';
import { corrupted } from '../errors.ts';
import type { Credential, Factor } from '../factors/factor.ts';
import { enrollableFactors, ownedFactors } from '../factors/owned.ts';
import { freshProofs } from '../policy/decide.ts';
import { requestFacts } from '../policy/request.ts';
import type { RealmRow } from '../store/realms.ts';
import { type CredentialRow, credentialSeal } from '../store/credentials.ts';
import type { SessionRow } from '../store/sessions.ts';
import type { LoginRules } from './machine.ts';

/** The rules for a user with these credentials; none while nobody is known. */
export function rulesFor(
  realm: RealmRow,
  request: { params: Record<string, unknown>; startedAt: number },
  user: { credentials: readonly CredentialRow[]; session: SessionRow | undefined },
  now: number,
): LoginRules {
  const active = user.credentials.filter((row) => row.enabled);
  const owned = ownedFactors(user.credentials);
  const second = new Set(owned.map((factor) => factor.factor));
  return {
    facts: { mfa: realm.settings.mfa, owned, enrollable: enrollableFactors(), ...requestFacts(request.params, request.startedAt) },
    sessionProofs: user.session ? freshProofs(user.session.proofs, now, user.session.lastSeenAt) : [],
    choices: active.filter((row) => second.has(row.factor)).map((row) => ({ factor: row.factor, credentialId: row.id })),
  };
}

/**
 * Opens a user's credentials of one factor.
 * @throws `corrupted` when one does not open: that is an alarm and a refused sign-in, never "no factor"
 */
export async function openCredentials<Secret>(keyring: Keyring, factor: Factor<Secret>, rows: readonly CredentialRow[], credentialId: string | null): Promise<Credential<Secret>[]> {
  const wanted = rows.filter((row) => row.enabled && row.factor === factor.id && (credentialId === null || row.id === credentialId));
  return Promise.all(
    wanted.map(async (row) => ({
      id: row.id,
      factor: row.factor,
      label: row.label,
      secret: factor.parseSecret(json(await keyring.openText(credentialSeal(row), row.secret))),
      counter: row.counter,
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
