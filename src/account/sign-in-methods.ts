/** The front page: how the user signs in. */
import type { ConsoleSession } from '../http/relying.ts';
import type { FormError } from '../http/render.ts';
import { say, type Words } from '../languages/messages.ts';
import { PREFERRED_NOTE, userNotes } from '../store/user-notes.ts';
import { addableMethods } from './add-method.ts';
import { backLink } from './back-link.ts';
import { codesLeftOf, inOrder, isSecond, methodModel } from './methods.ts';
import { type AccountRequest, common, methodsIn, takeNotice } from './room.ts';
import { waitingRequests } from './waiting-requests.ts';

/** A name that is being typed: after it was refused, or after the user had to sign in before it could be saved. */
export interface Renaming {
  id: string;
  label: string;
}

export async function showMethods(request: AccountRequest): Promise<void> {
  const { ctx, realm, relying } = request;
  const signedIn = await relying.requireSession(ctx, realm, 'account');
  if (!signedIn) return;
  const { rename, label } = ctx.query;
  const typed = typeof rename === 'string' && typeof label === 'string' ? { id: rename, label: label.slice(0, 200) } : undefined;
  await methodsPage(request, signedIn, { renaming: typed, notice: takeNotice(request) });
}

export async function methodsPage(
  request: AccountRequest,
  signedIn: ConsoleSession,
  shown: { renaming?: Renaming | undefined; notice?: Words | null; errors?: FormError[]; status?: number },
): Promise<void> {
  const { ctx, db, keyring, render } = request;
  const { user, credentials } = signedIn;
  const on = methodsIn(request, signedIn);
  const renaming = credentials.some((row) => row.id === shown.renaming?.id && isSecond(on, row)) ? shown.renaming : undefined;
  const facts = {
    preferred: (await userNotes(db.knex, user.realmId, user.id)).get(PREFERRED_NOTE),
    left: await codesLeftOf(keyring, credentials),
  };
  const again = renaming && !shown.errors ? say('account.notice.signedInAgain') : null;
  await render(
    ctx,
    'account/sign-in-methods',
    {
      ...common(request, user),
      notice: shown.notice ?? again,
      errors: shown.errors ?? [],
      methods: inOrder(on, credentials).map((row) => methodModel(on, credentials, row, facts)),
      renaming: renaming ?? null,
      addable: addableMethods(request, signedIn),
      waiting: await waitingRequests(request, user.id),
      back: await backLink(request),
    },
    shown.status ?? 200,
  );
}
