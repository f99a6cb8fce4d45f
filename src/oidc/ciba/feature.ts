/**
 * Requests that are answered elsewhere (OpenID Connect Client-Initiated Backchannel Authentication Core 1.0, CIBA): what the
 * library is told of them.
 *
 *     a client asks ─► counted (limits.ts) ─► stored, and a mail to the user (storage/ciba-requests.ts, letter.ts)
 *     the user      ─► the page behind the link (page.ts) ─► the ordinary sign-in, anew ─► yes, or no
 *     the client    ─► asks the token endpoint, at its pace, and gets tokens once
 *
 * To the pages such a request is a device that waits for its user (RFC 8628), whose code is the link: the same prompts, the
 * same policy of that client, the same way back. It is another's in two things: who has to sign in was said before, and an
 * answer counts from nobody else.
 */
import { type Configuration, errors, type KoaContextWithOIDC } from 'oidc-provider';
import { cibaLifetimes } from '../../realms/ciba.ts';
import { userByLogin } from '../../store/users.ts';
import type { RealmRoom } from '../room.ts';
import { CibaLimits } from './limits.ts';

type Ciba = NonNullable<NonNullable<Configuration['features']>['ciba']>;

/** Nobody compares more on two screens. */
const LONGEST_MESSAGE = 64;
/** Letters, numbers, punctuation, signs and spaces: nothing that is not seen, begins a line, or turns what follows around. */
const MESSAGE = /^(?=.*\S)[\p{L}\p{M}\p{N}\p{P}\p{S} ]+$/u;
const LONGEST_HINT = 255;

export function cibaOf(room: RealmRoom): Ciba {
  const limits = new CibaLimits(room);
  return {
    enabled: true,
    deliveryModes: ['poll'],
    validateRequestContext: (ctx) => limits.client(ctx, clientOf(ctx)),
    validateBindingMessage: (_ctx, message) => checkMessage(message),
    processLoginHint: (ctx, hint = '') => limits.guess(ctx, clientOf(ctx), () => userNamed(room, hint)),
    processLoginHintToken: () => {
      throw new errors.InvalidRequest('login_hint_token is not taken here; send login_hint with a username or an address, or id_token_hint');
    },
    // The last question before the request is stored, when it is known who is meant.
    verifyUserCode: async (ctx, account, code) => {
      if (code !== undefined) throw new errors.InvalidRequest('user_code is not taken here; its user is always asked to sign in');
      await limits.user(ctx, account.accountId);
    },
    // The mail is stored together with the request.
    triggerAuthenticationDevice: () => undefined,
  };
}

const clientOf = ({ oidc }: KoaContextWithOIDC): string => oidc.client?.clientId ?? '';

/** By username or address, if there is such a user, who is switched on. */
async function userNamed({ db, context }: RealmRoom, hint: string): Promise<string | undefined> {
  if (hint.length > LONGEST_HINT || hint.includes('\0')) return undefined;
  const user = await userByLogin(db.knex, context.realm.id, hint);
  return user?.enabled ? user.id : undefined;
}

function checkMessage(message: string | undefined): void {
  if (message === undefined) return;
  if ([...message].length > LONGEST_MESSAGE || !MESSAGE.test(message))
    throw new errors.InvalidBindingMessage(`binding_message must be 1 to ${LONGEST_MESSAGE} letters, numbers, signs and spaces on one line`);
}

/** The library leaves out how long a client is to wait between its questions (section 7.3). What is refused is recorded. */
export async function completeCibaAnswer({ batch, context, now }: RealmRoom, ctx: KoaContextWithOIDC): Promise<void> {
  const { body, oidc } = ctx;
  if (typeof body !== 'object' || body === null) return;
  if ('auth_req_id' in body) Object.assign(body, { interval: cibaLifetimes(context.realm.settings).interval });
  if (!('error' in body) || typeof body.error !== 'string' || !oidc.client) return;
  const origin = {
    ...{ realmId: context.realm.id, at: now(), actor: null, subject: oidc.account?.accountId ?? null, clientId: oidc.client.clientId },
    ...{ ip: ctx.ip, userAgent: ctx.get('user-agent') || null },
  };
  batch.add(origin, { type: 'ciba.refused', details: { reason: body.error } });
}

/** The library says that it takes a `user_code`, whatever becomes of one. */
export function describeCiba({ body }: KoaContextWithOIDC): void {
  if (typeof body === 'object' && body !== null && 'backchannel_user_code_parameter_supported' in body)
    Object.assign(body, { backchannel_user_code_parameter_supported: false });
}
