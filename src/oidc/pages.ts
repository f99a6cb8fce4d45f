/** The pages that the library shows by itself, in our layout: errors, and the two of signing out. */
import { type ErrorOut, errors, type KoaContextWithOIDC } from 'oidc-provider';
import { wantsPage } from '../http/errors.ts';
import { currentRequestId } from '../telemetry/log.ts';
import { rowOf } from './clients.ts';
import type { RealmRoom } from './room.ts';

/** What an error means to the person who meets it, and what to do. The library's own words are for the application's people. */
interface Told {
  title: string;
  message: string;
  hint: string;
}

const TOLD: Readonly<Record<string, Told>> = {
  invalid_client: {
    title: 'This application is not known here',
    message: 'The application that sent you here is not registered, or is switched off.',
    hint: 'Check the address that you came from. If it is right, tell the people who run the application.',
  },
  invalid_redirect_uri: {
    title: 'You cannot be sent back to this application',
    message: 'The address that it wants you sent back to is not registered for it, so you were stopped here.',
    hint: 'Tell the people who run the application: its redirect_uri has to be registered exactly as it is sent.',
  },
  unmet_authentication_requirements: {
    title: 'A stronger sign-in is needed',
    message: 'This account has no sign-in method that is strong enough for what the application asks.',
    hint: 'Ask your administrator.',
  },
  server_error: {
    title: 'Something went wrong here',
    message: 'The server met a fault. It was recorded.',
    hint: 'Try again in a moment. If it happens again, tell your administrator the reference below.',
  },
};
const OVER: Told = {
  title: 'This sign-in is over',
  message: 'It was finished already, took too long, or was begun in another browser.',
  hint: 'If you are not signed in, go back to the application and sign in again.',
};
const STALE_LOGOUT: Told = {
  title: 'This page was used before',
  message: 'You are signed out already, or have signed in again since.',
  hint: 'To sign out, go back to the application and do it there.',
};
const OTHERWISE: Told = {
  title: 'This request cannot be answered',
  message: 'What the application asked for is not right or not complete.',
  hint: 'Go back to the application and try again. If it happens again, tell the people who run it what is written below.',
};

export interface Pages {
  renderError(ctx: KoaContextWithOIDC, out: ErrorOut, error: Error): Promise<void>;
  logoutSource(ctx: KoaContextWithOIDC): Promise<void>;
  postLogoutSuccessSource(ctx: KoaContextWithOIDC): Promise<void>;
}

export function pagesOf(room: RealmRoom): Pages {
  const realm = { name: room.context.realm.name, displayName: room.context.realm.displayName };
  const show = (ctx: KoaContextWithOIDC, view: string, model: object) => room.render(ctx, view, { realm, ...model });
  return {
    async renderError(ctx, out, error) {
      const fault = out.error === 'server_error';
      room.log[fault ? 'error' : 'warn'](
        { realm: realm.name, error: out.error, description: out.error_description, ...(fault ? { err: error } : {}) },
        'an error page was shown',
      );
      const told = toldOf(ctx, out, error);
      if (told === OVER || told === STALE_LOGOUT) ctx.status = 410;
      if (!wantsPage(ctx)) {
        ctx.body = out;
        return;
      }
      const detail = fault ? null : [out.error, out.error_description].filter(Boolean).join(': ');
      await show(ctx, 'message', { ...told, detail, reference: currentRequestId() ?? null, link: null });
    },
    async logoutSource(ctx) {
      const xsrf = ctx.oidc.session?.state?.secret;
      await show(ctx, 'login/logout', { action: ctx.oidc.urlFor('end_session_confirm'), fields: { xsrf: String(xsrf) }, client: clientModel(ctx) });
    },
    async postLogoutSuccessSource(ctx) {
      await show(ctx, 'login/signed-out', { client: clientModel(ctx) });
    },
  };
}

function toldOf(ctx: KoaContextWithOIDC, out: ErrorOut, error: Error): Told {
  if (error instanceof errors.SessionNotFound) return OVER;
  // The page to sign out by holds a word that its session has forgotten.
  if (ctx.oidc.route === 'end_session_confirm' && out.error === 'invalid_request') return STALE_LOGOUT;
  return TOLD[out.error] ?? OTHERWISE;
}

/** What a page says of the application. */
function clientModel(ctx: KoaContextWithOIDC): { name: string; uri: string | null } | null {
  if (!ctx.oidc.client) return null;
  const row = rowOf(ctx.oidc.client);
  return { name: row.name ?? row.clientId, uri: row.baseUrl };
}
