/**
 * What a session is refused in which an administrator acts as its user: everything that would outlast it, that is the
 * user's own to decide, or that asks the user for anything. What the policy asks is `decide`'s to refuse.
 */
import { errors, type KoaContextWithOIDC } from 'oidc-provider';
import { record } from '../audit/record.ts';
import { CONSOLE_CLIENTS } from '../realms/consoles.ts';
import { pendingActions } from '../sessions/pending.ts';
import type { Impersonator } from '../store/sessions.ts';
import type { Standing } from './authentication.ts';
import { liveSession } from './live-session.ts';
import type { RealmRoom } from './room.ts';
import { requestCache } from './storage/request-cache.ts';

const CONSOLES: ReadonlySet<string> = new Set(Object.values(CONSOLE_CLIENTS));

/**
 * The first check of every authorization request, before any page could be shown. False: there is nothing to ask.
 * @throws `unmet_authentication_requirements` (RFC 9470 section 5) in a session of an impersonator, for what is not theirs
 */
export async function refuseImpersonator(room: RealmRoom, ctx: KoaContextWithOIDC): Promise<false> {
  const { session } = ctx.oidc;
  if (!session?.accountId) return false;
  const row = await liveSession(room, session.uid, session.accountId);
  const { impersonator } = row?.facts ?? {};
  if (!row || !impersonator) return false;
  const reason = refusalOf(ctx);
  if (reason === undefined) return false;
  const origin = {
    ...{ realmId: row.realmId, at: room.now(), actor: impersonator.id, subject: row.userId },
    ...{ clientId: ctx.oidc.client?.clientId ?? null, ip: ctx.ip, userAgent: ctx.get('user-agent') || null },
  };
  // Many applications look all the time whether somebody is signed in.
  if (!ctx.oidc.prompts.has('none')) await record(room.db.knex, origin, { type: 'stepup.unmet', details: { reason } });
  throw unmet(reason);
}

const unmet = (reason: string): Error => new errors.CustomOIDCProviderError('unmet_authentication_requirements', reason);

function refusalOf({ oidc }: KoaContextWithOIDC): string | undefined {
  if (CONSOLES.has(oidc.client?.clientId ?? '')) return 'Nobody acts as somebody else in a console.';
  if (oidc.deviceCode) return 'Nobody who acts as somebody else signs in a device.';
  if (oidc.requestParamScopes.has('offline_access')) return 'Nobody who acts as somebody else gets offline tokens.';
  if (oidc.params?.kc_action !== undefined) return 'What a user sets up is not set up by somebody who acts as the user.';
  const asking = [...oidc.prompts].filter((prompt) => prompt !== 'none');
  if (asking.length > 0) return 'The user is asked for, and an administrator acts as the user here.';
  return undefined;
}

/** Why an impersonator is not let in although `decide` would: the user has something to do first. */
export function whatIsDue({ context }: RealmRoom, { session, known }: Pick<Standing, 'session' | 'known'>): string | undefined {
  const isDue = session.facts.impersonator !== undefined && pendingActions(known, context.realm.settings).length > 0;
  return isDue ? 'The user has something to do at the next sign-in.' : undefined;
}

/** Nobody allows an application anything in the name of somebody else. @throws unmet_authentication_requirements */
export function refuseConsent({ session }: Pick<Standing, 'session'>): void {
  if (session.facts.impersonator) throw unmet('What this application may have is for the user to allow.');
}

/** Who acts as the user of the tokens of this request, as tokens say it. */
export function impersonatorClaim(): { impersonator: Pick<Impersonator, 'id' | 'username'> } | undefined {
  const { session, impersonator: shown } = requestCache();
  const impersonator = session?.row?.facts.impersonator ?? shown;
  return impersonator && { impersonator: { id: impersonator.id, username: impersonator.username } };
}

/** How many seconds a token may live: never longer than the session of an impersonator, which those who read it never ask about. */
export function longestLife(seconds: number, now: number): number {
  const row = requestCache().session?.row;
  return row?.facts.impersonator ? Math.max(1, Math.min(seconds, Math.floor((row.endsAt - now) / 1000))) : seconds;
}
