/** Adding an authenticator app: the hosted sign-in does it, and sends the user back here. */
import { RECENT_SECONDS } from '../http/recent.ts';
import { isSecond } from './methods.ts';
import { type AccountRequest, done, methodsIn } from './room.ts';

/** Keycloak's name for it (its application-initiated actions). */
const ACTION = 'CONFIGURE_TOTP';

export async function addMethod(request: AccountRequest): Promise<void> {
  const { ctx, realm, relying, base } = request;
  if (!(await relying.requireSession(ctx, realm, 'account'))) return;
  // Whether that is recent enough is decided where the app is bound, and only there.
  await relying.begin(ctx, realm, 'account', { returnTo: base, parameters: { kc_action: ACTION, max_age: String(RECENT_SECONDS) } });
}

/** Back from any sign-in. */
export async function arrive(request: AccountRequest): Promise<void> {
  const arrival = await request.relying.callback(request.ctx, request.realm, 'account');
  if (!arrival) return;
  const { action, credentials, startedAt, returnTo } = arrival;
  const added = credentials.some((row) => isSecond(methodsIn(request), row) && row.createdAt >= startedAt);
  done(request, action !== ACTION ? null : added ? 'added' : 'not-added', returnTo);
}
