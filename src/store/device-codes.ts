/**
 * What becomes of a device code (RFC 8628), one row of oidc_payloads: it is asked after, approved or denied by several
 * requests at once, and each of these is one conditional UPDATE.
 */
import type { PayloadKey } from './oidc-payloads.ts';
import type { Queries } from './rows.ts';

const where = ({ realmId, model, id }: PayloadKey) => ({ realm_id: realmId, model, id });

/** Writes what became of a code; false when it is no longer as it was read before, or was exchanged meanwhile. */
export async function changeDeviceCode(
  queries: Queries,
  key: PayloadKey,
  change: { before: string; payload: string; grantId: string | null },
): Promise<boolean> {
  const changed = await queries('oidc_payloads')
    .where(where(key))
    .where({ payload: change.before, uses: 0 })
    .update({ payload: change.payload, grant_id: change.grantId });
  return changed === 1;
}

/** Notes that a device asks after its code; false, and nothing is noted, when it asked less than `intervalMs` ago. */
export async function notePoll(queries: Queries, key: PayloadKey, { now, intervalMs }: { now: number; intervalMs: number }): Promise<boolean> {
  const noted = await queries('oidc_payloads')
    .where(where(key))
    .where((rows) => rows.whereNull('polled_at').orWhere('polled_at', '<=', now - intervalMs))
    .update({ polled_at: now });
  return noted === 1;
}
