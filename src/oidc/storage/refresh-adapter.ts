/**
 * Where refresh tokens are stored, with what the library does not know of them: what they were exchanged from, and the line
 * that they are of, where their client may present a replaced one again for a while (`cardea.refresh.grace`).
 *
 * That is for clients whose processes share no memory, or lose an answer: several refresh with the same token within seconds.
 * Each gets tokens of its own, which are one generation. Of the newest generation alone tokens are taken, several times within
 * the grace after the first of it was used; one of an older generation, or after its time, is a replay, and ends the family as
 * ever. So whoever stole a token gains that grace and no more: thief and owner go on side by side until one of them is later
 * than that, and then neither does.
 */
import { type AdapterPayload, errors, Provider } from 'oidc-provider';
import { longestOf } from '../../sessions/lifetimes.ts';
import type { PayloadRow } from '../../store/oidc-payloads.ts';
import { insertChain, mayUseGeneration, useGeneration } from '../../store/refresh-chains.ts';
import { clientUse, offlineUse } from '../../store/sessions.ts';
import { rotates, secondsOf } from '../clients/client-metadata.ts';
import { idleOf, offlineIdleOf, offlineLongest, voidBefore } from '../clients/client-session.ts';
import type { OidcClient } from '../clients/clients.ts';
import { exchangeStands, storedExchange } from '../grants/exchanged.ts';
import { stillProved } from '../tokens/still-proved.ts';
import { ModelAdapter } from './model-adapter.ts';
import { requestCache } from './request-cache.ts';

/** How often tokens of one generation are used at most: processes that refresh at the same moment are few. */
const MOST_USES = 10;

/** An offline token ends when it is not used for too long; one of a session ends with the session. */
export class RefreshTokenAdapter extends ModelAdapter {
  override async upsert(id: string, payload: AdapterPayload, expiresIn?: number): Promise<void> {
    const line = requestCache().line ?? (await this.#begin(id, payload));
    await super.upsert(id, line ? { ...payload, line: line.id } : payload, expiresIn);
  }

  override async find(id: string): Promise<AdapterPayload | undefined> {
    const found = await super.find(id);
    if (!found) return undefined;
    const { room, clients } = this.parts;
    const exchange = storedExchange(found.exchange);
    // It says what the tokens say that are made from it, and ends with what it came from.
    if (exchange && !(await exchangeStands(room, clients, exchange, found.iat ?? 0))) return undefined;
    if (exchange) requestCache().exchange = exchange;
    if (Provider.ctx?.oidc.route === 'token') Object.assign(found, await stillProved(room, found));
    const client = await this.parts.clients.find(found.clientId ?? '');
    if (!client || (found.iat ?? 0) < voidBefore(client.row, room.context.realm.settings) || (await this.#isIdle(found, client))) return undefined;
    if (found.scope !== undefined) found.scope = stillAllowed(client, found.scope);
    return found;
  }

  async #isIdle(found: AdapterPayload, client: OidcClient): Promise<boolean> {
    const { room } = this.parts;
    const { settings } = room.context.realm;
    if (!found.expiresWithSession) {
      const usedAt = await offlineUse(this.queries, this.realmId, found.sid ?? '');
      return usedAt === undefined || usedAt + offlineIdleOf(client.row, settings) * 1000 <= room.now();
    }
    const idle = idleOf(client.row, settings);
    if (idle === undefined) return false;
    // A new token is a use; one that is not replaced is issued once, and its uses are recorded.
    const usedAt = Math.max((found.iat ?? 0) * 1000, await clientUse(this.queries, this.realmId, found.sid ?? ''));
    return usedAt + idle * 1000 <= room.now();
  }

  override async consume(id: string): Promise<void> {
    const { line } = requestCache();
    if (!line) return super.consume(id);
    if (await useGeneration(this.queries, { realmId: this.realmId, id: line.id }, line.generation, line.grace)) return;
    const payload = await this.find(id);
    if (payload?.grantId) await this.endFamily(payload);
    throw new errors.InvalidGrant('it was already used');
  }

  /** The library keeps of a refresh token what it knows, and makes the next one of that; the rest goes on beside it. */
  protected override row(id: string, payload: AdapterPayload, expiresIn: number | undefined): Omit<PayloadRow, 'uses'> {
    const { exchange } = requestCache();
    return super.row(id, exchange ? { ...payload, exchange } : payload, expiresIn);
  }

  protected override async payload(row: PayloadRow, id?: string): Promise<AdapterPayload> {
    const payload = await super.payload(row, id);
    if (typeof payload.line !== 'string') return payload;
    const grace = { now: this.parts.room.now(), grace: (await this.#graceOf(payload)) * 1000, most: MOST_USES };
    const line = { id: payload.line, generation: rotationsOf(payload), grace };
    requestCache().line = line;
    if (!(await mayUseGeneration(this.queries, { realmId: this.realmId, id: line.id }, line.generation, grace))) payload.consumed = true;
    return payload;
  }

  /** Seconds; a client that was changed meanwhile has what it has now. */
  async #graceOf({ clientId = '' }: AdapterPayload): Promise<number> {
    const client = await this.parts.clients.find(clientId);
    return (client && secondsOf(client.row, 'cardea.refresh.grace')) ?? 0;
  }

  /** A line begins with the first token that may be replaced, and presented again. */
  async #begin(id: string, payload: AdapterPayload): Promise<{ id: string } | undefined> {
    const { room, clients } = this.parts;
    const { settings } = room.context.realm;
    const client = await clients.find(payload.clientId ?? '');
    if (!client || secondsOf(client.row, 'cardea.refresh.grace') === undefined || !rotates(client.row, settings)) return undefined;
    const key = this.key(id);
    // As long as any token of it may last.
    const longest = Math.max(longestOf(settings), offlineLongest(settings) * 1000);
    await insertChain(this.queries, { realmId: this.realmId, id: key.id, generation: rotationsOf(payload) - 1, expiresAt: room.now() + longest });
    return { id: key.id };
  }
}

/** What is left of a token's scopes: one that was taken from its client is in no token that is made from now on. */
function stillAllowed({ scopes: { defaults, optional } }: OidcClient, scope: string): string {
  const allowed = new Set(['openid', ...defaults, ...optional]);
  const left = scope.split(' ').filter((name) => allowed.has(name));
  return left.join(' ');
}

/** The library counts them. */
const rotationsOf = ({ rotations }: AdapterPayload): number => (typeof rotations === 'number' ? rotations : 0);
