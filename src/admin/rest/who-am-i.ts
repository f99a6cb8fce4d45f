/** What a console asks first: who holds the token, and what they may do in a realm. */
import { z } from 'zod';
import { forbidden } from '../../errors.ts';
import { realmByName } from '../../store/realms.ts';
import { requireUserById } from '../resources/user-changes.ts';
import { type Access, accessTo, mayCreateRealms } from './access.ts';
import { id, inRealm, type Operation, type RealmCall } from './operation.ts';

export const whoAmIOperations: readonly Operation[] = [
  inRealm({
    id: 'who-am-i',
    method: 'GET',
    path: '/{realm}/console/whoami',
    tag: 'Who am I',
    summary: 'Whom the token is about, and the roles that are held in a realm',
    roles: [],
    access: 'this-realm',
    status: 200,
    query: { currentRealm: id.optional() },
    answer: z.object({
      userId: z.string(),
      realm: z.string(),
      displayName: z.string(),
      locale: z.string(),
      createRealm: z.boolean(),
      realm_access: z.record(z.string(), z.array(z.string())),
      temporary: z.boolean(),
    }),
    async run(call, { query }) {
      const { operator, access } = call;
      const { caller } = access;
      const createRealm = await mayCreateRealms(operator.db.knex, caller);
      const { name, roles } = await askedAbout(call, query.currentRealm ?? call.realm.name);
      if (access.roles.size === 0 && roles.size === 0 && !createRealm) throw forbidden('This needs a role in the management of the realm.');
      const user = await requireUserById(operator, caller.realm, caller.userId);
      const displayName = [user.firstName, user.lastName].filter((part) => part !== null).join(' ') || user.username;
      return {
        body: {
          userId: user.id,
          realm: caller.realm.name,
          displayName,
          // The console itself takes the browser's language.
          locale: 'en',
          createRealm,
          realm_access: roles.size === 0 ? {} : { [name]: [...roles].sort() },
          temporary: false,
        },
      };
    },
  }),
];

/** Nothing is told of a realm in which the caller has nothing to say, not even whether there is one. */
async function askedAbout({ operator, realm, access }: RealmCall, name: string): Promise<{ name: string; roles: Access['roles'] }> {
  if (name === realm.name) return { name, roles: access.roles };
  const { knex } = operator.db;
  const other = await realmByName(knex, name);
  return { name, roles: other ? (await accessTo(knex, access.caller, other)).roles : new Set() };
}
