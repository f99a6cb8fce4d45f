/** The types of protocol mappers, in the order in which they work on a token, and what is asked of a mapper that is saved. */
import { audienceMappers } from './audience.ts';
import { claimPath } from './claim.ts';
import { type Config, FLAGS, flag, type MapperType, type Problem, type Property, type Use } from './mapper.ts';
import { roleMappers } from './roles.ts';
import { fixedMappers, signInMappers } from './sign-in.ts';
import { userMappers } from './user.ts';

export const MAPPER_TYPES: readonly MapperType[] = [...fixedMappers, ...userMappers, ...roleMappers, ...audienceMappers, ...signInMappers];

const byId: ReadonlyMap<string, MapperType> = new Map(MAPPER_TYPES.map((type) => [type.id, type]));

export const mapperType = (id: string): MapperType | undefined => byId.get(id);

const PLACES: readonly (readonly [Use, string])[] = [
  ['id', 'Add to ID token'],
  ['access', 'Add to access token'],
  ['userinfo', 'Add to userinfo'],
  ['introspection', 'Add to token introspection'],
];

/** All fields of a type's config: its own, and one for each place where it may stand. */
const propertiesOf = (type: MapperType): readonly Property[] => [
  ...type.properties,
  ...PLACES.filter(([use]) => type.uses.includes(use)).map(([use, label]) => flag(FLAGS[use], label, 'Whether it stands there.', 'true')),
];

/** What `/admin/serverinfo` lists under `protocolMapperTypes.openid-connect`. */
export const describedMapperTypes = () =>
  MAPPER_TYPES.map((type) => ({
    id: type.id,
    name: type.name,
    category: type.category,
    helpText: type.help,
    priority: MAPPER_TYPES.indexOf(type),
    properties: propertiesOf(type).map(({ options, ...property }) => ({
      ...property,
      required: property.required === true,
      readOnly: false,
      secret: false,
      ...(options ? { options: [...options] } : {}),
    })),
  }));

/**
 * What is wrong with the config of such a mapper, or else what is missing; undefined when it is in order. Fields of other
 * types are let be.
 */
export function configProblem(type: MapperType, config: Config): Problem | undefined {
  let missing: Problem | undefined;
  for (const property of propertiesOf(type)) {
    const value = config[property.name];
    if (value === undefined || value === '') {
      if (property.required) missing ??= { field: property.name, message: 'is needed', missing: true };
      continue;
    }
    if (property.type === 'boolean' && value !== 'true' && value !== 'false') return { field: property.name, message: 'must be true or false' };
    if (property.options && !property.options.includes(value))
      return { field: property.name, message: `must be one of ${property.options.join(', ')}` };
  }
  return missing ?? type.check?.(config);
}

/** The first names of the claims that a mapper says, for whoever lists them. */
export const claimNames = (type: MapperType, config: Config): string[] => {
  const name = type.claims ? (config['claim.name'] ?? type.claim) : undefined;
  return name === undefined ? [] : claimPath(name).slice(0, 1);
};

/** Whether what a mapper says stands there. */
export function standsIn(type: MapperType, config: Config, use: Use): boolean {
  if (!type.uses.includes(use)) return false;
  const said = config[FLAGS[use]];
  if (said !== undefined && said !== '') return said === 'true';
  // As Keycloak reads rows from before it had that field.
  if (use === 'userinfo') return config[FLAGS.id] === 'true';
  return use === 'introspection' || (use === 'access' && type.accessByDefault === true);
}
