/** Realms over REST: listed, made, read, changed and deleted, with Keycloak's RealmRepresentation. */
import { z } from 'zod';
import { AppError, badInput, forbidden, notOffered } from '../../errors.ts';
import { notBeforeOf } from '../../realms/keycloak-settings.ts';
import { defaultRealmSettings } from '../../realms/settings.ts';
import { hasRealmRole } from '../../store/effective-roles.ts';
import type { RealmRow } from '../../store/realms.ts';
import { realmRoleId, realmRoleIds } from '../../store/roles.ts';
import { changeRealm } from '../resources/realm-changes.ts';
import { defaultRoleName, managementClientIn } from '../resources/realm-defaults.ts';
import { removeRealm } from '../resources/realm-removal.ts';
import { createRealm, pagesOfRealms } from '../resources/realms.ts';
import { signEverybodyOut } from '../resources/user-sessions.ts';
import { accessTo, accessToRealms, mayCreateRealms } from './access.ts';
import { type Call, flag, inRealm, type ManagementRole, type Operation, onInstallation } from './operation.ts';
import { type Importable, importable, importInto } from './partial-import.ts';
import { settingsFrom } from './realm-document.ts';
import { LEVELS_ATTRIBUTE, levelsFrom } from './realm-levels.ts';
import { mailFrom, namesServer, requireReachable } from './realm-mail.ts';
import { briefRealm, changeFrom, type RealmIn, realmIn, realmRepresentation, representedRealm, stateOf } from './realm-representation.ts';

const tag = 'Realms';
const path = '/realms/{realm}';
const VIEW: readonly ManagementRole[] = ['view-realm', 'manage-realm'];
/** Whoever manages anything in a realm may know its name, as in Keycloak. */
const ANY = managementClientIn('master').roles.filter((name): name is ManagementRole => name !== 'realm-admin');

export const realmOperations: readonly Operation[] = [
  onInstallation({
    id: 'realms.list',
    method: 'GET',
    path: '/realms',
    tag,
    summary: 'The realms that the caller may see',
    roles: [],
    access: 'some-realm',
    status: 200,
    query: { briefRepresentation: flag },
    answer: z.array(realmRepresentation),
    async run(call, { query }) {
      const { knex } = call.operator.db;
      const shown: z.input<typeof realmRepresentation>[] = [];
      for await (const { realms, policies } of pagesOfRealms(call.operator)) {
        const accessTo = await accessToRealms(knex, call.access.caller, realms);
        const seen = realms.filter((realm) => accessTo(realm).roles.size > 0);
        const roles = query.briefRepresentation === true ? new Map<string, string>() : await defaultRoles(call, seen);
        for (const realm of seen) {
          if (!accessTo(realm).has(...VIEW)) shown.push({ realm: realm.name });
          else if (query.briefRepresentation === true) shown.push(briefRealm(realm));
          else shown.push(listed(realm, policies(realm.id).document.acr, roles.get(realm.id)));
        }
      }
      if (shown.length === 0) throw forbidden('There is no realm that you may see.');
      return { body: shown };
    },
  }),
  onInstallation({
    id: 'realms.create',
    method: 'POST',
    path: '/realms',
    tag,
    summary: 'Make a realm with its keys, scopes, roles and built-in clients, and with the clients, roles, groups and users of a representation',
    roles: [],
    access: 'create-realm',
    status: 201,
    maxBodyKiB: 16_384,
    body: realmIn.extend(importable),
    async run(call, { body }) {
      const { operator, access } = call;
      const { caller } = access;
      if (!(await mayCreateRealms(operator.db.knex, caller))) throw forbidden('This needs the role create-realm of realm master.');
      const { settings } = settingsFrom(defaultRealmSettings(), body);
      checkApart(body, call.outbound.allow);
      const manager = (await hasRealmRole(operator.db.knex, caller.realm.id, caller.userId, 'admin')) ? undefined : caller.userId;
      const name = body.realm ?? '';
      const id = body.id ?? undefined;
      const realm = await named(() => createRealm(operator, { name, id, settings, enabled: body.enabled ?? true, manager }));
      try {
        await filled(call, realm, body);
      } catch (error) {
        // Whole, or not at all.
        await removeRealm(operator, realm);
        throw error;
      }
      return { created: realm.name };
    },
  }),
  inRealm({
    id: 'realms.read',
    method: 'GET',
    path,
    tag,
    summary: 'One realm with its settings; whoever manages something else in it is shown its name',
    roles: ANY,
    status: 200,
    answer: realmRepresentation,
    async run({ operator, realm, access }) {
      if (!access.has(...VIEW)) return { body: { realm: realm.name } };
      const role = await realmRoleId(operator.db.knex, realm.id, defaultRoleName(realm.name));
      return { body: representedRealm(await stateOf(operator, realm, role)) };
    },
  }),
  inRealm({
    id: 'realms.update',
    method: 'PUT',
    path,
    tag,
    summary: 'Change a realm; what is not there stays',
    roles: ['manage-realm'],
    status: 204,
    maxBodyKiB: 4_096,
    body: realmIn,
    async run({ operator, realm, outbound }, { body }) {
      requireSameName(realm, body);
      const { inert, ...change } = await changeFrom(operator, await stateOf(operator, realm), body, outbound);
      await changeRealm(operator, realm, change);
      if (revokes(realm, body)) await signEverybodyOut(operator, realm);
      return inert.length === 0 ? {} : { headers: { Warning: `299 - "Kept, without effect: ${inert.slice(0, 20).join(', ')}"` } };
    },
  }),
  inRealm({
    id: 'realms.delete',
    method: 'DELETE',
    path,
    tag,
    summary: 'Delete a realm with everything in it',
    roles: ['manage-realm'],
    status: 204,
    async run({ operator, realm }) {
      await removeRealm(operator, realm);
      return {};
    },
  }),
];

/** What needs the realm to be there: its mail account and names of levels, and whatever is imported with it. */
async function filled(call: Call, made: RealmRow, body: RealmIn & Importable): Promise<void> {
  const { operator, access, outbound } = call;
  const realm = await changeRealm(operator, made, await changeFrom(operator, await stateOf(operator, made), body, outbound));
  if (![body.clients, body.roles, body.groups, body.users, body.identityProviders].some((part) => part != null)) return;
  await importInto({ ...call, realm, access: await accessTo(operator.db.knex, access.caller, realm) }, body, 'SKIP');
}

/** Accounts of lists are not opened: that is work for each realm. */
function listed(realm: RealmRow, acr: Parameters<typeof representedRealm>[0]['acr'], defaultRole: string | undefined) {
  const { smtpServer: _, ...shown } = representedRealm({ realm, acr, mail: undefined, defaultRole });
  return shown;
}

const defaultRoles = ({ operator }: Call, realms: readonly RealmRow[]): Promise<Map<string, string>> =>
  realmRoleIds(
    operator.db.knex,
    realms.map(({ id, name }) => ({ realmId: id, name: defaultRoleName(name) })),
  );

/** What a new realm gets once it is there is looked at before it is made. */
function checkApart(body: RealmIn, allow: Parameters<typeof requireReachable>[1]): void {
  const levels = body.attributes?.[LEVELS_ATTRIBUTE];
  if (levels != null) levelsFrom(String(levels));
  if (body.smtpServer && namesServer(body.smtpServer)) requireReachable(mailFrom(body.smtpServer, undefined), allow);
}

/** Sessions from before are void, as whoever moves Keycloak's `notBefore` forward means it. */
function revokes({ settings }: RealmRow, { notBefore }: Record<string, unknown>): boolean {
  return typeof notBefore === 'number' && notBefore > notBeforeOf(settings);
}

/** A name stands in the issuer of every token, in cookies, in redirect addresses of the consoles and in rules of policies. */
function requireSameName(realm: RealmRow, body: RealmIn): void {
  if (body.realm == null || body.realm === '' || body.realm === realm.name) return;
  throw notOffered('realm: a realm keeps its name, which every token and application of it holds. Make another one, and import into it.', 'realm');
}

/** Keycloak's field is called otherwise than ours. */
async function named<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (error instanceof AppError && error.status === 400 && error.field === 'name') throw badInput('realm', error.said);
    throw error;
  }
}
