/**
 * An interaction of the library and the sign-in that it is about, which every page of a sign-in and its way back want: read
 * together, and kept for the request, in which the library asks for the interaction next.
 */
import { decodeJwt } from 'jose';
import type Koa from 'koa';
import type { AdapterPayload } from 'oidc-provider';
import { z } from 'zod';
import { sha256 } from '../crypto/codes.ts';
import { type SignIn, type SignInState, signInsOf } from '../sessions/sign-ins.ts';
import { interactionWithLogins, type LoginRow } from '../store/logins.ts';
import type { RealmRoom } from './room.ts';
import { requestCache } from './storage/request-cache.ts';

export interface UnderWay {
  /** As the library will find it in this request. */
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
  const payload = { ...interaction, cid };
  requestCache(ctx.req).interaction = { id: uid, payload };
  return { interaction: payload, login: ids.includes(cid) ? { row: found.logins.find(({ id }) => id === cid) } : undefined };
}

/**
 * What the library finds as the result of a sign-in that is done: it stands in the sign-in, and is not stored once more.
 * False where that user is not the one that the application asked for, which is answered by our pages.
 */
export function answerBySignIn({ interaction }: UnderWay, { row, state }: SignIn<SignInState>): boolean {
  // The sign-in is over by then, and its answer is what the consent goes on with.
  if (interaction.result !== undefined || interaction.prompt?.name === 'consent') return true;
  const { userId, proofs, remember } = state;
  const subject = subjectAsked(interaction.params ?? {});
  if (userId === null || (subject !== undefined && subject !== userId)) return false;
  // The same whenever it is asked for, or the time of the sign-in would move.
  const ts = Math.floor(Math.max(row.createdAt, ...proofs.map(({ at }) => at)) / 1000);
  // Whoever signed in has said who they are.
  interaction.result = { ...interaction.lastSubmission, login: { accountId: userId, ts, remember, transaction: row.id }, select_account: {} };
  return true;
}

/** The library has verified the hint's signature and the parameter's syntax, and does not look again when the browser comes back. */
export function subjectAsked(params: Record<string, unknown>): string | undefined {
  if (typeof params.id_token_hint === 'string') return decodeJwt(params.id_token_hint).sub;
  if (typeof params.claims !== 'string') return undefined;
  const asked = subjectClaim.safeParse(JSON.parse(params.claims));
  return asked.data?.id_token?.sub?.value;
}

const subjectClaim = z.object({ id_token: z.object({ sub: z.object({ value: z.string() }).nullish() }).nullish() });
