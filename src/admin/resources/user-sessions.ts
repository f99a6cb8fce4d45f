/** Sessions, consents and identities elsewhere, as whoever administers sees and ends them. */
import { z } from 'zod';
import { conflict, notFound } from '../../errors.ts';
import { signOutEverywhere, takeBackAccess } from '../../sessions/endings.ts';
import { aliveIn } from '../../sessions/lifetimes.ts';
import { endSessionsIn } from '../../sessions/sessions.ts';
import { sessionIdBySid } from '../../store/client-sessions.ts';
import { isUniqueViolation } from '../../store/database.ts';
import { deleteIdentity, insertIdentity, type LinkedIdentity } from '../../store/identities.ts';
import { deleteGrants } from '../../store/oidc-payloads.ts';
import type { RealmRow } from '../../store/realms.ts';
import { type ListedSession, offlineGrants, sessionsOfRealm, someOpenSessions } from '../../store/session-lists.ts';
import type { UserRow } from '../../store/users.ts';
import { audit, type Operator, plainText, validated } from './context.ts';

/** Signs a user out everywhere: sessions, and tokens of any kind, offline ones too. */
export async function signUserOut(operator: Operator, realm: RealmRow, user: UserRow): Promise<void> {
  const { db, now } = operator;
  await db.transaction(async (trx) => {
    const { sessions } = await signOutEverywhere(trx, { realmId: realm.id, userId: user.id }, { offline: true }, now);
    await audit(operator, { realmId: realm.id, subject: user.id }, { type: 'session.ended', details: { sessions } }, trx);
  });
}

/**
 * Ends one session, or with `offline` the offline tokens of one.
 * @param name its id, or the `sid` of a token of it, which is the session's id in Keycloak
 * @throws AppError 404 when there is none of that id that still stands
 */
export async function endSession(operator: Operator, realm: RealmRow, name: string, options: { offline: boolean }): Promise<void> {
  const { db, now } = operator;
  await db.transaction(async (trx) => {
    const id = (await sessionIdBySid(trx, realm.id, name)) ?? name;
    const grants = options.offline ? await offlineGrants(trx, realm.id, { sessionId: id }) : [];
    const ended = options.offline ? grants.length : await endSessionsIn(trx, realm.id, { id }, now);
    if (ended === 0) throw notFound('Session not found');
    await deleteGrants(trx, realm.id, grants);
    await audit(operator, { realmId: realm.id }, { type: 'session.ended', details: { sessions: 1 } }, trx);
  });
}

/** Every session of a realm that still stands, newest first, page by page. */
export async function* allSessions({ db, now }: Pick<Operator, 'db' | 'now'>, realm: RealmRow): AsyncGenerator<ListedSession> {
  for (let after: ListedSession | undefined; ; ) {
    const { sessions, isLast } = await sessionsOfRealm(db.knex, realm.id, aliveIn(realm.settings, now), after);
    yield* sessions;
    if (isLast) return;
    after = sessions.at(-1);
  }
}

const BATCH = 100;

/** Ends every session of a realm, in batches: other work goes on meanwhile. */
export async function signEverybodyOut(operator: Operator, realm: RealmRow): Promise<void> {
  const { db, now } = operator;
  for (;;) {
    const ids = await someOpenSessions(db.knex, realm.id, BATCH);
    if (ids.length === 0) return;
    await db.transaction(async (trx) => {
      let sessions = 0;
      for (const id of ids) sessions += await endSessionsIn(trx, realm.id, { id }, now);
      await audit(operator, { realmId: realm.id }, { type: 'session.ended', details: { sessions } }, trx);
    });
  }
}

/** Takes back what a user allowed a client, with the tokens that it has. */
export async function revokeConsent(operator: Operator, realm: RealmRow, user: UserRow, client: { id: string; clientId: string }): Promise<void> {
  await operator.db.transaction(async (trx) => {
    if (!(await takeBackAccess(trx, { realmId: realm.id, userId: user.id }, client.id))) throw notFound('Consent nor offline token not found');
    const about = { realmId: realm.id, subject: user.id, clientId: client.clientId };
    await audit(operator, about, { type: 'consent.revoked', details: {} }, trx);
  });
}

const identity = z.object({ provider: plainText(255), subject: plainText(255), username: plainText(255).nullable() });

/** Links a user to who they are at another provider. 409 for one who is linked there, and for an identity that is somebody's. */
export async function linkIdentity(operator: Operator, realm: RealmRow, user: UserRow, input: LinkedIdentity): Promise<void> {
  const linked = validated<LinkedIdentity>(identity, input);
  try {
    await operator.db.transaction(async (trx) => {
      await insertIdentity(trx, user, linked, operator.now);
      const event = { type: 'user.identity-linked', details: { provider: linked.provider } } as const;
      await audit(operator, { realmId: realm.id, subject: user.id }, event, trx);
    });
  } catch (error) {
    if (isUniqueViolation(error)) throw conflict('User is already linked with provider', 'provider');
    throw error;
  }
}

export async function unlinkIdentity(operator: Operator, realm: RealmRow, user: UserRow, provider: string): Promise<void> {
  await operator.db.transaction(async (trx) => {
    if (!(await deleteIdentity(trx, user, provider))) throw notFound('Link not found');
    await audit(operator, { realmId: realm.id, subject: user.id }, { type: 'user.identity-unlinked', details: { provider } }, trx);
  });
}
