/** The front page of the admin console: all realms. */
import type { ConsoleSession } from '../../http/relying.ts';
import { issuerOf } from '../../realms/issuer.ts';
import { realmOverview } from '../resources/overview.ts';
import { type AdminRequest, shownRealm, shownUser } from './room.ts';

const PAGE = 50;

export async function showOverview(request: AdminRequest, session: ConsoleSession): Promise<void> {
  const { ctx, db, origin, base, render } = request;
  const { after } = ctx.query;
  const { realms, next } = await realmOverview({ db }, { after: typeof after === 'string' ? after : undefined, limit: PAGE });
  await render(ctx, 'admin/overview', {
    realm: shownRealm(request),
    base,
    user: shownUser(session),
    realms: realms.map((realm) => ({ ...realm, issuer: issuerOf(origin, realm.name) })),
    first: typeof after === 'string' ? `${base}/` : null,
    next: next === null ? null : `${base}/?${new URLSearchParams({ after: next })}`,
  });
}
