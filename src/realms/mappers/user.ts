/** Mappers of what is stored about a user: attributes, properties, the full name, the address, groups. */
import { claimOf, claimProblem, inJson, valueFor } from './claim.ts';
import { CLAIM_NAME, flag, JSON_TYPE, type MapperType, MULTIVALUED, text, type Use } from './mapper.ts';
import { attributeOf, isOfRow, PROPERTIES, propertyOf } from './subject.ts';

const EVERYWHERE: readonly Use[] = ['access', 'id', 'userinfo', 'introspection'];

const attribute: MapperType = {
  id: 'oidc-usermodel-attribute-mapper',
  name: 'User Attribute',
  category: 'Token mapper',
  help: 'Maps an attribute of the user, or of a group of theirs, to a claim.',
  uses: EVERYWHERE,
  properties: [
    text('user.attribute', 'User Attribute', 'The name of the attribute.', { required: true }),
    CLAIM_NAME,
    JSON_TYPE,
    MULTIVALUED,
    flag('aggregate.attrs', 'Aggregate attribute values', 'With the values of all groups, and not only where the user has none.'),
  ],
  needs: (config) => (isOfRow(config['user.attribute']) ? [] : ['attributes']),
  check: (config) => claimProblem(config),
  claims: (config, { subject }) =>
    claimOf(config, valueFor(config, attributeOf(subject, config['user.attribute'] ?? '', config['aggregate.attrs'] === 'true'))),
};

const property: MapperType = {
  id: 'oidc-usermodel-property-mapper',
  name: 'User Property',
  category: 'Token mapper',
  help: 'Maps a built-in property of the user, such as email or username, to a claim.',
  uses: EVERYWHERE,
  properties: [text('user.attribute', 'Property', `One of ${PROPERTIES.join(', ')}.`, { required: true }), CLAIM_NAME, JSON_TYPE],
  check: (config) => claimProblem(config),
  claims(config, { subject }) {
    const value = propertyOf(subject, config['user.attribute'] ?? '');
    return claimOf(config, value === null || value === '' ? undefined : inJson(value, config['jsonType.label']));
  },
};

const fullName: MapperType = {
  id: 'oidc-full-name-mapper',
  claim: 'name',
  name: "User's full name",
  category: 'Token mapper',
  help: 'Maps first and last name to the claim name.',
  uses: EVERYWHERE,
  properties: [],
  claims(_config, { subject: { user } }) {
    const name = [user.firstName, user.lastName].filter(Boolean).join(' ');
    return name === '' ? [] : [{ path: ['name'], value: name }];
  },
};

/** Members of the claim, and the attributes that Keycloak reads them from unless the config names others. */
const ADDRESS: readonly (readonly [claim: string, field: string, attribute: string])[] = [
  ['formatted', 'formatted', 'formatted'],
  ['street_address', 'street', 'street'],
  ['locality', 'locality', 'locality'],
  ['region', 'region', 'region'],
  ['postal_code', 'postal_code', 'postal_code'],
  ['country', 'country', 'country'],
];

const address: MapperType = {
  id: 'oidc-address-mapper',
  claim: 'address',
  name: 'User Address',
  category: 'Token mapper',
  help: 'Maps attributes of an address to the claim address (OpenID Connect Core 1.0 section 5.1.1).',
  uses: EVERYWHERE,
  properties: ADDRESS.map(([claim, field, name]) =>
    text(`user.attribute.${field}`, `User Attribute Name for ${claim}`, `The attribute that holds ${claim}.`, { defaultValue: name }),
  ),
  needs: () => ['attributes'],
  claims(config, { subject }) {
    const parts = ADDRESS.flatMap(([claim, field, name]) => {
      const [value] = attributeOf(subject, config[`user.attribute.${field}`] || name);
      return value === undefined ? [] : [[claim, value] as const];
    });
    return parts.length === 0 ? [] : [{ path: ['address'], value: Object.fromEntries(parts) }];
  },
};

const groups: MapperType = {
  id: 'oidc-group-membership-mapper',
  name: 'Group Membership',
  category: 'Token mapper',
  help: 'Maps the groups that the user is in to a claim.',
  uses: EVERYWHERE,
  properties: [CLAIM_NAME, flag('full.path', 'Full group path', 'The path from the top, such as /sales/emea; without, the name.', 'true')],
  needs: () => ['groups'],
  check: (config) => claimProblem(config),
  claims: (config, { subject: { about } }) =>
    claimOf(
      config,
      about.groups.map(({ name, path }) => (config['full.path'] === 'true' ? path : name)),
    ),
};

export const userMappers: readonly MapperType[] = [attribute, property, fullName, address, groups];
