/**
 * Secrets of clients: shown, made anew, and the one of before, which stays good for a while so that whatever runs with it
 * can be given the new one first.
 */
import { randomToken, sha256 } from '../../crypto/codes.ts';
import { badInput } from '../../errors.ts';
import { type ClientRow, clientSeal, rotatedSeal } from '../../store/clients.ts';
import type { RealmRow } from '../../store/realms.ts';
import { rewriteClient } from './client-changes.ts';
import type { Operator } from './context.ts';

/** Long enough for a deployment that waits for the next working day, and no longer. */
export const OVERLAP_MS = 86_400_000;
/** Two secrets of one client are for changing from one to the other, not for good. */
export const LONGEST_OVERLAP_MS = 30 * 86_400_000;

/** A client's secret; null for one that has none. */
export async function secretOf({ keyring }: Pick<Operator, 'keyring'>, client: ClientRow): Promise<string | null> {
  return client.secret === null ? null : keyring.openText(clientSeal(client), client.secret);
}

/** The secret of before, while it is good. */
export async function rotatedSecretOf({ keyring, now }: Pick<Operator, 'keyring' | 'now'>, client: ClientRow): Promise<string | null> {
  const { rotatedSecret, rotatedUntil } = client;
  return rotatedSecret === null || (rotatedUntil ?? 0) <= now ? null : keyring.openText(rotatedSeal(client), rotatedSecret);
}

/**
 * Gives a client a new secret.
 * @param overlapMs how long the one of before stays good; 0 for not at all
 * @throws AppError 400 for a public client, 404
 */
export async function regenerateSecret(
  operator: Operator,
  realm: RealmRow,
  id: string,
  overlapMs: number = OVERLAP_MS,
): Promise<{ client: ClientRow; secret: string }> {
  if (overlapMs < 0 || overlapMs > LONGEST_OVERLAP_MS) throw badInput('overlap', 'overlap: must be 30 days at most');
  const { keyring, now } = operator;
  const secret = randomToken(32);
  const client = await rewriteClient(operator, realm, id, async (before) => {
    if (before.publicClient) throw badInput('id', `Client "${before.clientId}" is public, and has no secret.`);
    const old = overlapMs === 0 ? null : await secretOf(operator, before);
    const after = {
      ...before,
      secret: await keyring.seal(clientSeal(before), secret),
      secretAt: now,
      rotatedSecret: old === null ? null : await keyring.seal(rotatedSeal(before), old),
      rotatedUntil: old === null ? null : now + overlapMs,
    };
    const until = after.rotatedUntil;
    return { after, events: [{ type: 'client.secret-regenerated', details: { name: before.clientId, ...(until === null ? {} : { until }) } }] };
  });
  return { client, secret };
}

/** Ends the secret of before, if there is one. */
export async function endRotatedSecret(operator: Operator, realm: RealmRow, id: string): Promise<void> {
  await rewriteClient(operator, realm, id, async (before) => {
    if (before.rotatedSecret === null) return undefined;
    const after = { ...before, rotatedSecret: null, rotatedUntil: null };
    return { after, events: [{ type: 'client.secret-ended', details: { name: before.clientId } }] };
  });
}

/** Gives a client a registration access token (RFC 7592 section 3), in the place of the one it had. */
export async function makeRegistrationToken(operator: Operator, realm: RealmRow, id: string): Promise<{ client: ClientRow; token: string }> {
  const token = randomToken(32);
  const client = await rewriteClient(operator, realm, id, async (before) => ({
    after: { ...before, registrationToken: sha256(token) },
    events: [{ type: 'client.registration-token-made', details: { name: before.clientId } }],
  }));
  return { client, token };
}
