/**
 * Where the user is signed in: every session that stands, and the applications that have access while the user is away.
 *
 * To end any of it asks for no fresh sign-in, unlike what changes how somebody signs in: somebody who is frightened must not
 * be kept from it, and whoever does it with a browser that was left open gains nothing, and locks nobody out. It is a form of
 * this origin, so that no other page can send it.
 */
import { z } from 'zod';
import { record } from '../audit/record.ts';
import { notFound } from '../errors.ts';
import { levelName } from '../factors/names.ts';
import { heldProofs } from '../factors/owned.ts';
import { readForm } from '../http/input.ts';
import type { ConsoleSession } from '../http/relying.ts';
import { say, type Words } from '../languages/messages.ts';
import type { Level } from '../policy/assurance.ts';
import { freshProofs, levelOf } from '../policy/decide.ts';
import { browserName } from '../sessions/device-names.ts';
import { endOfflineAccess } from '../sessions/endings.ts';
import { aliveIn } from '../sessions/lifetimes.ts';
import { endSessionsIn } from '../sessions/sessions.ts';
import { type ApplicationAccess, applicationsAt, applicationsOf, ownSessions } from '../store/own-access.ts';
import type { SessionRow } from '../store/sessions.ts';
import { factorName } from './methods.ts';
import { type AccountRequest, auditOrigin, common, done, methodsIn, takeNotice } from './room.ts';

interface SessionModel {
  id: string;
  /** The browser. */
  name: Words;
  /** The one that is reading this. */
  here: boolean;
  /** ISO 8601. */
  startedAt: string;
  lastSeenAt: string;
  ip: string | null;
  /** What was shown in it, in the order in which it was. */
  methods: Words[];
  /** What that reaches now; null in a session of somebody who acts as the user. */
  level: Level | null;
  levelName: Words | null;
  /** Its cookie stays when the browser is closed. */
  stays: boolean;
  /** Who acts as the user in it; null in one of the user's own. */
  actedBy: string | null;
  applications: string[];
}

/** How many other sessions there are on one page. */
const A_PAGE = 25;
const LAST_PAGE = 1_000;

export async function showSessions(request: AccountRequest): Promise<void> {
  const { ctx, realm, relying, db, at, render } = request;
  const signedIn = await relying.requireSession(ctx, realm, 'account');
  if (!signedIn) return;
  const { user, session: here } = signedIn;
  const whose = { realmId: realm.realm.id, userId: user.id };
  const page = pageOf(ctx.query.page);
  const place = { but: here.id, first: (page - 1) * A_PAGE, max: A_PAGE };
  const others = await ownSessions(db.knex, whose, aliveIn(realm.realm.settings, at), place);
  const rows = [...(page === 1 ? [here] : []), ...others.sessions];
  const names = await applicationsAt(
    db.knex,
    whose.realmId,
    rows.map(({ id }) => id),
  );
  const away = (await accessOf(request, user.id)).filter(({ offline }) => offline !== null);
  await render(
    ctx,
    'account/sessions',
    {
      ...common(request, user),
      notice: takeNotice(request),
      sessions: rows.map((row) => modelOf(request, signedIn, row, names.get(row.id) ?? [])),
      away: away.map(awayModel),
      newer: page > 1 ? page - 1 : null,
      older: others.isLast ? null : page + 1,
      alone: page === 1 && others.sessions.length === 0,
    },
    200,
  );
}

/** What applications have of a user's. */
export const accessOf = ({ realm: { realm }, db, at }: AccountRequest, userId: string): Promise<ApplicationAccess[]> => {
  const { settings } = realm;
  return applicationsOf(db.knex, { realmId: realm.id, userId }, aliveIn(settings, at), at - settings.offlineSessionIdleTimeout * 1000);
};

/** Signs one of the user's sessions out; somebody else's is nothing that is there. */
export async function endOneSession(request: AccountRequest, id: string): Promise<void> {
  const signedIn = await sessionFor(request);
  if (!signedIn) return;
  const { realm, db, at, base } = request;
  const { user } = signedIn;
  await db.transaction(async (trx) => {
    const sessions = await endSessionsIn(trx, realm.realm.id, { id, userId: user.id }, at);
    if (sessions === 0) throw notFound(say('sessions.gone'));
    await record(trx, auditOrigin(request, user), { type: 'session.ended', details: { sessions } });
  });
  done(request, 'sessionEnded', `${base}/sessions`);
}

/** Ends what an application may do while the user is away. */
export async function endAway(request: AccountRequest, clientRowId: string): Promise<void> {
  const signedIn = await sessionFor(request);
  if (!signedIn) return;
  const { realm, db, base } = request;
  const { user } = signedIn;
  const named = (await accessOf(request, user.id)).find((one) => one.clientRowId === clientRowId);
  await db.transaction(async (trx) => {
    const offline = await endOfflineAccess(trx, { realmId: realm.realm.id, userId: user.id }, clientRowId);
    if (offline === 0) throw notFound(say('sessions.gone'));
    const origin = { ...auditOrigin(request, user), ...(named ? { clientId: named.clientId } : {}) };
    await record(trx, origin, { type: 'session.ended', details: { sessions: 0, offline } });
  });
  done(request, 'awayEnded', `${base}/sessions`);
}

/** Who presses a button of these pages. */
async function sessionFor(request: AccountRequest): Promise<ConsoleSession | undefined> {
  const { ctx, realm, relying, base } = request;
  await readForm(ctx, z.object({}));
  return relying.requireSession(ctx, realm, 'account', { returnTo: `${base}/sessions` });
}

function modelOf(request: AccountRequest, signedIn: ConsoleSession, row: SessionRow, applications: string[]): SessionModel {
  const { at } = request;
  const { credentials, session: here } = signedIn;
  const { factors } = methodsIn(request, signedIn);
  const shown = [...row.proofs].sort((a, b) => a.at - b.at).map(({ factor }) => factor);
  const impersonator = row.facts.impersonator ?? null;
  const level = impersonator === null ? levelOf(heldProofs(freshProofs(row.proofs, at, row.lastSeenAt), credentials)) : null;
  return {
    id: row.id,
    name: browserName(row.userAgent),
    here: row.id === here.id,
    startedAt: iso(row.createdAt),
    lastSeenAt: iso(row.id === here.id ? at : row.lastSeenAt),
    ip: row.ip,
    methods: [...new Set(shown)].map((factor) => factorName({ factors }, { factor })),
    level,
    levelName: level === null ? null : levelName(level),
    stays: row.remember,
    actedBy: impersonator?.username ?? null,
    applications,
  };
}

/** The access of one application, as its buttons need it. */
const awayModel = ({ clientRowId, name, offline }: ApplicationAccess) => ({
  id: clientRowId,
  name,
  since: iso(offline?.since ?? 0),
  usedAt: iso(offline?.usedAt ?? 0),
});

const iso = (at: number): string => new Date(at).toISOString();

function pageOf(asked: unknown): number {
  const page = typeof asked === 'string' && /^\d{1,4}$/.test(asked) ? Number(asked) : 1;
  return Math.min(Math.max(page, 1), LAST_PAGE);
}
