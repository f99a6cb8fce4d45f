/** What roles contain over REST: Keycloak's composites. */
import { z } from 'zod';
import { containedRoles } from '../../store/role-lists.ts';
import { addContained, removeContained, rolesMeant } from '../resources/role-changes.ts';
import { requireGrantable, requireTakeable } from './grantable.ts';
import { id, inRealm, type Operation, paging } from './operation.ts';
import { clientOfRealm } from './role-clients.ts';
import { type Door, everything, place, roleOf } from './role-doors.ts';
import { representedRole, roleRepresentation, rolesIn } from './role-representation.ts';

/** @param path of the one role; `common` what all of its operations share */
export function composites(
  door: Door,
  path: string,
  common: { tag: string; params: { id: z.ZodOptional<z.ZodString> | z.ZodString; name: z.ZodOptional<z.ZodString> | z.ZodString } },
): readonly Operation[] {
  const { key } = door;
  const query = { ...paging, search: z.string().max(255).optional() };
  return [
    inRealm({
      ...common,
      id: `${key}.composites.list`,
      method: 'GET',
      path: `${path}/composites`,
      summary: 'What a role contains',
      roles: door.view,
      status: 200,
      query,
      answer: z.array(roleRepresentation),
      async run(call, { params, query }) {
        const role = await roleOf(call, door, params, 'view');
        const found = await containedRoles(call.operator.db.knex, call.realm.id, role.id, undefined, place(query), query.search);
        return { body: found.map((one) => representedRole(one, true)) };
      },
    }),
    inRealm({
      ...common,
      id: `${key}.composites.add`,
      method: 'POST',
      path: `${path}/composites`,
      summary: 'Make a role contain others, named by their ids',
      roles: door.manage,
      status: 204,
      body: rolesIn,
      async run(call, { params, body }) {
        const role = await roleOf(call, door, params, 'manage');
        const children = await rolesMeant(call.operator, call.realm, undefined, body);
        await requireGrantable(call, children);
        await addContained(call.operator, call.realm, role, children);
        return {};
      },
    }),
    inRealm({
      ...common,
      id: `${key}.composites.remove`,
      method: 'DELETE',
      path: `${path}/composites`,
      summary: 'Take roles out of another, named by their ids',
      roles: door.manage,
      status: 204,
      body: rolesIn,
      async run(call, { params, body }) {
        const role = await roleOf(call, door, params, 'manage');
        const children = await rolesMeant(call.operator, call.realm, undefined, body);
        await requireTakeable(call, children);
        await removeContained(call.operator, call.realm, role, children);
        return {};
      },
    }),
    inRealm({
      ...common,
      id: `${key}.composites.realm`,
      method: 'GET',
      path: `${path}/composites/realm`,
      summary: 'Realm roles that a role contains',
      roles: door.view,
      status: 200,
      answer: z.array(roleRepresentation),
      async run(call, { params }) {
        const role = await roleOf(call, door, params, 'view');
        const found = await containedRoles(call.operator.db.knex, call.realm.id, role.id, null, everything);
        return { body: found.map((one) => representedRole(one, true)) };
      },
    }),
    inRealm({
      ...common,
      params: { ...common.params, client: id },
      id: `${key}.composites.client`,
      method: 'GET',
      path: `${path}/composites/clients/{client}`,
      summary: 'Roles of a client that a role contains',
      roles: door.view,
      status: 200,
      answer: z.array(roleRepresentation),
      async run(call, { params }) {
        const { operator, realm } = call;
        const role = await roleOf(call, door, params, 'view');
        const client = await clientOfRealm(operator, realm, params.client);
        const found = await containedRoles(operator.db.knex, realm.id, role.id, client.id, everything);
        return { body: found.map((one) => representedRole(one, true)) };
      },
    }),
  ];
}
