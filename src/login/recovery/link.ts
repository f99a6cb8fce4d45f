/**
 * The link of the mail. To open it does nothing: mail programs and their guards open links too. The page that it shows says
 * nothing of anybody, and its button goes on, once, in the browser that asked (test/attacks, C05).
 */
import { z } from 'zod';
import { record } from '../../audit/record.ts';
import { notFound } from '../../errors.ts';
import { readForm } from '../../http/input.ts';
import { redirectTo } from '../../http/redirect.ts';
import { say } from '../../languages/messages.ts';
import { explain, type Told } from './answers.ts';
import { laterOf, settleInvitation, todoOf } from './invite.ts';
import { next, type RecoveryState } from './machine.ts';
import { isLink, type Recovery } from './recoveries.ts';
import { auditOrigin, cookieOf, isOffered, LIFETIME_MS, type RecoveryRequest, realmModel, setCookie } from './room.ts';
import { rulesOf } from './rules.ts';

const KEY = /^[A-Za-z0-9_-]{43}$/;
/** Of a link that an administrator has sent: whose it is stands before what it holds, for there is no cookie yet. */
const SENT_KEY = /^([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})\.([A-Za-z0-9_-]{43})$/;
const form = z.object({ key: z.string() });

/** The recovery that a key is the link of; or what is wrong with it, of which nothing can be learnt about the key or anybody. */
async function linked(request: RecoveryRequest, key: unknown): Promise<Recovery | Told> {
  const { recoveries, realm, at } = request;
  const [, id, token] = (typeof key === 'string' && SENT_KEY.exec(key)) || [];
  if (id !== undefined && token !== undefined) {
    const sent = await recoveries.byId(realm.realm.id, id, at);
    return sent?.state.asked && isLink(sent, token) ? sent : 'link';
  }
  if (!isOffered(request, realm)) throw notFound(say('error.noPage'));
  const recovery = await recoveries.load(realm.realm.id, cookieOf(request), at);
  if (!recovery) return 'browser';
  return typeof key === 'string' && KEY.test(key) && isLink(recovery, key) ? recovery : 'link';
}

export async function showLink(request: RecoveryRequest): Promise<void> {
  const { key } = request.ctx.query;
  const found = await linked(request, key);
  if (typeof found === 'string') return explain(request, found);
  if (found.state.asked)
    return request.render(request.ctx, 'login/recovery/invited', { realm: realmModel(request), key, todo: todoOf(found.state), errors: [] });
  await request.render(request.ctx, 'login/recovery/link', { realm: realmModel(request), key, errors: [] });
}

export async function followLink(request: RecoveryRequest): Promise<void> {
  const { ctx, db, base, recoveries } = request;
  const { key } = await readForm(ctx, form);
  const found = await linked(request, key);
  if (typeof found === 'string') {
    await record(db.knex, auditOrigin(request, null, null), { type: 'recovery.refused', details: { reason: found } });
    return explain(request, found);
  }
  const { rules, user } = await rulesOf(request, found);
  const state = next(found.state, { type: 'followed' }, rules);
  const { refusal } = state;
  const moved = await recoveries.advance(found, state, {
    renew: true,
    link: null,
    endsBy: request.at + LIFETIME_MS,
    within: async (trx) => {
      if (state.at === 'done' && user) {
        await settleInvitation(trx, user, state, request.at);
        await record(trx, auditOrigin(request, found, user.id), { type: 'user.updated', details: { fields: fieldsOf(state) } });
      }
      if (refusal !== null)
        await record(trx, auditOrigin(request, found, user?.id ?? null), { type: 'recovery.refused', details: { reason: refusal } });
    },
  });
  // Of two who press the button at once, one goes on.
  if (moved?.cookie === undefined) return explain(request, 'link');
  setCookie(request, moved.cookie, moved.recovery.row.expiresAt);
  redirectTo(ctx, `${base}/reset-credentials/continue`);
}

/** What of a user such a link changes. */
const fieldsOf = ({ asked }: RecoveryState): string[] => [
  ...(asked?.actions.includes('VERIFY_EMAIL') ? ['emailVerified'] : []),
  ...(laterOf(asked?.actions ?? []).length > 0 ? ['requiredActions'] : []),
];
