/** What the adapters of all models share: keys, rows, and how something is used up. */
import { type Adapter, type AdapterPayload, errors, type KoaContextWithOIDC, Provider } from 'oidc-provider';
import { record } from '../../audit/record.ts';
import { sha256 } from '../../crypto/codes.ts';
import { subjectsOf } from '../../sessions/throttle.ts';
import type { ClientRow } from '../../store/clients.ts';
import {
  deleteGrants,
  deletePayload,
  deletePayloadsOfGrant,
  findPayload,
  findPayloadByUid,
  findPayloadByUserCode,
  insertOpen,
  type PayloadKey,
  type PayloadRow,
  upsertPayload,
  usePayload,
} from '../../store/oidc-payloads.ts';
import { tokenFamily } from '../../store/token-families.ts';
import { rowOf } from '../clients/client-metadata.ts';
import type { Clients } from '../clients/clients.ts';
import { rememberSession } from '../live-session.ts';
import type { RealmRoom } from '../room.ts';
import { type AccessTokens, JWT_MARK } from '../tokens/access-tokens.ts';
import { type ClientFailures, tooManySignIns } from '../too-many.ts';
import { requestCache } from './request-cache.ts';

export interface AdapterParts {
  room: RealmRoom;
  clients: Clients;
  accessTokens: AccessTokens;
  failures: ClientFailures;
}

/** A model that has no ways of its own. */
export class ModelAdapter implements Adapter {
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
    const row = await (this.#isExchanged() ? this.#withFamily(id) : findPayload(this.queries, this.key(id)));
    return row && this.payload(row, id);
  }

  /** A code or a refresh token at the token endpoint, where the library asks next for all that it hangs on. */
  #isExchanged(): boolean {
    return Provider.ctx?.oidc.route === 'token' && (this.model === 'AuthorizationCode' || this.model === 'RefreshToken');
  }

  async #withFamily(id: string): Promise<PayloadRow | undefined> {
    const { room } = this.parts;
    const family = await tokenFamily(this.queries, this.key(id), room.now());
    if (!family) return undefined;
    const { token, grant, session, saved } = family;
    const cache = requestCache();
    cache.grant = grant === undefined || token.grantId === null ? undefined : { id: token.grantId, payload: grant };
    if (session) await rememberSession(room, session);
    cache.behind = saved;
    return token;
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
    const allowance = this.model === 'RefreshToken' && client ? this.reuses(rowOf(client)) : 0;
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

  /**
   * Stores what somebody has stored who has not shown who they are: counted by their address, with the sign-ins that were
   * begun there, until it is over. Whoever leaves them all behind has to wait.
   * @returns false when it is there already
   * @throws TooMany
   */
  protected async begin(ctx: KoaContextWithOIDC, row: Omit<PayloadRow, 'uses'>): Promise<boolean> {
    const { context, now } = this.parts.room;
    const { openSignIns } = context.realm.settings.throttling.address;
    const address = subjectsOf(context.rootSecret).address(ctx.ip);
    if (await insertOpen(this.queries, row, { address, most: openSignIns, now: now() })) return true;
    if (row.uid === null ? await findPayload(this.queries, row) : await findPayloadByUid(this.queries, row.realmId, row.model, row.uid)) return false;
    throw tooManySignIns(ctx);
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
    return client ? this.reuses(client.row) : 0;
  }

  /** A client's own number, or its realm's. */
  private reuses({ refreshTokenMaxReuse }: ClientRow): number {
    return refreshTokenMaxReuse || this.parts.room.context.realm.settings.refreshTokenMaxReuse;
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

/** "Stay signed in" on the page that asks about signing out: the library would end the asking client's grant all the same. */
export function staysSignedIn(): boolean {
  const oidc = Provider.ctx?.oidc;
  return oidc?.route === 'end_session_confirm' && !oidc.params?.logout;
}
