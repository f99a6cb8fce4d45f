/** Mappers of whom an access token is for: they add, and take nobody away. An ID token is for its client alone. */
import { type MapperType, text } from './mapper.ts';

const audience: MapperType = {
  id: 'oidc-audience-mapper',
  name: 'Audience',
  category: 'Token mapper',
  help: 'Adds a client, or any other name, to those that an access token is for.',
  uses: ['access', 'introspection'],
  accessByDefault: true,
  properties: [
    text('included.client.audience', 'Included Client Audience', 'The client_id of the client.', { type: 'ClientList' }),
    text('included.custom.audience', 'Included Custom Audience', 'Any other name; where there is a client, that one counts.'),
  ],
  check: (config) =>
    config['included.client.audience'] || config['included.custom.audience']
      ? undefined
      : { field: 'included.client.audience', message: 'a client or a custom audience is needed', missing: true },
  audience: (config) => [config['included.client.audience'] || config['included.custom.audience'] || ''].filter(Boolean),
};

const resolve: MapperType = {
  id: 'oidc-audience-resolve-mapper',
  name: 'Audience Resolve',
  category: 'Token mapper',
  help: 'Adds every client of which the token names roles to those that it is for.',
  uses: ['access', 'introspection'],
  accessByDefault: true,
  properties: [],
  needs: () => ['roles'],
  audience: (_config, { roles, client }) =>
    [...roles.clients].flatMap(([name, names]) => (name === client.clientId || names.length === 0 ? [] : [name])),
};

export const audienceMappers: readonly MapperType[] = [audience, resolve];
