/**
 * The library's Session. The library saves it whole, last write wins, and renews it by deleting the old id and saving under
 * a new one; here it is one row that is moved and merged. A Session whose session of ours has ended is nobody's.
 */
import { isDeepStrictEqual } from 'node:util';
import { type AdapterPayload, type KoaContextWithOIDC, Provider } from 'oidc-provider';
import { record } from '../../audit/record.ts';
import { endSessionsOf } from '../../sessions/sessions.ts';
import { findPayload, insertSessionPayload, lockSessionPayload, type PayloadRow, replaceSessionPayload } from '../../store/oidc-payloads.ts';
import { liveSession } from '../live-session.ts';
import { ModelAdapter } from './model-adapter.ts';
import { requestCache } from './request-cache.ts';

/** Requests whose session was renewed beside them: their cookie must not take the place of the newer one. */
const outdated = new WeakSet<object>();

/** Whether the library's session of this request was renewed by another one meanwhile. */
export const isOutdated = (oidc: object): boolean => outdated.has(oidc);

/** Requests whose session was not saved, because too many are open at their address. */
const refused = new WeakSet<object>();

/** Whether the library's session of this request was refused: it is saved no second time. */
export const isRefused = (oidc: object): boolean => refused.has(oidc);

/** Two requests at once never find the row missing, and neither loses what the other has added. */
export class SessionAdapter extends ModelAdapter {
  override async find(id: string): Promise<AdapterPayload | undefined> {
    const row = await findPayload(this.queries, this.key(id));
    if (!row) return undefined;
    requestCache().saved = { id: row.id, payload: row.payload, expiresAt: row.expiresAt };
    return this.#ifAlive(await this.payload(row, id));
  }

  override async findByUid(uid: string): Promise<AdapterPayload | undefined> {
    const cache = requestCache();
    const { behind } = cache;
    // Once: what is asked for again may be another by then.
    cache.behind = undefined;
    const found = behind?.uid === uid ? await this.payload(behind) : await super.findByUid(uid);
    return found && (await this.#ifAlive(found));
  }

  override async upsert(id: string, payload: AdapterPayload, expiresIn?: number): Promise<void> {
    const { db } = this.parts.room;
    const row = this.row(id, payload, expiresIn);
    if (isUnchanged(row)) return;
    const { ctx } = Provider;
    // Whoever comes without a cookie to a page with a form gets a session that nobody is signed in to.
    const isOpen = !payload.accountId;
    if (await (ctx && isOpen ? this.#beginOpen(ctx, row) : this.#insert(row))) return;
    const oidc = ctx?.oidc;
    await db.transaction(async (trx) => {
      const stored = await lockSessionPayload(trx, this.realmId, String(payload.uid));
      // Signed out meanwhile: what is saved now would be nobody's.
      if (!stored) return;
      const before: AdapterPayload = JSON.parse(stored.payload);
      const sameAccount = before.accountId === payload.accountId;
      const authorizations = sameAccount ? { ...before.authorizations, ...payload.authorizations } : payload.authorizations;
      if (stored.id === row.id || isRenewal(oidc)) return replaceSessionPayload(trx, this.row(id, { ...payload, authorizations }, expiresIn), isOpen);
      // It was renewed while this request was under way. The newer one stays, and gets to know this request's client.
      if (oidc) outdated.add(oidc);
      if (sameAccount) await replaceSessionPayload(trx, { ...row, id: stored.id, payload: JSON.stringify({ ...before, authorizations }) }, isOpen);
    });
  }

  async #beginOpen(ctx: KoaContextWithOIDC, row: Omit<PayloadRow, 'uses'>): Promise<boolean> {
    try {
      return await this.begin(ctx, row);
    } catch (error) {
      refused.add(ctx.oidc);
      throw error;
    }
  }

  /** With the code of the same request, which goes with it whether the session is new or not. */
  #insert(row: Omit<PayloadRow, 'uses'>): Promise<boolean> {
    const cache = requestCache();
    const { code } = cache;
    cache.code = undefined;
    return insertSessionPayload(this.queries, row, code);
  }

  /** Signing out ends our session too. The renewal of the cookie's id also comes here, and is left to the save that follows. */
  override async destroy(id: string): Promise<void> {
    const { db, now } = this.parts.room;
    const ctx = Provider.ctx;
    const session = ctx?.oidc.session;
    if (ctx && isRenewal(ctx.oidc)) return;
    // By the page's button, or by an application that has shown whose session it is.
    const signsOut = ctx?.oidc.route === 'end_session_confirm' || ctx?.oidc.route === 'end_session';
    if (ctx && signsOut && session?.jti === id && session.accountId) {
      const ours = await liveSession(this.parts.room, session.uid, session.accountId);
      const sessions = await endSessionsOf(db, this.realmId, { uid: session.uid }, now());
      const origin = {
        realmId: this.realmId,
        at: now(),
        actor: ours?.facts.impersonator?.id ?? session.accountId,
        subject: session.accountId,
        ip: ctx.ip,
        userAgent: ctx.get('user-agent') || null,
      };
      await record(this.queries, origin, { type: 'logout', details: { sessions } });
    }
    await super.destroy(id);
  }

  /** A session that somebody is signed in to exists only while ours does. */
  async #ifAlive(payload: AdapterPayload): Promise<AdapterPayload | undefined> {
    if (!payload.accountId || !payload.uid) return payload;
    return (await liveSession(this.parts.room, payload.uid, payload.accountId)) ? payload : undefined;
  }
}

/** The library's row may end this much earlier than it would if every request moved it on: our own session says when it ends. */
const EXPIRY_SLACK_MS = 60 * 60_000;

/** The library saves its session at every request; where nothing but its times would change, nothing is written. */
function isUnchanged(row: Omit<PayloadRow, 'uses'>): boolean {
  const { saved } = requestCache();
  if (saved?.id !== row.id || (row.expiresAt ?? 0) - (saved.expiresAt ?? 0) > EXPIRY_SLACK_MS) return false;
  const withoutTimes = (payload: string) => {
    const { iat: _iat, exp: _exp, ...rest } = JSON.parse(payload);
    return rest;
  };
  return isDeepStrictEqual(withoutTimes(saved.payload), withoutTimes(row.payload));
}

/** The library keeps the id that it renewed from until it has saved. */
const isRenewal = (oidc: KoaContextWithOIDC['oidc'] | undefined): boolean =>
  oidc?.session !== undefined && 'oldId' in oidc.session && oidc.session.oldId !== undefined;
