/** The applications that have something of the user's: what each may see, and an end to that. */
import { z } from 'zod';
import { record } from '../audit/record.ts';
import { notFound } from '../errors.ts';
import { readForm } from '../http/input.ts';
import { say, type Words } from '../languages/messages.ts';
import { type Logo, logosOf } from '../logos/shown.ts';
import { homeOf } from '../realms/home.ts';
import { scopeWords } from '../realms/scope-words.ts';
import { takeBackAccess } from '../sessions/endings.ts';
import type { ApplicationAccess } from '../store/own-access.ts';
import { type AccountRequest, auditOrigin, common, done, takeNotice } from './room.ts';
import { accessOf } from './sessions.ts';

interface ApplicationModel {
  id: string;
  name: string;
  uri: string | null;
  logo: Logo | null;
  /** The user is signed in to it now. */
  signedIn: boolean;
  /** What the user allowed; null for one that nobody is asked about. */
  scopes: Words[] | null;
  /** ISO 8601; null for no such thing. */
  allowedAt: string | null;
  awaySince: string | null;
  awayUsedAt: string | null;
  /** There is something to take back. */
  removable: boolean;
}

export async function showApplications(request: AccountRequest): Promise<void> {
  const { ctx, realm, relying, render } = request;
  const signedIn = await relying.requireSession(ctx, realm, 'account');
  if (!signedIn) return;
  const { user } = signedIn;
  const access = await accessOf(request, user.id);
  const logos = await logosIn(request, access);
  const applications = access.map((one) => modelOf(request, one, logos));
  await render(ctx, 'account/applications', { ...common(request, user), notice: takeNotice(request), applications }, 200);
}

export async function askTakeBack(request: AccountRequest, id: string): Promise<void> {
  const { ctx, realm, relying, render } = request;
  const signedIn = await relying.requireSession(ctx, realm, 'account');
  if (!signedIn) return;
  const { user } = signedIn;
  const found = (await accessOf(request, user.id)).find((access) => access.clientRowId === id);
  const application = found && modelOf(request, found, await logosIn(request, [found]));
  if (!application?.removable) throw notFound(say('sessions.applications.gone'));
  await render(ctx, 'account/take-back', { ...common(request, user), application }, 200);
}

export async function takeBack(request: AccountRequest, id: string): Promise<void> {
  const { ctx, realm, relying, db, base } = request;
  await readForm(ctx, z.object({}));
  const signedIn = await relying.requireSession(ctx, realm, 'account', { returnTo: `${base}/applications/${id}/take-back` });
  if (!signedIn) return;
  const { user } = signedIn;
  const clientId = (await accessOf(request, user.id)).find((access) => access.clientRowId === id)?.clientId ?? null;
  await db.transaction(async (trx) => {
    if (!(await takeBackAccess(trx, { realmId: realm.realm.id, userId: user.id }, id))) throw notFound(say('sessions.applications.gone'));
    await record(trx, { ...auditOrigin(request, user), clientId }, { type: 'consent.revoked', details: {} });
  });
  done(request, 'takenBack', `${base}/applications`);
}

/** By row id. */
const logosIn = ({ db, realm: { realm }, at }: AccountRequest, access: readonly ApplicationAccess[]): Promise<Map<string, Logo>> => {
  const clients = access.map(({ clientRowId, attributes }) => ({ realmId: realm.id, id: clientRowId, attributes }));
  return logosOf(db.knex, realm.name, clients, at);
};

function modelOf({ realm }: AccountRequest, { offline, consent, ...access }: ApplicationAccess, logos: ReadonlyMap<string, Logo>): ApplicationModel {
  const described = new Map(realm.scopes.map((scope) => [scope.name, scope.description]));
  return {
    id: access.clientRowId,
    name: access.name,
    uri: homeOf(access),
    logo: logos.get(access.clientRowId) ?? null,
    signedIn: access.sessions > 0,
    scopes: consent?.scopes.map((name) => scopeWords(name, described.get(name) ?? name)) ?? null,
    allowedAt: consent && iso(consent.updatedAt),
    awaySince: offline && iso(offline.since),
    awayUsedAt: offline && iso(offline.usedAt),
    removable: consent !== null || offline !== null,
  };
}

const iso = (at: number): string => new Date(at).toISOString();
