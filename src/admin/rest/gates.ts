/** Gates over REST: hosts behind forward authentication, their rules and lifetimes. */
import { z } from 'zod';
import { gateRules } from '../../policy/gate-document.ts';
import { type GateRow, listGates } from '../../store/gates.ts';
import { changeGate, createGate, removeGate, requireGate } from '../resources/gates.ts';
import { cursorOf, cursorPaging, next, pageOf, placeOf } from './cursor.ts';
import { id, inRealm, type Operation } from './operation.ts';

const tag = 'Gates';
const path = '/realms/{realm}/gates';
const VIEW = ['view-clients', 'manage-clients'] as const;
const MANAGE = ['manage-clients'] as const;

const seconds = z.number().int().min(60).max(315_360_000).nullable();
const terms = {
  /** The first that fits a path holds. */
  rules: gateRules.optional(),
  /** Roles that the site is told of besides those that the rules name. */
  roles: z.array(z.string().min(1).max(255)).max(100).optional(),
  /** In seconds; null for as long as the provider's session. */
  idle: seconds.optional(),
  lifespan: seconds.optional(),
};

const gate = z.object({
  id: z.string(),
  origin: z.string(),
  clientId: z.string(),
  rules: gateRules,
  roles: z.array(z.string()),
  idle: seconds,
  lifespan: seconds,
  createdAt: z.iso.datetime(),
  updatedAt: z.iso.datetime(),
});

const represented = ({ realmId: _realm, clientRowId: _client, createdAt, updatedAt, ...row }: GateRow) => ({
  ...row,
  createdAt: new Date(createdAt).toISOString(),
  updatedAt: new Date(updatedAt).toISOString(),
});

export const gateOperations: readonly Operation[] = [
  inRealm({
    id: 'gates.list',
    method: 'GET',
    path,
    tag,
    summary: 'The gates of the realm, by origin',
    roles: VIEW,
    status: 200,
    query: cursorPaging,
    answer: z.object({ gates: z.array(gate), next }),
    async run({ operator, realm }, { query }) {
      const [after] = placeOf(z.tuple([z.string()]), query.after) ?? [];
      const page = pageOf(await listGates(operator.db.knex, realm.id, { after, limit: query.max + 1 }), query.max, (row) => cursorOf(row.origin));
      return { body: { gates: page.rows.map(represented), next: page.next } };
    },
  }),
  inRealm({
    id: 'gates.create',
    method: 'POST',
    path,
    tag,
    summary: 'Protect a host, by a gate with a client of its own',
    roles: MANAGE,
    status: 201,
    body: z.object({
      origin: z.string().min(1).max(300),
      clientId: z.string().min(1).max(255).optional(),
      /** What its users read when they sign in. */
      name: z.string().min(1).max(255).optional(),
      ...terms,
    }),
    answer: gate,
    async run({ operator, realm, origin }, { body }) {
      const made = await createGate(operator, realm, origin, body);
      return { created: made.id, body: represented(made) };
    },
  }),
  inRealm({
    id: 'gates.read',
    method: 'GET',
    path: `${path}/{id}`,
    tag,
    summary: 'One gate',
    roles: VIEW,
    status: 200,
    params: { id },
    answer: gate,
    run: async ({ operator, realm }, { params }) => ({ body: represented(await requireGate(operator, realm, params.id)) }),
  }),
  inRealm({
    id: 'gates.update',
    method: 'PUT',
    path: `${path}/{id}`,
    tag,
    summary: 'Change a gate; what is not there stays, and its host never changes',
    roles: MANAGE,
    status: 200,
    params: { id },
    body: z.object(terms),
    answer: gate,
    run: async ({ operator, realm }, { params, body }) => ({ body: represented(await changeGate(operator, realm, params.id, body)) }),
  }),
  inRealm({
    id: 'gates.delete',
    method: 'DELETE',
    path: `${path}/{id}`,
    tag,
    summary: 'Delete a gate with its client; nobody gets to its host any more',
    roles: MANAGE,
    status: 204,
    params: { id },
    async run({ operator, realm }, { params }) {
      await removeGate(operator, realm, params.id);
      return {};
    },
  }),
];
