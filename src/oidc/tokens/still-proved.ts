/**
 * What a refresh says of how the user signed in. `auth_time` is that of the sign-in, always (OpenID Connect Core 1.0 section
 * 12.2). The level is that of what was proved then and still counts: a session falls when a proof of its wears off, and its
 * tokens fall with it, or a refresh would keep up for a month what a day is enough for. Nothing makes them rise but a new
 * sign-in.
 */
import type { AdapterPayload } from 'oidc-provider';
import { reaches } from '../../policy/assurance.ts';
import { amrOf, freshProofs, levelOf } from '../../policy/decide.ts';
import { levelOfAcr } from '../../policy/policy.ts';
import { offlineSession } from '../../store/sessions.ts';
import { liveSession } from '../live-session.ts';
import type { RealmRoom } from '../room.ts';

/** @param token a refresh token as it is stored */
export async function stillProved(room: RealmRoom, token: AdapterPayload): Promise<Pick<AdapterPayload, 'acr' | 'amr'>> {
  const { acr, amr = [], sid = '', sessionUid = '', accountId = '' } = token;
  if (acr === undefined) return {};
  const { db, context, now } = room;
  const at = now();
  const offline = token.expiresWithSession !== true;
  const session = offline ? await offlineSession(db.knex, context.realm.id, sid) : await liveSession(room, sessionUid, accountId);
  // Offline access is for when nobody is there: it grows older, and not idle.
  const fresh = session ? freshProofs(session.proofs, at, offline ? at : session.lastSeenAt) : [];
  const counted = fresh.filter((proof) => proof.amr.every((method) => amr.includes(method)));
  const said = levelOfAcr(context.policy.document, acr);
  const level = levelOf(counted);
  if (said !== undefined && reaches(level, said)) return {};
  // Of nothing that counts any more, the methods are still those of the sign-in; they are not two kinds at this level.
  return {
    acr: level,
    amr: (counted.length > 0 ? amrOf(counted) : amr).filter((method) => amr.includes(method) && (method !== 'mfa' || level !== 'aal1')),
  };
}
