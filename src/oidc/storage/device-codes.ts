/**
 * Device codes (RFC 8628) as they are stored: asked for by a device that knows only the code, found by a person who knows
 * only the user code, and approved or denied once.
 *
 * A person's request never learns the code itself, of which only the hash is stored: there a row goes by its hash behind a
 * mark, and nothing with that mark is a code at the token endpoint.
 */
import { type AdapterPayload, errors, type KoaContextWithOIDC, Provider } from 'oidc-provider';
import type { AuditEvent, AuditOrigin } from '../../audit/event.ts';
import { record } from '../../audit/record.ts';
import { AppError } from '../../errors.ts';
import { Throttle } from '../../sessions/throttle.ts';
import { changeDeviceCode, notePoll } from '../../store/device-codes.ts';
import { findPayload, findPayloadByUserCode, type PayloadKey, type PayloadRow } from '../../store/oidc-payloads.ts';
import { rowOf, secondsOf } from '../clients/client-metadata.ts';
import { TooMany } from '../too-many.ts';
import { CibaAnswers, isCibaCode, isCibaHandle } from './ciba-requests.ts';
import { ModelAdapter } from './model-adapter.ts';
import { requestCache } from './request-cache.ts';

/** Before the hash of a code that nobody here has seen. */
const STORED = '#';
/** How long a code is still known that has expired: its device, and who types it, are told so, and not that there is none. */
const KEPT_MS = 10 * 60_000;
/** What a poll may come earlier than its interval: networks and timers are not exact. */
const EARLY_MS = 500;
/** What is nobody's answer: the code stays as good as it was. */
const NO_ANSWER: ReadonlySet<string | undefined> = new Set(['server_error', 'temporarily_unavailable']);

/** Another request has answered a code, or the device has exchanged it, since this one looked at it. */
export class CodeSpent extends errors.InvalidRequest {}

export class DeviceCodeAdapter extends ModelAdapter {
  /** Requests of CIBA, which go through the same pages. */
  readonly #ciba = new CibaAnswers(this.parts.room);

  override async upsert(id: string, payload: AdapterPayload, expiresIn?: number): Promise<void> {
    const ctx = Provider.ctx;
    if (!ctx) throw new Error('A device code outside of a request.');
    if (isCibaCode(id)) return this.#ciba.change(ctx, id, payload);
    if (ctx.oidc.route === 'device_authorization') return this.#begin(ctx, this.row(id, payload, expiresIn));
    return this.#change(ctx, this.key(id), payload);
  }

  override async find(id: string): Promise<AdapterPayload | undefined> {
    const ctx = Provider.ctx;
    if (ctx?.oidc.route === 'token' && (id.startsWith(STORED) || isCibaCode(id))) return undefined;
    if (isCibaCode(id)) return this.#ciba.find(id);
    const row = await findPayload(this.queries, this.key(id));
    const payload = row && (await this.payload(row, id));
    if (row) requestCache().deviceCode = { id: row.id, payload: row.payload };
    if (payload && ctx?.oidc.route === 'token' && this.#isOpen(payload)) await this.#pace(ctx, id, payload);
    return payload;
  }

  /** @throws TooMany while too many codes were wrong at this address, or in this realm: counted before anything is looked for */
  override async findByUserCode(userCode: string): Promise<AdapterPayload | undefined> {
    // Nobody guesses one of those, and nobody has to type it.
    if (isCibaHandle(userCode)) return this.#ciba.findByHandle(userCode);
    const attempt = await this.#count();
    const row = await attempt.comparing(() => findPayloadByUserCode(this.queries, this.realmId, this.model, userCode));
    const payload = row && (await this.payload(row, `${STORED}${row.id}`));
    if (row) requestCache().deviceCode = { id: row.id, payload: row.payload };
    if (payload && this.#isOpen(payload) && !payload.inFlight) await attempt.succeeded();
    else await attempt.failed();
    return payload;
  }

  protected override key(id: string): PayloadKey {
    return id.startsWith(STORED) ? { realmId: this.realmId, model: this.model, id: id.slice(STORED.length) } : super.key(id);
  }

  /** Nobody has answered it yet, and it is still good. */
  #isOpen({ accountId, error, exp }: AdapterPayload): boolean {
    return accountId === undefined && error === undefined && (exp ?? 0) * 1000 > this.parts.room.now();
  }

  /** Codes that are waiting are counted by the address of their device, together with the sign-ins that were begun there. */
  async #begin(ctx: KoaContextWithOIDC, row: Omit<PayloadRow, 'uses'>): Promise<void> {
    await this.begin(ctx, { ...row, expiresAt: row.expiresAt === null ? null : row.expiresAt + KEPT_MS });
    this.parts.room.batch.add(this.#origin(ctx, ctx.oidc.client?.clientId), { type: 'device.started', details: {} });
  }

  /** A device that asks too often is told so, on whichever node it asks. @throws SlowDown (RFC 8628 section 3.5) */
  async #pace(ctx: KoaContextWithOIDC, id: string, payload: AdapterPayload): Promise<void> {
    const { client } = ctx.oidc;
    if (!client || payload.clientId !== client.clientId) return;
    const { context, now } = this.parts.room;
    const intervalMs = pollingInterval(client, context.realm.settings) * 1000 - EARLY_MS;
    if (!(await notePoll(this.queries, this.key(id), { now: now(), intervalMs }))) throw new errors.SlowDown();
  }

  async #count() {
    const ctx = Provider.ctx;
    const { db, context, log, now } = this.parts.room;
    const { realm, rootSecret } = context;
    const from = { ip: ctx?.ip ?? null, userAgent: ctx?.get('user-agent') || null, log };
    try {
      return await new Throttle(db, { id: realm.id, rootSecret, settings: realm.settings }, from).userCode(ctx?.oidc.session?.uid ?? '', now());
    } catch (error) {
      if (!(error instanceof AppError) || error.status !== 429) throw error;
      if (error.retryAfter !== undefined) ctx?.set('Retry-After', String(error.retryAfter));
      throw new TooMany(error.said);
    }
  }

  /** Of many who answer a code at once one does: it is written as it was read, or not at all. @throws CodeSpent */
  async #change(ctx: KoaContextWithOIDC, key: PayloadKey, payload: AdapterPayload): Promise<void> {
    const cache = requestCache();
    const before = cache.deviceCode;
    if (before?.id !== key.id) throw new Error('A device code is changed that was not read.');
    const { jti: _id, ...answered } = NO_ANSWER.has(payload.error) ? reopened(payload) : payload;
    const event = eventOf(answered, JSON.parse(before.payload));
    const text = JSON.stringify(answered);
    // The device may ask in the very moment of the answer. The library saves the session, which the code hangs on, when the
    // person's request ends, and then once more for how long it lasts.
    if (event?.type === 'device.approved') await ctx.oidc.session?.save(this.parts.room.context.realm.settings.ssoSessionMaxLifespan);
    const changed = await this.parts.room.db.transaction(async (trx) => {
      const change = { before: before.payload, payload: text, grantId: answered.grantId ?? null };
      if (!(await changeDeviceCode(trx, key, change))) return false;
      if (event) await record(trx, this.#origin(ctx, payload.clientId), event);
      return true;
    });
    if (!changed) throw new CodeSpent('the code was answered or used meanwhile');
    cache.deviceCode = { id: key.id, payload: text };
  }

  #origin(ctx: KoaContextWithOIDC, clientId: string | undefined): AuditOrigin {
    const userId = ctx.oidc.session?.accountId ?? null;
    return {
      ...{ realmId: this.realmId, at: this.parts.room.now(), actor: userId, subject: userId, clientId: clientId ?? null },
      ...{ transactionId: ctx.oidc.entities.Interaction?.cid ?? null, ip: ctx.ip, userAgent: ctx.get('user-agent') || null },
    };
  }
}

/** Seconds that a device waits between its questions: its client's own, or the realm's. */
export const pollingInterval = (client: { [key: string]: unknown } | undefined, settings: { oauth2DevicePollingInterval: number }): number =>
  secondsOf(rowOf(client), 'oauth2.device.polling.interval') ?? settings.oauth2DevicePollingInterval;

const reopened = ({ error: _error, errorDescription: _description, inFlight: _inFlight, ...open }: AdapterPayload): AdapterPayload => open;

function eventOf(after: AdapterPayload, before: AdapterPayload): AuditEvent | undefined {
  if (after.error !== undefined && before.error === undefined) return { type: 'device.denied', details: { reason: after.error } };
  if (after.accountId !== undefined && before.accountId === undefined) return { type: 'device.approved', details: {} };
  return undefined;
}
