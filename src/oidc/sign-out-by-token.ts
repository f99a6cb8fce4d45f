/**
 * Keycloak's sign-out for programs: a POST to the logout endpoint with the client's own authentication and a refresh token,
 * which ends the session of that token and answers 204. Old adapters and keycloak-connect do it.
 *
 * The client is authenticated, its failures are counted and the token is revoked by the library, as at the revocation endpoint,
 * to which such a request is handed on. No cookie counts here, so that another site's form could do no more than somebody who
 * has the token and shows that it is the client.
 */
import type { IncomingMessage } from 'node:http';
import type { KoaContextWithOIDC } from 'oidc-provider';
import { record } from '../audit/record.ts';
import { endSessionsIn } from '../sessions/sessions.ts';
import { liveSession } from './live-session.ts';
import { ROUTES } from './names.ts';
import type { RealmRoom } from './room.ts';

const TOKEN = 'refresh_token';

/** Requests that were handed on. */
const signingOut = new WeakSet<object>();

/** @param form of a POST to that route */
export const signsOutByToken = (route: string, form: string): boolean => route === ROUTES.end_session && new URLSearchParams(form).has(TOKEN);

/** Makes the request one of the revocation endpoint, whose path is the answer; the body has been read, and is read again there. */
export function asRevocation(req: IncomingMessage, form: string): string {
  signingOut.add(req);
  const sent = new URLSearchParams();
  for (const [name, value] of new URLSearchParams(form))
    if (name !== 'token' && name !== 'token_type_hint') sent.append(name === TOKEN ? 'token' : name, value);
  sent.set('token_type_hint', TOKEN);
  const bytes = Buffer.from(sent.toString());
  req.headers['content-length'] = String(bytes.length);
  Object.defineProperties(req, {
    readable: { value: true },
    iterator: {
      value: async function* body() {
        yield bytes;
      },
    },
  });
  return ROUTES.revocation;
}

/** The client has shown who it is, and its token is revoked, with its family: what is left of the session ends too. */
export async function endSessionOfToken(room: RealmRoom, ctx: KoaContextWithOIDC): Promise<void> {
  if (!signingOut.has(ctx.req) || ctx.status !== 200) return;
  const { RefreshToken: token } = ctx.oidc.entities;
  if (!token || token.clientId !== ctx.oidc.client?.clientId) {
    ctx.status = 400;
    ctx.body = { error: 'invalid_grant', error_description: 'Invalid refresh token' };
    return;
  }
  ctx.body = null;
  // Offline access is no session; it ended with its token.
  if (!token.expiresWithSession) return;
  const session = await liveSession(room, token.sessionUid ?? '', token.accountId, ctx.req);
  if (!session) return;
  const now = room.now();
  const origin = {
    ...{ realmId: session.realmId, at: now, actor: session.facts.impersonator?.id ?? session.userId, subject: session.userId },
    ...{ clientId: token.clientId ?? null, ip: ctx.ip, userAgent: ctx.get('user-agent') || null },
  };
  await room.db.transaction(async (trx) => {
    const sessions = await endSessionsIn(trx, session.realmId, { id: session.id }, now);
    if (sessions > 0) await record(trx, origin, { type: 'logout', details: { sessions } });
  });
}
