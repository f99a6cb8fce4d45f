/** The pages that the library shows by itself, in our layout: errors, and the two of signing out. */
import { randomUUID } from 'node:crypto';
import type { ErrorOut, KoaContextWithOIDC } from 'oidc-provider';
import { rowOf } from './clients.ts';
import type { RealmRoom } from './room.ts';

/** What a person can do about an error, by its code; the description says what happened. */
const HINTS: Record<string, { title: string; hint: string }> = {
  invalid_client: { title: 'This application is not known here', hint: 'Check the address that you came from, or tell the people who run the application: its client_id is not registered in this realm.' },
  invalid_redirect_uri: {
    title: 'This application may not be answered',
    hint: 'The address to return to is not registered for the application. Tell the people who run it: its redirect_uri has to be registered exactly as it is sent.',
  },
  session_not_found: { title: 'This sign-in has expired', hint: 'Go back to the application and sign in again. Nothing was lost but what was typed here.' },
  unmet_authentication_requirements: { title: 'This sign-in cannot reach what is asked', hint: 'The application asks for a stronger sign-in than this account has. Ask your administrator.' },
  server_error: { title: 'Something went wrong here', hint: 'Try again in a moment. If it happens again, tell your administrator the reference below.' },
};
const OTHERWISE = { title: 'This request cannot be answered', hint: 'Go back to the application and try again. If it happens again, tell the people who run it what is written here.' };

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
      const reference = randomUUID();
      const fault = out.error === 'server_error';
      room.log[fault ? 'error' : 'warn']({ reference, realm: realm.name, error: out.error, description: out.error_description, ...(fault ? { err: error } : {}) }, 'an error page was shown');
      const code = out.error === 'invalid_request' && /session not found|interaction|expired/i.test(out.error_description ?? '') ? 'session_not_found' : out.error;
      const { title, hint } = HINTS[code] ?? OTHERWISE;
      await show(ctx, 'message', {
        title,
        message: out.error_description ? `${out.error}: ${out.error_description}` : out.error,
        hint,
        reference,
        link: null,
      });
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

/** What a page says of the application. */
function clientModel(ctx: KoaContextWithOIDC): { name: string; uri: string | null } | null {
  if (!ctx.oidc.client) return null;
  const row = rowOf(ctx.oidc.client);
  return { name: row.name ?? row.clientId, uri: row.baseUrl };
}
