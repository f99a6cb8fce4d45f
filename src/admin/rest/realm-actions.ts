/** What is done to a realm besides changing it, and what Keycloak has and is left out on purpose. */
import { z } from 'zod';
import { AppError, badInput, notOffered } from '../../errors.ts';
import { userById } from '../../store/users.ts';
import { ownMail, tryMail } from '../resources/delivery.ts';
import { id, inRealm, type ManagementRole, type Operation } from './operation.ts';
import { mailFrom, requireReachable, smtpServer } from './realm-mail.ts';

const tag = 'Realms';
const path = '/realms/{realm}';
const VIEW: readonly ManagementRole[] = ['view-realm', 'manage-realm'];
const MANAGE: readonly ManagementRole[] = ['manage-realm'];

/** Operations of Keycloak's that answer 501, each with what there is instead. */
const LEFT_OUT: readonly [method: 'GET' | 'POST' | 'PUT' | 'DELETE', path: string, id: string, says: string][] = [
  ['POST', 'testLDAPConnection', 'test-ldap', 'Users are kept here: no directory is connected.'],
  ['POST', 'ldap-server-capabilities', 'ldap-capabilities', 'Users are kept here: no directory is connected.'],
  ['GET', 'credential-registrators', 'credential-registrators', 'Which factors users may add is said by the policy of the realm (/mfa/policy).'],
  ['PUT', 'users-management-permissions', 'permissions.update', 'Who may manage what is said by roles; there are no permissions besides.'],
];

export const realmActionOperations: readonly Operation[] = [
  inRealm({
    id: 'realms.push-revocation',
    method: 'POST',
    path: `${path}/push-revocation`,
    tag,
    summary: 'Nobody is told: applications hear of the end of each session by themselves',
    roles: MANAGE,
    status: 200,
    answer: z.object({ successRequests: z.array(z.string()), failedRequests: z.array(z.string()) }),
    run: async () => ({ body: { successRequests: [], failedRequests: [] } }),
  }),
  inRealm({
    id: 'realms.test-mail',
    method: 'POST',
    path: `${path}/testSMTPConnection`,
    tag,
    summary: 'Send a mail to the caller by the account in the body, which is not stored',
    roles: MANAGE,
    status: 204,
    body: smtpServer,
    async run({ operator, realm, access: { caller }, outbound, deliveries }, { body }) {
      const user = await userById(operator.db.knex, caller.realm.id, caller.userId);
      if (!user?.email) throw badInput('email', 'Logged in user does not have an e-mail.');
      const account = mailFrom(body, await ownMail(operator, realm));
      requireReachable(account, outbound.allow);
      try {
        await tryMail(operator, realm, account, user.email, deliveries);
      } catch (error) {
        // What an administrator has typed did not work: no fault of ours.
        if (error instanceof AppError && error.code === 'not_delivered')
          throw new AppError({ code: error.code, status: 400, message: `Failed to send email. ${error.message}` });
        throw error;
      }
      return {};
    },
  }),
  inRealm({
    id: 'realms.client-registration-policies',
    method: 'GET',
    path: `${path}/client-registration-policy/providers`,
    tag,
    summary: 'Policies of clients that register themselves: there are none to configure',
    roles: VIEW,
    status: 200,
    answer: z.array(z.looseObject({ id: z.string() })),
    run: async () => ({ body: [] }),
  }),
  inRealm({
    id: 'realms.localization.list',
    method: 'GET',
    path: `${path}/localization`,
    tag,
    summary: 'Languages that a realm has texts of its own in: none',
    roles: VIEW,
    status: 200,
    answer: z.array(z.string()),
    run: async () => ({ body: [] }),
  }),
  inRealm({
    id: 'realms.localization.read',
    method: 'GET',
    path: `${path}/localization/{locale}`,
    tag,
    summary: 'A realm’s own texts in a language: none',
    roles: VIEW,
    status: 200,
    params: { locale: id },
    query: { first: z.string().optional(), max: z.string().optional(), useRealmDefaultLocaleFallback: z.string().optional() },
    answer: z.record(z.string(), z.string()),
    run: async () => ({ body: {} }),
  }),
  inRealm({
    id: 'realms.permissions',
    method: 'GET',
    path: `${path}/users-management-permissions`,
    tag,
    summary: 'Who may manage what is said by roles; there are no permissions besides',
    roles: VIEW,
    status: 200,
    answer: z.object({ enabled: z.boolean() }),
    run: async () => ({ body: { enabled: false } }),
  }),
  ...LEFT_OUT.map(([method, name, what, says]) =>
    inRealm({
      id: `realms.${what}`,
      method,
      path: `${path}/${name}`,
      tag,
      summary: `Not offered: ${says}`,
      roles: MANAGE,
      status: 200,
      run: async () => {
        throw notOffered(says);
      },
    }),
  ),
];
