/** Sessions, consents and identities elsewhere over REST, with Keycloak's representations. */
import { z } from 'zod';
import { notFound } from '../../errors.ts';
import { aliveIn } from '../../sessions/lifetimes.ts';
import { clientByClientId } from '../../store/clients.ts';
import { identitiesOf } from '../../store/identities.ts';
import { consentsOfUser, type ListedSession, offlineSessionsOfUser, sessionsByClient, sessionsOfUser } from '../../store/session-lists.ts';
import { offerImpersonation } from '../resources/impersonation.ts';
import { requireUserById } from '../resources/user-changes.ts';
import { endSession, linkIdentity, revokeConsent, signEverybodyOut, signUserOut, unlinkIdentity } from '../resources/user-sessions.ts';
import { requireNoMore } from './grantable.ts';
import { flag, id, inRealm, type Operation } from './operation.ts';
import { clientOfRealm } from './role-clients.ts';

const tag = 'Sessions';
const path = '/realms/{realm}/users/{id}';
const VIEW = ['view-users', 'manage-users'] as const;
const MANAGE = ['manage-users'] as const;

export const sessionRepresentation = z.object({
  id: z.string(),
  username: z.string(),
  userId: z.string(),
  ipAddress: z.string().optional(),
  /** Ours: what the browser said of itself. */
  userAgent: z.string().optional(),
  start: z.number().int(),
  lastAccess: z.number().int(),
  rememberMe: z.boolean(),
  /** Every user is stored here. */
  transientUser: z.literal(false),
  clients: z.record(z.string(), z.string()),
  impersonator: z.object({ id: z.string(), username: z.string(), realm: z.string() }).optional(),
});

export const representedSession = (session: ListedSession): z.output<typeof sessionRepresentation> => ({
  id: session.id,
  username: session.username,
  userId: session.userId,
  ...(session.ip === null ? {} : { ipAddress: session.ip }),
  ...(session.userAgent === null ? {} : { userAgent: session.userAgent }),
  start: session.createdAt,
  lastAccess: session.lastSeenAt,
  rememberMe: session.remember,
  transientUser: false,
  clients: session.clients,
  ...(session.impersonator === null
    ? {}
    : { impersonator: { id: session.impersonator.id, username: session.impersonator.username, realm: session.impersonator.realm } }),
});

const sessions: readonly Operation[] = [
  inRealm({
    id: 'users.sessions',
    method: 'GET',
    path: `${path}/sessions`,
    tag,
    summary: 'Sessions of a user that still stand, newest first',
    roles: VIEW,
    status: 200,
    params: { id },
    answer: z.array(sessionRepresentation),
    async run({ operator, realm }, { params }) {
      const user = await requireUserById(operator, realm, params.id);
      return { body: (await sessionsOfUser(operator.db.knex, realm.id, user.id, aliveIn(realm.settings, operator.now))).map(representedSession) };
    },
  }),
  inRealm({
    id: 'users.offline-sessions',
    method: 'GET',
    path: `${path}/offline-sessions/{client}`,
    tag,
    summary: 'Sessions of a user with an offline token for a client',
    roles: VIEW,
    status: 200,
    params: { id, client: id },
    answer: z.array(sessionRepresentation),
    async run({ operator, realm }, { params }) {
      const user = await requireUserById(operator, realm, params.id);
      const client = await clientOfRealm(operator, realm, params.client);
      return { body: (await offlineSessionsOfUser(operator.db.knex, realm.id, user.id, client.id)).map(representedSession) };
    },
  }),
  inRealm({
    id: 'users.logout',
    method: 'POST',
    path: `${path}/logout`,
    tag,
    summary: 'Sign a user out everywhere',
    roles: MANAGE,
    status: 204,
    params: { id },
    async run({ operator, realm }, { params }) {
      await signUserOut(operator, realm, await requireUserById(operator, realm, params.id));
      return {};
    },
  }),
  inRealm({
    id: 'realms.sessions.delete',
    method: 'DELETE',
    path: '/realms/{realm}/sessions/{id}',
    tag,
    summary: 'End a session, or the offline tokens of one; named by its id, or by the sid of a token',
    roles: MANAGE,
    status: 204,
    params: { id },
    query: { isOffline: flag },
    async run({ operator, realm }, { params, query }) {
      await endSession(operator, realm, params.id, { offline: query.isOffline === true });
      return {};
    },
  }),
  inRealm({
    id: 'realms.logout-all',
    method: 'POST',
    path: '/realms/{realm}/logout-all',
    tag,
    summary: 'End every session of the realm',
    roles: MANAGE,
    status: 200,
    answer: z.object({ successRequests: z.array(z.string()), failedRequests: z.array(z.string()) }),
    async run({ operator, realm }) {
      await signEverybodyOut(operator, realm);
      // What applications are told goes out by itself.
      return { body: { successRequests: [], failedRequests: [] } };
    },
  }),
  inRealm({
    id: 'realms.client-session-stats',
    method: 'GET',
    path: '/realms/{realm}/client-session-stats',
    tag,
    summary: 'How many sessions each client has',
    roles: ['view-realm', 'manage-realm'],
    status: 200,
    answer: z.array(z.object({ id: z.string(), clientId: z.string(), active: z.string(), offline: z.string() })),
    async run({ operator, realm }) {
      const clients = await sessionsByClient(operator.db.knex, realm.id, aliveIn(realm.settings, operator.now));
      return { body: clients.map(({ active, offline, ...client }) => ({ ...client, active: String(active), offline: String(offline) })) };
    },
  }),
];

const consents: readonly Operation[] = [
  inRealm({
    id: 'users.consents',
    method: 'GET',
    path: `${path}/consents`,
    tag: 'Consents',
    summary: 'What a user allowed which clients',
    roles: VIEW,
    status: 200,
    params: { id },
    answer: z.array(
      z.object({
        clientId: z.string(),
        grantedClientScopes: z.array(z.string()),
        createdDate: z.number().int(),
        lastUpdatedDate: z.number().int(),
      }),
    ),
    async run({ operator, realm }, { params }) {
      const user = await requireUserById(operator, realm, params.id);
      const found = await consentsOfUser(operator.db.knex, realm.id, user.id);
      return {
        body: found.map(({ clientId, scopes, createdAt, updatedAt }) => ({
          clientId,
          grantedClientScopes: scopes,
          createdDate: createdAt,
          lastUpdatedDate: updatedAt,
        })),
      };
    },
  }),
  inRealm({
    id: 'users.consents.revoke',
    method: 'DELETE',
    path: `${path}/consents/{client}`,
    tag: 'Consents',
    summary: 'Take back what a user allowed a client, named by its client_id, with the tokens that it has',
    roles: MANAGE,
    status: 204,
    params: { id, client: id },
    async run({ operator, realm }, { params }) {
      const user = await requireUserById(operator, realm, params.id);
      const client = await clientByClientId(operator.db.knex, realm.id, params.client);
      if (!client) throw notFound('Could not find client');
      await revokeConsent(operator, realm, user, client);
      return {};
    },
  }),
];

const identityIn = z.object({
  userId: z.string().nullish(),
  userName: z.string().nullish(),
  identityProvider: z.unknown().optional(),
});

const identities: readonly Operation[] = [
  inRealm({
    id: 'users.federated-identity.list',
    method: 'GET',
    path: `${path}/federated-identity`,
    tag: 'Identities elsewhere',
    summary: 'Who a user is at other providers',
    roles: VIEW,
    status: 200,
    params: { id },
    answer: z.array(z.object({ identityProvider: z.string(), userId: z.string(), userName: z.string().optional() })),
    async run({ operator, realm }, { params }) {
      const user = await requireUserById(operator, realm, params.id);
      const found = await identitiesOf(operator.db.knex, realm.id, user.id);
      return {
        body: found.map(({ provider, subject, username }) => ({
          identityProvider: provider,
          userId: subject,
          ...(username === null ? {} : { userName: username }),
        })),
      };
    },
  }),
  inRealm({
    id: 'users.federated-identity.add',
    method: 'POST',
    path: `${path}/federated-identity/{provider}`,
    tag: 'Identities elsewhere',
    summary: 'Say who a user is at a provider',
    roles: MANAGE,
    status: 204,
    params: { id, provider: id },
    body: identityIn,
    async run(call, { params, body }) {
      const user = await requireUserById(call.operator, call.realm, params.id);
      // Whoever is that person elsewhere is to sign in as this user.
      await requireNoMore(call, user);
      const linked = { provider: params.provider, subject: body.userId ?? '', username: body.userName ?? null };
      await linkIdentity(call.operator, call.realm, user, linked);
      return {};
    },
  }),
  inRealm({
    id: 'users.federated-identity.remove',
    method: 'DELETE',
    path: `${path}/federated-identity/{provider}`,
    tag: 'Identities elsewhere',
    summary: 'Forget who a user is at a provider',
    roles: MANAGE,
    status: 204,
    params: { id, provider: id },
    async run(call, { params }) {
      const user = await requireUserById(call.operator, call.realm, params.id);
      await requireNoMore(call, user);
      await unlinkIdentity(call.operator, call.realm, user, params.provider);
      return {};
    },
  }),
  inRealm({
    id: 'users.impersonation',
    method: 'POST',
    path: `${path}/impersonation`,
    tag,
    summary: 'A link, good once and for a minute, by which the caller begins a session that acts as a user',
    roles: ['impersonation'],
    status: 200,
    params: { id },
    answer: z.object({ sameRealm: z.boolean(), redirect: z.string() }),
    async run(call, { params }) {
      const { operator, realm, access, origin } = call;
      const user = await requireUserById(operator, realm, params.id);
      await requireNoMore(call, user);
      const { redirect } = await offerImpersonation(operator, realm, user, { ...access.caller, origin });
      return { body: { sameRealm: access.caller.realm.id === realm.id, redirect } };
    },
  }),
];

export const userSessionOperations: readonly Operation[] = [...sessions, ...consents, ...identities];
