/**
 * Grants: what one session may have at one client. A grant is the family of its tokens; ending it is no consent taken
 * back, because consents live in a table of their own and grants are made from them.
 */
import { randomUUID } from 'node:crypto';
import { errors, type Grant, type KoaContextWithOIDC } from 'oidc-provider';
import { firstLook } from '../../sessions/run-out.ts';
import type { ClientRow } from '../../store/clients.ts';
import { consentedScopes } from '../../store/consents.ts';
import { LOGOUT_URL } from '../../store/logout-notices.ts';
import { deleteGrants } from '../../store/oidc-payloads.ts';
import { watchSession } from '../../store/session-endings.ts';
import { joinAtOnce, joinedClient } from '../../store/session-joins.ts';
import { joinSessionClient } from '../../store/sessions.ts';
import { standingOf } from '../authentication.ts';
import { awaitsAnswer } from '../ciba/page.ts';
import { rowOf } from '../clients/client-metadata.ts';
import type { Clients } from '../clients/clients.ts';
import { refuseConsent } from '../impersonated.ts';
import { DEFAULT_RESOURCE, type RealmRoom } from '../room.ts';
import { requestCache } from '../storage/request-cache.ts';
import { scopesOfClaims } from '../tokens/asked-claims.ts';

/** What the user allows, by request: scopes that are asked for, by themselves or by a claim, and those that were not allowed before. */
const consents = new WeakMap<object, { asked: string[]; open: string[] }>();

/** True when the user has to be asked for consent. */
export const consentIsMissing = (ctx: KoaContextWithOIDC): boolean => (consents.get(ctx.oidc)?.open.length ?? 0) > 0;

/** What the consent page asks about: scopes that were not allowed before, or all of them when the application insists. */
export const scopesToAllow = (ctx: KoaContextWithOIDC): string[] => {
  const { asked, open } = consents.get(ctx.oidc) ?? { asked: [...ctx.oidc.requestParamScopes], open: [] };
  return open.length > 0 ? open : asked;
};

/** The library's `loadExistingGrant`: the session's grant at this client, with all that it may have; undefined when consent is missing. */
export async function grantFor(room: RealmRoom, clients: Clients, ctx: KoaContextWithOIDC): Promise<Grant | undefined> {
  const { client, session, account } = ctx.oidc;
  const standing = await standingOf(room, ctx);
  if (!client || !session || !account || !standing) return undefined;
  const row = rowOf(client);
  const asked = [...ctx.oidc.requestParamScopes];
  if (row.consentRequired) {
    const allowed = new Set(await consentedScopes(room.db.knex, row.realmId, account.accountId, row.id));
    const all = [...asked, ...(await scopesOfClaims(clients, ctx))];
    const open = all.filter((scope) => !allowed.has(scope));
    consents.set(ctx.oidc, { asked: all, open });
    if (open.length > 0) {
      refuseConsent(standing);
      return undefined;
    }
  }

  // Until the user has said yes, the application is nowhere in the session.
  if (awaitsAnswer(ctx)) return undefined;
  const at = { row, userId: account.accountId, sessionId: standing.session.id, scopes: asked };
  const joining = { ...at, needsConsent: row.consentRequired && asked.length > 0 };
  // A session that this request has begun was nowhere yet.
  const isFresh = standing.isNew && standing.session.createdAt === standing.session.lastSeenAt;
  const { grant, sid } = isFresh ? await beginGrant(room, ctx, { ...joining, instead: null }) : await joinedGrant(room, ctx, joining);
  session.sidFor(client.clientId, sid);
  return grant;
}

interface Joining {
  row: ClientRow;
  userId: string;
  sessionId: string;
  scopes: string[];
  /** It stands on what the user allowed, which may be taken back in this moment. */
  needsConsent?: boolean;
}

/** The grant of a session at a client, with these scopes among others: the one that there is, or one that begins. */
export async function joinedGrant(room: RealmRoom, ctx: KoaContextWithOIDC, at: Joining): Promise<{ grant: Grant | undefined; sid: string }> {
  const joined = await joinedClient(room.db.knex, { realmId: at.row.realmId, sessionId: at.sessionId, clientRowId: at.row.id });
  if (joined?.grantId && joined.grant) requestCache().grant = { id: joined.grantId, payload: joined.grant };
  const known = joined?.grantId ? await ctx.oidc.provider.Grant.find(joined.grantId) : undefined;
  if (!joined || !known) return beginGrant(room, ctx, { ...at, instead: joined?.grantId ?? null });
  if (extend(ctx, known, at.scopes)) await known.save();
  return { grant: known, sid: joined.sid };
}

/** The grant of a session at a client that it was not at before, and the sid that the client knows the session by. */
export async function beginGrant(
  room: RealmRoom,
  ctx: KoaContextWithOIDC,
  at: Joining & { instead: string | null },
): Promise<{ grant: Grant | undefined; sid: string }> {
  const { row, userId, sessionId, scopes, instead, needsConsent } = at;
  const { Grant: GrantModel } = ctx.oidc.provider;
  const fresh = new GrantModel({ accountId: userId, clientId: row.clientId });
  extend(ctx, fresh, scopes);
  const grantId = await fresh.save();
  const { realmId } = row;
  const joining = {
    realmId,
    sessionId,
    clientRowId: row.id,
    sid: randomUUID(),
    grantId,
    instead,
    consentOf: needsConsent ? userId : null,
    now: room.now(),
  };
  // At once where it is the first visit, as it mostly is; else with a look at what is there.
  const isFirst = instead === null && (await joinAtOnce(room.db.knex, joining));
  const stored = isFirst ? joining : await room.db.transaction((trx) => joinSessionClient(trx, joining));
  if (!stored) {
    await room.db.transaction((trx) => deleteGrants(trx, realmId, [grantId]));
    throw new errors.AccessDenied('the session was signed out, or the access taken back, meanwhile; start again from the application');
  }
  const { sid } = stored;
  if (row.attributes[LOGOUT_URL]) await watchSession(room.db.knex, realmId, sessionId, firstLook(room.now()));
  if (stored.grantId === grantId || stored.grantId === null) return { grant: fresh, sid };
  // A second request of this session at this client was faster: there is one grant, and it is that one's.
  await room.db.transaction((trx) => deleteGrants(trx, realmId, [grantId]));
  const theirs = await GrantModel.find(stored.grantId);
  if (theirs && extend(ctx, theirs, scopes)) await theirs.save();
  return { grant: theirs, sid };
}

/** Adds scopes that the grant has not; false when it had them all. Scopes are granted for userinfo, and for each audience. */
function extend(ctx: KoaContextWithOIDC, grant: Grant, scopes: string[]): boolean {
  const resources = [...new Set([DEFAULT_RESOURCE, ...Object.keys(ctx.oidc.resourceServers ?? {})])];
  const lacking = resources.filter((resource) => {
    const had = new Set(grant.getResourceScope(resource).split(' '));
    return scopes.some((scope) => !had.has(scope));
  });
  if (lacking.length === 0) return false;
  grant.addOIDCScope(scopes);
  for (const resource of lacking) grant.addResourceScope(resource, scopes);
  return true;
}
