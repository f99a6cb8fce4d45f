/**
 * Pages that say why somebody did not get to a site. They are shown under our own name, where they look like the others,
 * and lead nowhere but back to the site of a gate.
 */
import { notFound } from '../errors.ts';
import { securityHeaders } from '../http/headers.ts';
import { type MessageKey, say } from '../languages/messages.ts';
import { realmPath } from '../realms/issuer.ts';
import { type GateRow, gateById } from '../store/gates.ts';
import type { GateRequest } from './room.ts';

const REASONS = {
  'not-begun': { title: 'account.arrival.notBegun.title', message: 'account.arrival.notBegun.message', status: 400 },
  ended: { title: 'account.arrival.ended.title', message: 'account.arrival.ended.message', status: 400 },
  unfit: { title: 'account.arrival.unfit.title', message: 'account.arrival.unfit.message', status: 400 },
  cancelled: { title: 'account.arrival.stopped.title', message: 'account.arrival.stopped.message', status: 400 },
  used: { title: 'account.arrival.used.title', message: 'account.arrival.used.message', status: 400 },
  'too-weak': { title: 'account.arrival.tooWeak.title', message: 'account.arrival.tooWeak.message', status: 403 },
  denied: { title: 'gate.denied.title', message: 'gate.denied.message', status: 403 },
} as const satisfies Record<string, { title: MessageKey; message: MessageKey; status: number }>;
export type Reason = keyof typeof REASONS;

/** The reason for an error of the provider (RFC 6749 sections 4.1.2.1 and 5.2, RFC 9470 section 5). */
export const reasonOf = (error: string | null): Reason => ERRORS.get(error ?? '') ?? 'unfit';
const ERRORS = new Map<string, Reason>([
  ['access_denied', 'cancelled'],
  ['invalid_grant', 'used'],
  ['unmet_authentication_requirements', 'too-weak'],
]);

/** The address of such a page. */
export function stopped({ origin, realm }: GateRequest, { id }: Pick<GateRow, 'id'>, reason: Reason): string {
  return `${origin}${realmPath(realm.realm.name)}/gate/stopped?${new URLSearchParams({ why: reason, gate: id })}`;
}

/** Shows that page. 404 for a gate or a reason that is none. */
export async function showStopped(request: GateRequest): Promise<void> {
  const { ctx, db, realm, render, origin } = request;
  const { why, gate: id } = ctx.query;
  const gate = typeof id === 'string' && !id.includes('\0') ? await gateById(db.knex, realm.realm.id, id) : undefined;
  if (!gate || typeof why !== 'string' || !isReason(why)) throw notFound(say('error.noPage'));
  const { title, message, status } = REASONS[why];
  const { name, displayName } = realm.realm;
  const link = { href: `${gate.origin}/`, label: say('gate.back', { site: new URL(gate.origin).host }) };
  ctx.set(securityHeaders({ origin }));
  await render(ctx, 'message', { realm: { name, displayName }, title: say(title), message: say(message), hint: null, reference: null, link }, status);
}

const isReason = (text: string): text is Reason => Object.hasOwn(REASONS, text);
