/** What a client's tokens would say, over REST (Keycloak's evaluate-scopes). */
import { z } from 'zod';
import { notFound } from '../../errors.ts';
import { rolesOfScope } from '../../store/role-lists.ts';
import { requireClientById } from '../resources/client-changes.ts';
import { type Evaluated, type Example, evaluate, exampleOf, mappersThatCount, rolesThatCount } from '../resources/evaluate-scopes.ts';
import { requireUserById } from '../resources/user-changes.ts';
import { id, inRealm, type Operation, type RealmCall } from './operation.ts';
import { clientOfRealm } from './role-clients.ts';
import { representedRole, roleRepresentation } from './role-representation.ts';
import { VIEW } from './token-parents.ts';

const path = '/realms/{realm}/clients/{id}/evaluate-scopes';
const tag = 'Clients: what tokens say';
const scope = z.string().max(2_000).optional();

async function evaluatedOf({ operator, realm }: RealmCall, client: string, asked: string | undefined): Promise<Evaluated> {
  return evaluate(operator, realm, await requireClientById(operator, realm, client), asked);
}

const example = (what: Example): Operation =>
  inRealm({
    id: `clients.evaluate-scopes.${what}`,
    method: 'GET',
    path: `${path}/generate-example-${what}`,
    tag,
    summary: `What ${what === 'userinfo' ? 'userinfo would answer' : `an ${what.replace('-', ' ')} would say`} about a user; whoever asks may view users, too`,
    roles: VIEW,
    status: 200,
    params: { id },
    query: { scope, userId: id.optional(), audience: z.string().max(2_000).optional() },
    answer: z.record(z.string(), z.unknown()),
    async run(call, { params, query }) {
      const { operator, realm, access, origin } = call;
      const evaluated = await evaluatedOf(call, params.id, query.scope);
      if (query.userId === undefined) throw notFound('No userId provided');
      access.require('view-users', 'manage-users');
      const user = await requireUserById(operator, realm, query.userId);
      return { body: await exampleOf(operator, realm, evaluated, { user, origin, example: what }) };
    },
  });

const roles = (which: 'granted' | 'not-granted'): Operation =>
  inRealm({
    id: `clients.evaluate-scopes.${which}`,
    method: 'GET',
    path: `${path}/scope-mappings/{client}/${which}`,
    tag,
    summary: `Roles of a client, or under the realm's name of the realm, that tokens ${which === 'granted' ? 'may' : 'may not'} name`,
    roles: VIEW,
    status: 200,
    params: { id, client: id },
    query: { scope },
    answer: z.array(roleRepresentation),
    async run(call, { params, query }) {
      const { operator, realm } = call;
      const evaluated = await evaluatedOf(call, params.id, query.scope);
      const owner = params.client === realm.name ? null : (await clientOfRealm(operator, realm, params.client)).id;
      const found = await rolesOfScope(operator.db.knex, realm.id, rolesThatCount(evaluated), owner, which === 'not-granted');
      return { body: found.map((role) => representedRole(role, true)) };
    },
  });

export const evaluateScopeOperations: readonly Operation[] = [
  inRealm({
    id: 'clients.evaluate-scopes.protocol-mappers',
    method: 'GET',
    path: `${path}/protocol-mappers`,
    tag,
    summary: 'The mappers that count, of the client and of its scopes',
    roles: VIEW,
    status: 200,
    params: { id },
    query: { scope },
    answer: z.array(
      z.object({
        mapperId: z.string(),
        mapperName: z.string(),
        containerId: z.string(),
        containerName: z.string(),
        containerType: z.string(),
        protocolMapper: z.string(),
      }),
    ),
    async run(call, { params, query }) {
      const mappers = mappersThatCount(await evaluatedOf(call, params.id, query.scope));
      return {
        body: mappers.map(({ id: mapperId, name, type, container }) => ({
          ...{ mapperId, mapperName: name, protocolMapper: type },
          ...{ containerId: container.id, containerName: container.name, containerType: container.kind },
        })),
      };
    },
  }),
  ...(['access-token', 'id-token', 'userinfo'] as const).map(example),
  ...(['granted', 'not-granted'] as const).map(roles),
];
