/** The front page of the admin console: all realms. */
import type { ConsoleSession } from '../../http/relying.ts';
import { say } from '../../languages/messages.ts';
import { issuerOf } from '../../realms/issuer.ts';
import { realmOverview } from '../resources/overview.ts';
import { type AdminRequest, shownRealm, shownUser, standingWarning } from './room.ts';

const PAGE = 50;

export async function showOverview(request: AdminRequest, session: ConsoleSession): Promise<void> {
  const { ctx, db, origin, base, render } = request;
  const { after } = ctx.query;
  const { realms, next } = await realmOverview({ db }, { after: typeof after === 'string' ? after : undefined, limit: PAGE });
  await render(ctx, 'admin/overview', {
    realm: shownRealm(request),
    base,
    user: shownUser(session),
    warning: standingWarning(request),
    realms: realms.map(({ loweredFloor: level, ...realm }) => ({
      ...realm,
      issuer: issuerOf(origin, realm.name),
      warning: level === null ? null : say('policy.floor.loweredBadge', { level }),
    })),
    first: typeof after === 'string' ? `${base}/` : null,
    next: next === null ? null : `${base}/?${new URLSearchParams({ after: next })}`,
  });
}
