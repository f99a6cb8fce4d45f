/**
 * Requests that are answered elsewhere (CIBA), rows of oidc_payloads: a client asks after one while its user answers it at a
 * browser. Those that wait are counted, and listed, by whom they wait for: the HMAC that stands in `address`.
 */
import { type PayloadKey, type PayloadRecord, type PayloadRow, payloadFromRecord } from './oidc-payloads.ts';
import type { Queries } from './rows.ts';

/** Writes the answer to a request; false when it is no longer as it was read before. It waits for nobody then. */
export async function answerCibaRequest(
  queries: Queries,
  { realmId, model, id }: PayloadKey,
  change: { before: string; payload: string; grantId: string | null },
): Promise<boolean> {
  const changed = await queries('oidc_payloads')
    .where({ realm_id: realmId, model, id, payload: change.before, uses: 0 })
    .update({ payload: change.payload, grant_id: change.grantId, address: null });
  return changed === 1;
}

/** The requests that wait for one user, the oldest first. */
export async function waitingCibaRequests(queries: Queries, of: { realmId: string; waitingFor: string; now: number }): Promise<PayloadRow[]> {
  const rows = await queries<PayloadRecord & { address: string | null }>('oidc_payloads')
    .where({ realm_id: of.realmId, address: of.waitingFor })
    .where('expires_at', '>', of.now)
    .orderBy('expires_at')
    .limit(20);
  return rows.map(payloadFromRecord);
}
