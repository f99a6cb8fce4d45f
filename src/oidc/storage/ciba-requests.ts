/**
 * Requests of CIBA as they are stored: asked after by a client that knows the auth_req_id, of which only the hash is stored,
 * and answered by a person who knows only the link. One row has both.
 *
 * To the library's pages the row is a device code that goes by its hash behind a mark (device-codes.ts): with the user who
 * has to sign in as the subject that is asked for, and nothing that was proved before. Many browsers may be on the way to an
 * answer at a time; the first answer is written as the row was read, or not at all.
 */
import { randomBytes } from 'node:crypto';
import { type AdapterPayload, errors, type KoaContextWithOIDC, Provider } from 'oidc-provider';
import type { AuditEvent } from '../../audit/event.ts';
import { record } from '../../audit/record.ts';
import { cibaLifetimes } from '../../realms/ciba.ts';
import { subjectsOf } from '../../sessions/throttle.ts';
import { answerCibaRequest } from '../../store/ciba-requests.ts';
import { notePoll } from '../../store/device-codes.ts';
import { findPayload, findPayloadByUserCode, insertOpen, type PayloadKey, type PayloadRow, usePayload } from '../../store/oidc-payloads.ts';
import { userById } from '../../store/users.ts';
import { cibaLetter } from '../ciba/letter.ts';
import { MOST_WAITING } from '../ciba/limits.ts';
import { rowOf } from '../clients/client-metadata.ts';
import { liveSession } from '../live-session.ts';
import type { RealmRoom } from '../room.ts';
import { TooMany } from '../too-many.ts';
import { ModelAdapter } from './model-adapter.ts';
import { requestCache } from './request-cache.ts';

const MODEL = 'BackchannelAuthenticationRequest';
/** Before the hash of an auth_req_id that nobody here has seen. */
const STORED = '@';
/** How long a request is still known that has expired: its client is told so, and not that there is none. */
const KEPT_MS = 2 * 60_000;
/** What a question may come earlier than its interval: networks and timers are not exact. */
const EARLY_MS = 500;
/** What a client is told besides a yes; whatever else a browser met is nobody's answer. */
const ANSWERS: ReadonlySet<unknown> = new Set(['access_denied', 'unmet_authentication_requirements']);

/** How links name a request: the library takes capitals and digits as they are. A device's code has eight letters. */
const HANDLE = /^[0-9A-F]{32}$/;
export const isCibaHandle = (text: unknown): text is string => typeof text === 'string' && HANDLE.test(text);
/** Whether what the library takes for a device's code is a request of CIBA. */
export const isCibaCode = (jti: string | undefined): boolean => jti?.startsWith(STORED) ?? false;

/** Another browser has answered a request, or its time has run out, since this one began. */
export class RequestOver extends errors.InvalidRequest {}

/** What the client's side sees. */
export class CibaRequestAdapter extends ModelAdapter {
  override async upsert(id: string, payload: AdapterPayload, expiresIn?: number): Promise<void> {
    const ctx = Provider.ctx;
    if (ctx?.oidc.route !== 'backchannel_authentication') throw new Error('A request of CIBA is changed by its user alone.');
    const { room } = this.parts;
    const { context, now, db } = room;
    const user = await userById(db.knex, this.realmId, payload.accountId ?? '');
    if (!user) throw new errors.UnknownUserId('could not identify end-user');
    const handle = randomBytes(16).toString('hex').toUpperCase();
    const row = { ...this.row(id, payload, expiresIn), userCode: handle, expiresAt: now() + (expiresIn ?? 0) * 1000 + KEPT_MS };
    const waiting = { address: subjectsOf(context.rootSecret).ciba('waiting', user.id), most: MOST_WAITING, now: now() };
    const tell = await cibaLetter(room, user, { client: rowOf(ctx.oidc.client), handle, seconds: expiresIn ?? 0 });
    const stored = await db.transaction(async (trx) => {
      if (!(await insertOpen(trx, row, waiting))) return false;
      const origin = { subject: user.id, clientId: payload.clientId ?? null, ip: ctx.ip, userAgent: ctx.get('user-agent') || null };
      await record(trx, { realmId: this.realmId, at: now(), actor: null, ...origin }, { type: 'ciba.requested', details: {} });
      await tell(trx);
      return true;
    });
    if (stored) return;
    ctx.set('Retry-After', '60');
    throw new TooMany('as many requests wait for this user as may; wait until they are answered, or have expired');
  }

  /** One that was exchanged is as if it had never been: a client that asks twice at once loses nothing by it. */
  override async find(id: string): Promise<AdapterPayload | undefined> {
    const ctx = Provider.ctx;
    if (id.startsWith(STORED)) return undefined;
    const row = await findPayload(this.queries, this.key(id));
    if (!row || row.uses > 0) return undefined;
    const payload: AdapterPayload = { ...JSON.parse(row.payload), jti: id };
    if (ctx?.oidc.client && payload.clientId === ctx.oidc.client.clientId && isOpen(payload, this.parts.room.now())) await this.#pace(id);
    return payload;
  }

  /** Of many who ask at once one gets the tokens. @throws InvalidGrant */
  override async consume(id: string): Promise<void> {
    if (!(await usePayload(this.queries, this.key(id), 0))) throw new errors.InvalidGrant('it was already used');
  }

  /** A client that asks too often is told so, on whichever node it asks. @throws SlowDown (section 11) */
  async #pace(id: string): Promise<void> {
    const { context, now } = this.parts.room;
    const intervalMs = cibaLifetimes(context.realm.settings).interval * 1000 - EARLY_MS;
    if (!(await notePoll(this.queries, this.key(id), { now: now(), intervalMs }))) throw new errors.SlowDown();
  }
}

/** What the user's side sees. */
export class CibaAnswers {
  readonly #room: RealmRoom;

  constructor(room: RealmRoom) {
    this.#room = room;
  }

  async find(code: string): Promise<AdapterPayload | undefined> {
    return this.#shown(await findPayload(this.#room.db.knex, this.#key(code)));
  }

  async findByHandle(handle: string): Promise<AdapterPayload | undefined> {
    const { db, context } = this.#room;
    return this.#shown(await findPayloadByUserCode(db.knex, context.realm.id, MODEL, handle));
  }

  /** What the page says that asks for the answer, and where its link leads; undefined when the request is gone. */
  async about(code: string): Promise<{ handle: string; message: string | null; at: number; scopes: string[] } | undefined> {
    const row = await findPayload(this.#room.db.knex, this.#key(code));
    if (!row) return undefined;
    const { params, iat = 0 }: AdapterPayload = JSON.parse(row.payload);
    const { binding_message: message, scope } = Object(params);
    return {
      handle: row.userCode ?? '',
      message: typeof message === 'string' ? message : null,
      at: iat * 1000,
      scopes: typeof scope === 'string' ? scope.split(' ') : [],
    };
  }

  /**
   * Writes what became of a request, if this browser may say so: in a live session of the user who was asked, and not of
   * somebody who acts as that user. What else ends on the way leaves the request as it was.
   * @throws RequestOver, AccessDenied
   */
  async change(ctx: KoaContextWithOIDC, code: string, payload: AdapterPayload): Promise<void> {
    // Somebody has begun to answer it, and others may.
    if (payload.accountId === undefined && payload.error === undefined) return;
    const cache = requestCache();
    const read = cache.ciba;
    if (read?.id !== code) throw new Error('A request of CIBA is answered that was not read.');
    const stored: AdapterPayload = JSON.parse(read.payload);
    const isOwn = await this.#isOwn(ctx, stored.accountId);
    if (payload.error !== undefined && !(isOwn && ANSWERS.has(payload.error))) return;
    if (payload.error === undefined && !(isOwn && payload.accountId === stored.accountId)) throw new errors.AccessDenied('somebody else was asked');
    if (!isOpen(stored, this.#room.now())) throw new RequestOver('the request was answered, or has expired');
    const answered = payload.error === undefined ? approved(stored, payload) : refused(stored, payload);
    const event: AuditEvent =
      payload.error === undefined ? { type: 'ciba.approved', details: {} } : { type: 'ciba.denied', details: { reason: payload.error } };
    // The client may ask in the very moment of the answer: the session that the answer hangs on is there before it.
    if (payload.error === undefined) await ctx.oidc.session?.save(this.#room.context.realm.settings.ssoSessionMaxLifespan);
    const change = { before: read.payload, payload: JSON.stringify(answered), grantId: answered.grantId ?? null };
    const written = await this.#room.db.transaction(async (trx) => {
      if (!(await answerCibaRequest(trx, this.#key(code), change))) return false;
      await record(trx, this.#origin(ctx, stored), event);
      return true;
    });
    if (!written) throw new RequestOver('the request was answered meanwhile');
    cache.ciba = { id: code, payload: change.payload, answered: payload.error === undefined ? 'approved' : 'denied' };
  }

  async #isOwn({ oidc: { session } }: KoaContextWithOIDC, userId: string | undefined): Promise<boolean> {
    if (!session?.accountId || session.accountId !== userId) return false;
    const row = await liveSession(this.#room, session.uid, userId);
    return row !== undefined && row.facts.impersonator === undefined;
  }

  /** The row as a device code that nobody has answered, unless somebody has. */
  #shown(row: PayloadRow | undefined): AdapterPayload | undefined {
    if (!row) return undefined;
    const jti = `${STORED}${row.id}`;
    const { accountId = '', params, ...payload }: AdapterPayload = JSON.parse(row.payload);
    requestCache().ciba = { ...requestCache().ciba, id: jti, payload: row.payload };
    const { id_token_hint: _hint, ...asked } = Object(params);
    const { iat, exp, clientId, nonce, error } = payload;
    return {
      ...{ jti, kind: 'DeviceCode', iat, exp, clientId, nonce, userCode: row.userCode ?? undefined },
      // max_age: whoever answers has just shown who they are.
      params: { ...asked, client_id: clientId, claims: claimsOf(asked.claims, accountId), max_age: '0' },
      ...(isOpen({ ...payload }, Number.NEGATIVE_INFINITY) && row.uses === 0 ? {} : { accountId, error }),
    };
  }

  #key(code: string): PayloadKey {
    return { realmId: this.#room.context.realm.id, model: MODEL, id: code.slice(STORED.length) };
  }

  #origin(ctx: KoaContextWithOIDC, { accountId, clientId }: AdapterPayload) {
    return {
      ...{ realmId: this.#room.context.realm.id, at: this.#room.now(), actor: accountId ?? null, subject: accountId ?? null },
      ...{ clientId: clientId ?? null, transactionId: ctx.oidc.entities.Interaction?.cid ?? null },
      ...{ ip: ctx.ip, userAgent: ctx.get('user-agent') || null },
    };
  }
}

/** Nobody has answered it yet, and it is still good. */
const isOpen = ({ grantId, error, exp }: AdapterPayload, now: number): boolean =>
  grantId === undefined && error === undefined && (exp ?? 0) * 1000 > now;

/** A `claims` parameter that asks for nobody else (OpenID Connect Core 1.0 section 5.5.1). */
function claimsOf(asked: unknown, userId: string): string {
  const claims: Record<string, unknown> = Object(typeof asked === 'string' ? JSON.parse(asked) : {});
  return JSON.stringify({ ...claims, id_token: { ...Object(claims.id_token), sub: { value: userId } } });
}

/** With what the sign-in showed and what was granted. */
function approved(stored: AdapterPayload, answer: AdapterPayload): AdapterPayload {
  const { acr, amr, authTime, claims, grantId, scope, sessionUid, resource, sid, expiresWithSession } = answer;
  return { ...stored, acr, amr, authTime, claims, grantId, scope, sessionUid, resource, sid, expiresWithSession };
}

const refused = (stored: AdapterPayload, { error, errorDescription }: AdapterPayload): AdapterPayload => ({ ...stored, error, errorDescription });
