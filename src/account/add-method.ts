/** Adding a sign-in method: the hosted sign-in does it, and sends the user back here. */
import { z } from 'zod';
import { badInput } from '../errors.ts';
import { nameOf, strengthOf } from '../factors/names.ts';
import { enrollableFactors } from '../factors/owned.ts';
import { recoveryCodes } from '../factors/recovery-codes/recovery-codes.ts';
import { readForm } from '../http/input.ts';
import { RECENT_SECONDS } from '../http/recent.ts';
import type { ConsoleSession } from '../http/relying.ts';
import { say, type Words } from '../languages/messages.ts';
import { ownActionToEnrol } from '../policy/request.ts';
import { isSecond } from './methods.ts';
import { type AccountRequest, done } from './room.ts';

const form = z.object({ factor: z.string().max(100).default('totp') });

/** What this user can set up here; recovery codes once there is something that they stand in for. */
export function addableMethods(
  { factors, realm: { realm } }: AccountRequest,
  { user, known, credentials }: ConsoleSession,
): { id: string; name: Words; strength: Words }[] {
  const on = factors.in(realm.settings);
  const losable = credentials.some((row) => isSecond({ factors: on }, row) && on.get(row.factor)?.auxiliary !== true);
  const enroller = { email: user.email, administrator: known.user?.administrator ?? false };
  return enrollableFactors(factors, realm.settings, enroller, losable ? [recoveryCodes.id] : []).flatMap(({ factor: id }) => {
    const factor = on.get(id);
    return factor ? [{ id, name: nameOf(factor), strength: strengthOf(factor) }] : [];
  });
}

export async function addMethod(request: AccountRequest): Promise<void> {
  const { ctx, realm, relying, base } = request;
  const { factor } = await readForm(ctx, form);
  const signedIn = await relying.requireSession(ctx, realm, 'account');
  if (!signedIn) return;
  if (!addableMethods(request, signedIn).some(({ id }) => id === factor)) throw badInput('factor', say('login.choose.notAChoice'));
  // By our own name: what applications may ask for is the realm's to say, and this is the user's own wish.
  // Whether that is recent enough is decided where the method is bound, and only there.
  await relying.begin(ctx, realm, 'account', {
    returnTo: base,
    parameters: { kc_action: ownActionToEnrol(factor), max_age: String(RECENT_SECONDS) },
  });
}

/** Back from any sign-in. */
export async function arrive(request: AccountRequest): Promise<void> {
  const arrival = await request.relying.callback(request.ctx, request.realm, 'account');
  if (!arrival) return;
  const { action, credentials, startedAt, returnTo } = arrival;
  const on = { factors: request.factors.in(request.realm.realm.settings) };
  const added = credentials.some((row) => isSecond(on, row) && row.createdAt >= startedAt);
  done(request, action === null ? null : added ? 'added' : 'not-added', returnTo);
}
