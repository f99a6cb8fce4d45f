/** Stored mappers made ready once, where a realm or a client is read: what is unknown or not in order says nothing. */
import type { ProtocolMapperRow } from '../../store/protocol-mappers.ts';
import { CLAIM_PROTOCOL } from './defaults.ts';
import type { Config, MapperType, Need, Use } from './mapper.ts';
import { configProblem, MAPPER_TYPES, mapperType, standsIn } from './types.ts';

export interface Mapper {
  id: string;
  name: string;
  type: MapperType;
  config: Config;
  /** Where its type stands among the types. */
  order: number;
}

export function prepared(rows: readonly ProtocolMapperRow[]): Mapper[] {
  return rows.flatMap((row) => {
    const type = row.protocol === CLAIM_PROTOCOL ? mapperType(row.mapper) : undefined;
    return type && configProblem(type, row.config) === undefined
      ? [{ id: row.id, name: row.name, type, config: row.config, order: MAPPER_TYPES.indexOf(type) }]
      : [];
  });
}

/** Those that say something there; `lightweight` access tokens name no roles unless a mapper insists. */
export const standing = (mappers: readonly Mapper[], use: Use, lightweight: boolean): readonly Mapper[] =>
  mappers.filter(
    ({ type, config }) =>
      standsIn(type, config, use) && !(use === 'access' && lightweight && needsRoles(type, config) && config['lightweight.claim'] !== 'true'),
  );

const needsRoles = (type: MapperType, config: Config): boolean => type.needs?.(config).includes('roles') === true;

/** What has to be read for these. */
export const needsOf = (mappers: readonly Mapper[]): ReadonlySet<Need> => new Set(mappers.flatMap(({ type, config }) => type.needs?.(config) ?? []));
