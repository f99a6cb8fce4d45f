/**
 * Where oidc-provider stores: one adapter a model and realm, over one table.
 *
 * What is used once is used up by one conditional UPDATE, and whoever loses that race ends the grant, as a replay does.
 * A Session is saved whole by the library and last write wins; here its `authorizations` are merged, and a Session whose
 * session of ours has ended is nobody's.
 */
import { isDeepStrictEqual } from 'node:util';
import { type Adapter, type AdapterPayload, errors, type KoaContextWithOIDC, Provider } from 'oidc-provider';
import { record } from '../audit/record.ts';
import { sha256 } from '../crypto/codes.ts';
import { endSessionsOf } from '../sessions/sessions.ts';
import {
  deleteGrants,
  deletePayload,
  deletePayloadsOfGrant,
  findPayload,
  findPayloadByUid,
  findPayloadByUserCode,
  insertPayload,
  insertSessionPayload,
  lockSessionPayload,
  type PayloadKey,
  type PayloadRow,
  replaceSessionPayload,
  upsertPayload,
  usePayload,
} from '../store/oidc-payloads.ts';
import { offlineUse } from '../store/sessions.ts';
import { type AccessTokens, JWT_MARK, looksLikeJwt } from './access-tokens.ts';
import { type Clients, rowOf } from './clients.ts';
import { liveSession } from './live-session.ts';
import { requestCache } from './request-cache.ts';
import type { RealmRoom } from './room.ts';

export interface AdapterParts {
  room: RealmRoom;
  clients: Clients;
  accessTokens: AccessTokens;
}

/** The adapter of one model; the library makes each once. */
export function adapterFor(parts: AdapterParts): (model: string) => Adapter {
  return (model) => {
    switch (model) {
      case 'Client':
        return new ClientAdapter(parts, model);
      case 'AccessToken':
      case 'ClientCredentials':
        return new AccessTokenAdapter(parts, model);
      case 'RefreshToken':
        return new RefreshTokenAdapter(parts, model);
      case 'Session':
        return new SessionAdapter(parts, model);
      case 'Grant':
        return new GrantAdapter(parts, model);
      case 'Interaction':
        return new InteractionAdapter(parts, model);
      case 'ReplayDetection':
        return new ReplayAdapter(parts, model);
      default:
        return new ModelAdapter(parts, model);
    }
  };
}

class ModelAdapter implements Adapter {
  protected readonly parts: AdapterParts;
  protected readonly model: string;

  constructor(parts: AdapterParts, model: string) {
    this.parts = parts;
    this.model = model;
  }

  async upsert(id: string, payload: AdapterPayload, expiresIn?: number): Promise<void> {
    await upsertPayload(this.queries, this.row(id, payload, expiresIn));
  }

  async find(id: string): Promise<AdapterPayload | undefined> {
    if (id.startsWith(JWT_MARK)) return undefined;
    const row = await findPayload(this.queries, this.key(id));
    return row && this.payload(row, id);
  }

  async findByUid(uid: string): Promise<AdapterPayload | undefined> {
    const row = await findPayloadByUid(this.queries, this.realmId, this.model, uid);
    return row && this.payload(row);
  }

  async findByUserCode(userCode: string): Promise<AdapterPayload | undefined> {
    const row = await findPayloadByUserCode(this.queries, this.realmId, this.model, userCode);
    return row && this.payload(row);
  }

  /** Uses it up, or throws: the library has looked before, but so has every request beside this one. */
  async consume(id: string): Promise<void> {
    const client = Provider.ctx?.oidc.client;
    const allowance = this.model === 'RefreshToken' && client ? rowOf(client).refreshTokenMaxReuse : 0;
    if (await usePayload(this.queries, this.key(id), allowance)) return;
    const payload = await this.find(id);
    if (this.model === 'PushedAuthorizationRequest') throw new errors.InvalidRequestUri('request_uri is invalid, expired, or was already used');
    // A loser that throws here passes by the library's own revocation.
    if (payload?.grantId) await this.endFamily(payload);
    throw new errors.InvalidGrant('it was already used');
  }

  async destroy(id: string): Promise<void> {
    await deletePayload(this.queries, this.key(id));
  }

  async revokeByGrantId(grantId: string): Promise<void> {
    // Revoking an access token ends that token (RFC 7009 section 2.1 leaves the rest to us), not what it was refreshed from.
    const oidc = Provider.ctx?.oidc;
    if (staysSignedIn() || (oidc?.route === 'revocation' && oidc.entities.AccessToken)) return;
    await deletePayloadsOfGrant(this.queries, this.realmId, this.model, grantId);
  }

  protected get queries() {
    return this.parts.room.db.knex;
  }

  protected get realmId(): string {
    return this.parts.room.context.realm.id;
  }

  protected key(id: string): PayloadKey {
    return { realmId: this.realmId, model: this.model, id: sha256(id) };
  }

  protected row(id: string, payload: AdapterPayload, expiresIn: number | undefined): Omit<PayloadRow, 'uses'> {
    // The id is a bearer secret: only its hash is stored.
    const { jti: _id, ...stored } = payload;
    return {
      ...this.key(id),
      payload: JSON.stringify(stored),
      // A sign-in under way names the grant that there was when it began, and does not hang on it: it may be what ends it.
      grantId: this.model === 'Interaction' ? null : (payload.grantId ?? null),
      uid: this.model === 'Session' ? (payload.uid ?? null) : null,
      userCode: payload.userCode ?? null,
      expiresAt: expiresIn === undefined ? null : this.parts.room.now() + expiresIn * 1000,
    };
  }

  protected async payload(row: PayloadRow, id?: string): Promise<AdapterPayload> {
    const payload: AdapterPayload = { ...JSON.parse(row.payload), jti: id ?? row.id };
    if (row.uses > 0 && row.uses > (await this.allowance(payload))) payload.consumed = true;
    return payload;
  }

  /** How often it may be used after its first time: Keycloak's refreshTokenMaxReuse, and for all else never. */
  protected async allowance(payload: AdapterPayload | undefined): Promise<number> {
    if (this.model !== 'RefreshToken' || !payload?.clientId) return 0;
    const client = await this.parts.clients.find(payload.clientId);
    return client?.row.refreshTokenMaxReuse ?? 0;
  }

  protected async endFamily(payload: AdapterPayload, kind = this.model): Promise<void> {
    const { room } = this.parts;
    await room.db.transaction(async (trx) => {
      if (payload.grantId) await deleteGrants(trx, this.realmId, [payload.grantId]);
      await record(
        trx,
        { realmId: this.realmId, at: room.now(), subject: payload.accountId ?? null, clientId: payload.clientId ?? null },
        { type: 'token.reuse', details: { kind } },
      );
    });
  }
}

/** Clients come from their rows; the library writes none. */
class ClientAdapter extends ModelAdapter {
  override async find(id: string): Promise<AdapterPayload | undefined> {
    return (await this.parts.clients.find(id))?.metadata;
  }
}

/** JWTs that stand for themselves; nothing is stored but what was revoked. */
class AccessTokenAdapter extends ModelAdapter {
  override async find(value: string): Promise<AdapterPayload | undefined> {
    const route = Provider.ctx?.oidc.route;
    const isMarked = value.startsWith(JWT_MARK) && (route === 'introspection' || route === 'revocation');
    const token = isMarked ? value.slice(JWT_MARK.length) : value;
    if (!looksLikeJwt(token)) return undefined;
    if (this.model === 'ClientCredentials') return this.parts.accessTokens.findClientCredentials(token);
    return this.parts.accessTokens.find(token, { forUserinfo: route === 'userinfo' });
  }

  override async destroy(jti: string): Promise<void> {
    const entities = Provider.ctx?.oidc.entities;
    const token = entities?.AccessToken ?? entities?.ClientCredentials;
    if (token?.exp === undefined) return;
    await this.parts.accessTokens.revoke(jti, token.exp * 1000);
  }

  override async revokeByGrantId(): Promise<void> {
    // They fall with their grant, which every use of them looks up.
  }
}

class GrantAdapter extends ModelAdapter {
  override async find(id: string): Promise<AdapterPayload | undefined> {
    const { grant } = requestCache();
    return grant?.id === id ? { ...JSON.parse(grant.payload), jti: id } : super.find(id);
  }

  protected override row(id: string, payload: AdapterPayload, expiresIn: number | undefined): Omit<PayloadRow, 'uses'> {
    return { ...super.row(id, payload, expiresIn), grantId: id };
  }

  override async destroy(id: string): Promise<void> {
    if (staysSignedIn()) return;
    const oidc = Provider.ctx?.oidc;
    if (oidc?.route !== 'token') return this.parts.room.db.transaction((trx) => deleteGrants(trx, this.realmId, [id]));
    // At the token endpoint the library ends a grant for one reason: a code or a refresh token of it came again.
    const grant = await this.find(id);
    await this.endFamily({ ...grant, grantId: id }, oidc.params?.grant_type === 'refresh_token' ? 'RefreshToken' : 'AuthorizationCode');
  }
}

/** The library finds an interaction, then destroys it, then answers: of many that come back at once, one may go on. */
class InteractionAdapter extends ModelAdapter {
  override async find(id: string): Promise<AdapterPayload | undefined> {
    const { interaction } = requestCache();
    return interaction?.id === id ? interaction.payload : super.find(id);
  }

  override async destroy(id: string): Promise<void> {
    if (!(await deletePayload(this.queries, this.key(id)))) throw new errors.SessionNotFound('interaction session not found');
  }
}

/** A jti is used once: find-then-save would let two nodes both find nothing. */
class ReplayAdapter extends ModelAdapter {
  override async upsert(id: string, payload: AdapterPayload, expiresIn?: number): Promise<void> {
    if (!(await insertPayload(this.queries, this.row(id, payload, expiresIn)))) throw new errors.InvalidRequest('it was used before');
  }
}

/** An offline token ends when it is not used for too long; one of a session ends with the session. */
class RefreshTokenAdapter extends ModelAdapter {
  override async find(id: string): Promise<AdapterPayload | undefined> {
    const found = await super.find(id);
    if (!found || found.expiresWithSession) return found;
    const { context, now } = this.parts.room;
    const usedAt = await offlineUse(this.queries, this.realmId, found.sid ?? '');
    return usedAt !== undefined && usedAt + context.realm.settings.offlineSessionIdleTimeout * 1000 > now() ? found : undefined;
  }
}

/** Requests whose session was renewed beside them: their cookie must not take the place of the newer one. */
const outdated = new WeakSet<object>();

/** Whether the library's session of this request was renewed by another one meanwhile. */
export const isOutdated = (oidc: object): boolean => outdated.has(oidc);

/**
 * The library's Session. It is saved whole, and renewed by deleting the old id and saving under a new one; here it is one
 * row that is moved, so that two requests at once never find it missing, and neither loses what the other has added.
 */
class SessionAdapter extends ModelAdapter {
  override async find(id: string): Promise<AdapterPayload | undefined> {
    const row = await findPayload(this.queries, this.key(id));
    if (!row) return undefined;
    requestCache().saved = { id: row.id, payload: row.payload, expiresAt: row.expiresAt };
    return this.#ifAlive(await this.payload(row, id));
  }

  override async findByUid(uid: string): Promise<AdapterPayload | undefined> {
    const found = await super.findByUid(uid);
    return found && (await this.#ifAlive(found));
  }

  override async upsert(id: string, payload: AdapterPayload, expiresIn?: number): Promise<void> {
    const { db } = this.parts.room;
    const row = this.row(id, payload, expiresIn);
    if (isUnchanged(row)) return;
    if (await insertSessionPayload(db.knex, row)) return;
    const oidc = Provider.ctx?.oidc;
    await db.transaction(async (trx) => {
      const stored = await lockSessionPayload(trx, this.realmId, String(payload.uid));
      // Signed out meanwhile: what is saved now would be nobody's.
      if (!stored) return;
      const before: AdapterPayload = JSON.parse(stored.payload);
      const sameAccount = before.accountId === payload.accountId;
      const authorizations = sameAccount ? { ...before.authorizations, ...payload.authorizations } : payload.authorizations;
      if (stored.id === row.id || isRenewal(oidc)) return replaceSessionPayload(trx, this.row(id, { ...payload, authorizations }, expiresIn));
      // It was renewed while this request was under way. The newer one stays, and gets to know this request's client.
      if (oidc) outdated.add(oidc);
      if (sameAccount) await replaceSessionPayload(trx, { ...row, id: stored.id, payload: JSON.stringify({ ...before, authorizations }) });
    });
  }

  /** Signing out ends our session too. The renewal of the cookie's id also comes here, and is left to the save that follows. */
  override async destroy(id: string): Promise<void> {
    const { db, now } = this.parts.room;
    const ctx = Provider.ctx;
    const session = ctx?.oidc.session;
    if (ctx && isRenewal(ctx.oidc)) return;
    if (ctx?.oidc.route === 'end_session_confirm' && session?.jti === id && session.accountId) {
      const sessions = await endSessionsOf(db, this.realmId, { uid: session.uid }, now());
      const origin = {
        realmId: this.realmId,
        at: now(),
        actor: session.accountId,
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

/** "Stay signed in" on the page that asks about signing out: the library would end the asking client's grant all the same. */
function staysSignedIn(): boolean {
  const oidc = Provider.ctx?.oidc;
  return oidc?.route === 'end_session_confirm' && !oidc.params?.logout;
}
