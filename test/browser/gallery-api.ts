/** The page of the REST API, with operations of every kind. */
import type { DocumentedOperation, Schema } from '../../src/admin/rest/openapi.ts';
import { referenceOf } from '../../src/admin/rest/reference.ts';
import type { Exhibit } from './gallery.ts';

const user: Schema = {
  type: 'object',
  properties: {
    id: { type: 'string' },
    username: { type: 'string', maxLength: 255 },
    attributes: { type: 'object', additionalProperties: { type: 'array', items: { anyOf: [{ type: 'string' }, { type: 'null' }] } } },
    groups: { $ref: '#/components/schemas/Group' },
    kind: { enum: ['person', 'service'] },
    aVeryLongNameOfAPropertyThatNobodyWouldGiveButThatSomebodyMayHaveGivenAllTheSame: {},
  },
  required: ['id', 'username'],
};
const operation = (operationId: string, more: Partial<DocumentedOperation>): DocumentedOperation => ({
  'x-in-realm': true,
  operationId,
  tags: ['Users'],
  summary: 'Users, by username',
  description: 'Needs one of the roles view-users, manage-users.',
  parameters: [{ name: 'realm', in: 'path', required: true, schema: { type: 'string' } }],
  responses: { 204: { description: 'Done' } },
  ...more,
});

export const apiExhibits: Exhibit[] = [
  {
    name: 'the REST API',
    view: 'admin/api',
    model: {
      document: '/admin/openapi.json',
      ...referenceOf({
        info: { title: 'Cardea: administration', description: 'Realms, clients, users, roles and groups.' },
        tags: [{ name: 'Users' }, { name: 'Identities elsewhere' }],
        paths: {
          '/admin/realms/{realm}/users': {
            get: operation('users.list', {
              parameters: [
                { name: 'realm', in: 'path', required: true, schema: { type: 'string' } },
                { name: 'max', in: 'query', required: false, schema: { type: 'integer', minimum: 0, maximum: 10_000 } },
              ],
              responses: { 200: { description: 'Done', content: { 'application/json': { schema: { type: 'array', items: user } } } } },
            }),
            post: operation('users.create', {
              requestBody: { required: true, content: { 'application/json': { schema: user } } },
              responses: { 201: { description: 'Made' } },
            }),
          },
          '/admin/realms/{realm}/users/{id}/role-mappings/clients/{client-uuid-that-goes-on-and-on}/composite': {
            delete: operation('users.role-mappings.client.composite', { tags: ['Identities elsewhere'] }),
          },
        },
        components: {
          schemas: { Group: { type: 'object', properties: { below: { type: 'array', items: { $ref: '#/components/schemas/Group' } } } } },
        },
      }),
    },
  },
];
