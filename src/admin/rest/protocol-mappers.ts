/** Protocol mappers over REST: of clients and of client scopes. */
import { z } from 'zod';
import { mappersOf } from '../../store/protocol-mappers.ts';
import { addMappers, changeMapper, type NewProtocolMapper, removeMapper, requireMapper, rolesSaid } from '../resources/protocol-mappers.ts';
import { requireGrantable } from './grantable.ts';
import { id, inRealm, type Operation, type RealmCall } from './operation.ts';
import { mapperFields, mapperIn, mapperRepresentation, mappersIn, newMapperFields, representedMapper } from './protocol-mapper-representation.ts';
import { MANAGE, type ParentKind, parentOf, VIEW } from './token-parents.ts';

/** Tokens do not say of everybody what the caller could not give to anybody. */
export async function requireSayable(call: RealmCall, mappers: readonly Partial<NewProtocolMapper>[]): Promise<void> {
  await requireGrantable(call, await rolesSaid(call.operator, call.realm, mappers));
}

function operationsOf(kind: ParentKind): readonly Operation[] {
  const path = `/realms/{realm}/${kind}/{id}/protocol-mappers`;
  const key = `${kind}.protocol-mappers`;
  const common = { tag: 'Protocol mappers', params: { id } };
  const single = { tag: 'Protocol mappers', params: { id, mapperId: id }, path: `${path}/models/{mapperId}` };
  return [
    inRealm({
      ...common,
      id: `${key}.list`,
      method: 'GET',
      path: `${path}/models`,
      summary: 'Mappers, by name',
      roles: VIEW,
      status: 200,
      answer: z.array(mapperRepresentation),
      async run(call, { params }) {
        const { at } = await parentOf(call, kind, params.id, 'view');
        return { body: (await mappersOf(call.operator.db.knex, call.realm.id, at)).map(representedMapper) };
      },
    }),
    inRealm({
      ...common,
      id: `${key}.create`,
      method: 'POST',
      path: `${path}/models`,
      summary: 'Add a mapper',
      roles: MANAGE,
      status: 201,
      body: mapperIn,
      async run(call, { params, body }) {
        const parent = await parentOf(call, kind, params.id, 'manage');
        const mapper = newMapperFields(body);
        await requireSayable(call, [mapper]);
        const [made] = await addMappers(call.operator, call.realm, parent, [mapper]);
        return { created: made?.id ?? '' };
      },
    }),
    inRealm({
      ...common,
      id: `${key}.add-models`,
      method: 'POST',
      path: `${path}/add-models`,
      summary: 'Add mappers, all of them or none',
      roles: MANAGE,
      status: 204,
      body: mappersIn,
      async run(call, { params, body }) {
        const parent = await parentOf(call, kind, params.id, 'manage');
        const mappers = body.map(newMapperFields);
        await requireSayable(call, mappers);
        await addMappers(call.operator, call.realm, parent, mappers);
        return {};
      },
    }),
    inRealm({
      ...common,
      params: { id, protocol: id },
      id: `${key}.by-protocol`,
      method: 'GET',
      path: `${path}/protocol/{protocol}`,
      summary: 'Mappers of a protocol, by name',
      roles: VIEW,
      status: 200,
      answer: z.array(mapperRepresentation),
      async run(call, { params }) {
        const { at } = await parentOf(call, kind, params.id, 'view');
        const mappers = await mappersOf(call.operator.db.knex, call.realm.id, at);
        return { body: mappers.filter(({ protocol }) => protocol === params.protocol).map(representedMapper) };
      },
    }),
    inRealm({
      ...single,
      id: `${key}.read`,
      method: 'GET',
      summary: 'One mapper',
      roles: VIEW,
      status: 200,
      answer: mapperRepresentation,
      async run(call, { params }) {
        const parent = await parentOf(call, kind, params.id, 'view');
        return { body: representedMapper(await requireMapper(call.operator, call.realm, parent, params.mapperId)) };
      },
    }),
    inRealm({
      ...single,
      id: `${key}.update`,
      method: 'PUT',
      summary: 'Change a mapper; what is not there stays, and a config replaces the one that was there',
      roles: MANAGE,
      status: 204,
      body: mapperIn,
      async run(call, { params, body }) {
        const { operator, realm } = call;
        const parent = await parentOf(call, kind, params.id, 'manage');
        const mapper = await requireMapper(operator, realm, parent, params.mapperId);
        const changes = mapperFields(body);
        await requireSayable(call, [{ ...mapper, protocol: undefined, ...changes }]);
        await changeMapper(operator, realm, parent, mapper, changes);
        return {};
      },
    }),
    inRealm({
      ...single,
      id: `${key}.delete`,
      method: 'DELETE',
      summary: 'Delete a mapper',
      roles: MANAGE,
      status: 204,
      async run(call, { params }) {
        const { operator, realm } = call;
        const parent = await parentOf(call, kind, params.id, 'manage');
        await removeMapper(operator, realm, parent, await requireMapper(operator, realm, parent, params.mapperId));
        return {};
      },
    }),
  ];
}

export const protocolMapperOperations: readonly Operation[] = (['clients', 'client-scopes'] as const).flatMap(operationsOf);
