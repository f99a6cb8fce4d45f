/** Realms over REST, with Keycloak's RealmRepresentation. */
import { z } from 'zod';
import { forbidden } from '../../errors.ts';
import type { RealmRow } from '../../store/realms.ts';
import { allRealms } from '../resources/realms.ts';
import { accessTo } from './access.ts';
import { flag, inRealm, type Operation, onInstallation } from './operation.ts';

/** What is shown of a realm to whoever may see it. */
const realmRepresentation = z.object({
  id: z.string(),
  realm: z.string(),
  displayName: z.string(),
  enabled: z.boolean(),
  accessTokenLifespan: z.number().int(),
  ssoSessionIdleTimeout: z.number().int(),
  ssoSessionMaxLifespan: z.number().int(),
});

const represented = (realm: RealmRow): z.output<typeof realmRepresentation> => ({
  id: realm.id,
  realm: realm.name,
  displayName: realm.displayName,
  enabled: realm.enabled,
  accessTokenLifespan: realm.settings.accessTokenLifespan,
  ssoSessionIdleTimeout: realm.settings.ssoSessionIdleTimeout,
  ssoSessionMaxLifespan: realm.settings.ssoSessionMaxLifespan,
});

export const realmOperations: readonly Operation[] = [
  onInstallation({
    id: 'realms.list',
    method: 'GET',
    path: '/realms',
    tag: 'Realms',
    summary: 'The realms that the caller may see',
    roles: [],
    access: 'some-realm',
    status: 200,
    query: { briefRepresentation: flag },
    answer: z.array(realmRepresentation),
    async run({ operator, access }) {
      const seen: RealmRow[] = [];
      for await (const realm of allRealms(operator)) {
        const { roles } = await accessTo(operator.db.knex, access.caller, realm);
        if (roles.size > 0) seen.push(realm);
      }
      if (seen.length === 0) throw forbidden('There is no realm that you may see.');
      return { body: seen.map(represented) };
    },
  }),
  inRealm({
    id: 'realms.read',
    method: 'GET',
    path: '/realms/{realm}',
    tag: 'Realms',
    summary: 'One realm with its settings',
    roles: ['view-realm', 'manage-realm'],
    status: 200,
    answer: realmRepresentation,
    run: async ({ realm }) => ({ body: represented(realm) }),
  }),
];
