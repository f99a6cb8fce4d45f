/** The pages that the library shows by itself, in our layout: errors, and the two of signing out. */
import { type ErrorOut, errors, type KoaContextWithOIDC } from 'oidc-provider';
import { wantsPage } from '../http/errors.ts';
import { askLanguage } from '../http/language.ts';
import { type MessageKey, type Saying, say } from '../languages/messages.ts';
import { type AboutClient, aboutClient } from '../realms/home.ts';
import { currentRequestId } from '../telemetry/log.ts';
import { rowOf } from './clients/client-metadata.ts';
import { TooManyFetched } from './clients/request-uris.ts';
import { described } from './descriptions.ts';
import { STAYED } from './names.ts';
import type { RealmRoom } from './room.ts';
import { isOfThisSession, signOutAtOnce } from './sign-out.ts';

/** What an error means to the person who meets it, and what to do. The library's own words are for the application's people. */
interface Told {
  title: Saying;
  message: Saying;
  hint: Saying;
}

const told = (title: MessageKey, message: MessageKey, hint: MessageKey): Told => ({ title: say(title), message: say(message), hint: say(hint) });

const TOLD: Readonly<Record<string, Told>> = {
  invalid_client: told('error.protocol.client.title', 'error.protocol.client.message', 'error.protocol.client.hint'),
  invalid_redirect_uri: told('error.protocol.redirectUri.title', 'error.protocol.redirectUri.message', 'error.protocol.redirectUri.hint'),
  unmet_authentication_requirements: told('error.protocol.unmet.title', 'error.protocol.unmet.message', 'error.protocol.unmet.hint'),
  temporarily_unavailable: told('error.title.429', 'error.protocol.tooMany.message', 'error.protocol.tooMany.hint'),
  server_error: told('error.title.500', 'error.fault', 'error.hint.500'),
};
const OVER = told('error.title.expired', 'error.protocol.over.message', 'error.protocol.over.hint');
const STALE_LOGOUT = told('error.protocol.staleLogout.title', 'error.protocol.staleLogout.message', 'error.protocol.staleLogout.hint');
const BUSY = told('error.title.429', 'error.protocol.busy.message', 'error.protocol.busy.hint');
const OTHERWISE = told('error.title.otherwise', 'error.protocol.otherwise.message', 'error.protocol.otherwise.hint');

export interface Pages {
  /** Any view, in the language that the request asks for. */
  show(ctx: KoaContextWithOIDC, view: string, model: object): Promise<void>;
  renderError(ctx: KoaContextWithOIDC, out: ErrorOut, error: Error): Promise<void>;
  logoutSource(ctx: KoaContextWithOIDC): Promise<void>;
  postLogoutSuccessSource(ctx: KoaContextWithOIDC): Promise<void>;
}

/** @param cookie how the library's session cookie is set */
export function pagesOf(room: RealmRoom, cookie: { path: string }): Pages {
  const realm = { name: room.context.realm.name, displayName: room.context.realm.displayName };
  const show = (ctx: KoaContextWithOIDC, view: string, model: object) => {
    // The later pages of a sign-out take no parameter for it, but have it in their address (middleware.ts).
    askLanguage(ctx, { ...ctx.query, ...ctx.oidc.params });
    return room.render(ctx, view, { realm, ...model });
  };
  return {
    show,
    async renderError(ctx, told, error) {
      const fault = told.error === 'server_error';
      const out = fault ? told : { ...told, ...described(ctx, error) };
      room.log[fault ? 'error' : 'warn'](
        {
          realm: realm.name,
          error: out.error,
          description: out.error_description,
          ...('error_detail' in error ? { detail: error.error_detail } : {}),
          ...(fault ? { err: error } : {}),
        },
        'an error page was shown',
      );
      const meaning = toldOf(ctx, out, error);
      if (meaning === OVER || meaning === STALE_LOGOUT) ctx.status = 410;
      if (!wantsPage(ctx)) {
        ctx.body = out;
        return;
      }
      const detail = fault ? null : [out.error, out.error_description].filter(Boolean).join(': ');
      await show(ctx, 'message', { ...meaning, detail, reference: currentRequestId() ?? null, link: null });
    },
    async logoutSource(ctx) {
      if (isOfThisSession(ctx)) return signOutAtOnce(ctx, cookie);
      const xsrf = ctx.oidc.session?.state?.secret;
      await show(ctx, 'login/logout', { action: ctx.oidc.urlFor('end_session_confirm'), fields: { xsrf: String(xsrf) }, client: clientModel(ctx) });
    },
    async postLogoutSuccessSource(ctx) {
      const client = clientModel(ctx);
      await show(ctx, 'login/signed-out', { client, stays: client !== null || ctx.query[STAYED] !== undefined });
    },
  };
}

function toldOf(ctx: KoaContextWithOIDC, out: ErrorOut, error: Error): Told {
  if (error instanceof errors.SessionNotFound) return OVER;
  if (error instanceof TooManyFetched) return BUSY;
  // The page to sign out by holds a word that its session has forgotten.
  if (ctx.oidc.route === 'end_session_confirm' && out.error === 'invalid_request') return STALE_LOGOUT;
  return TOLD[out.error] ?? OTHERWISE;
}

/** What a page says of the application. */
export const clientModel = ({ oidc: { client } }: KoaContextWithOIDC): AboutClient | null => (client ? aboutClient(rowOf(client)) : null);
