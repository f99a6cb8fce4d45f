/** What this room records of sign-ins: how they ended, what a session answered, and where more was needed than it had. */
import type { KoaContextWithOIDC } from 'oidc-provider';
import type { AuditOrigin } from '../audit/event.ts';
import { record } from '../audit/record.ts';
import type { Decision, Facts } from '../policy/decide.ts';
import type { RecordedInputs } from '../policy/replay.ts';
import type { Standing } from './authentication.ts';
import type { RealmRoom } from './room.ts';

type Stands = Pick<Standing, 'session' | 'signIn' | 'isNew'>;

/**
 * Nothing more is asked: a sign-in has just been finished, or a session answers.
 * @param inputs what that was decided from, kept of sign-ins
 */
export async function recordAnswer(
  room: RealmRoom,
  ctx: KoaContextWithOIDC,
  standing: Stands,
  decision: Extract<Decision, { ask: 'nothing' }>,
  inputs: () => RecordedInputs,
): Promise<void> {
  const { session, signIn } = standing;
  const origin = originOf(room, ctx, standing);
  const details = { acr: decision.acr, amr: decision.amr, rules: [...decision.rules] };
  if (standing.isNew) {
    await record(room.db.knex, origin, { type: 'login.ok', details: { ...details, inputs: inputs() } });
    // The session was there before the sign-in began: it was raised, or made fresh.
    if (signIn && session.createdAt < signIn.row.createdAt) await record(room.db.knex, origin, { type: 'stepup.ok', details: { acr: decision.acr } });
  } else if (isAsked(ctx)) room.batch.add(origin, { type: 'login.sso', details });
}

/** The session is not enough for this request. */
export async function recordStepUp(room: RealmRoom, ctx: KoaContextWithOIDC, standing: Stands, facts: Facts): Promise<void> {
  if (!isAsked(ctx) || onlyLooks(ctx)) return;
  await record(room.db.knex, originOf(room, ctx, standing), { type: 'stepup.required', details: { acr: [...facts.requested.acr] } });
}

/** Nothing that the user could do would be enough. */
export async function recordUnmet(room: RealmRoom, ctx: KoaContextWithOIDC, standing: Stands, reason: string): Promise<void> {
  if (!onlyLooks(ctx)) await record(room.db.knex, originOf(room, ctx, standing), { type: 'stepup.unmet', details: { reason } });
}

/** Somebody came back from a sign-in in a way that no browser of its own would. */
export async function recordRefusal(
  room: RealmRoom,
  from: { ip: string; userAgent: string },
  refusal: { reason: string; transactionId?: string | undefined },
): Promise<void> {
  const { realm } = room.context;
  room.log.warn({ realm: realm.name, reason: refusal.reason }, 'a sign-in was refused on its way back');
  await record(
    room.db.knex,
    { realmId: realm.id, at: room.now(), ip: from.ip, userAgent: from.userAgent || null, transactionId: refusal.transactionId ?? null },
    { type: 'flow.refused', details: { reason: refusal.reason } },
  );
}

/** Of an application that looks whether the session is enough, as many do all the time, nothing is recorded when it is not. */
const onlyLooks = (ctx: KoaContextWithOIDC): boolean => ctx.oidc.prompts.has('none');

/** The application's own request, and not the way back from our pages. */
const isAsked = (ctx: KoaContextWithOIDC): boolean => ctx.oidc.result === undefined;

function originOf(room: RealmRoom, ctx: KoaContextWithOIDC, { session, signIn }: Stands): AuditOrigin {
  return {
    realmId: session.realmId,
    at: room.now(),
    // Who acts as the user is who did it.
    actor: session.facts.impersonator?.id ?? session.userId,
    subject: session.userId,
    clientId: ctx.oidc.client?.clientId ?? null,
    transactionId: signIn?.row.id ?? null,
    ip: ctx.ip,
    userAgent: ctx.get('user-agent') || null,
  };
}
