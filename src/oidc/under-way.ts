/**
 * An interaction of the library and the sign-in that it is about, which every page of a sign-in and its way back want: read
 * together, and kept for the request, in which the library asks for the interaction next.
 */
import type Koa from 'koa';
import type { AdapterPayload } from 'oidc-provider';
import { sha256 } from '../crypto/codes.ts';
import { signInsOf } from '../sessions/sign-ins.ts';
import { interactionWithLogins, type LoginRow } from '../store/logins.ts';
import type { RealmRoom } from './room.ts';
import { requestCache } from './storage/request-cache.ts';

export interface UnderWay {
  interaction: AdapterPayload & { cid: string };
  /** Undefined when the browser has no cookie of it: it was not looked for. */
  login: { row: LoginRow | undefined } | undefined;
}

/** Undefined when there is no such interaction, or not any more. */
export async function readUnderWay(room: RealmRoom, ctx: Koa.Context, uid: string): Promise<UnderWay | undefined> {
  const ids = signInsOf(ctx.get('cookie'));
  const key = { realmId: room.context.realm.id, model: 'Interaction', id: sha256(uid) };
  const found = await interactionWithLogins(room.db.knex, key, ids);
  if (!found) return undefined;
  const interaction: AdapterPayload = { ...JSON.parse(found.payload), jti: uid };
  const { cid, exp = 0 } = interaction;
  if (exp * 1000 <= room.now() || cid === undefined) return undefined;
  requestCache(ctx.req).interaction = { id: uid, payload: interaction };
  return { interaction: { ...interaction, cid }, login: ids.includes(cid) ? { row: found.logins.find(({ id }) => id === cid) } : undefined };
}
