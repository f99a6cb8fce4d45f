/** Keycloak's ProtocolMapperRepresentation: what is shown of a mapper, and what is taken. */
import { z } from 'zod';
import type { ProtocolMapperRow } from '../../store/protocol-mappers.ts';
import { MOST_MAPPERS, type NewProtocolMapper } from '../resources/protocol-mappers.ts';

export const mapperRepresentation = z.object({
  id: z.string(),
  name: z.string(),
  protocol: z.string(),
  protocolMapper: z.string(),
  consentRequired: z.boolean(),
  config: z.record(z.string(), z.string()),
});

export const representedMapper = ({ id, name, protocol, mapper, config }: ProtocolMapperRow): z.output<typeof mapperRepresentation> => ({
  id,
  name,
  protocol,
  protocolMapper: mapper,
  consentRequired: false,
  config,
});

/** What is not there stays as it is; null is not there. Values of a config are texts, whatever they came as. */
export const mapperIn = z.object({
  name: z.string().max(255).nullish(),
  protocol: z.string().max(255).nullish(),
  protocolMapper: z.string().max(255).nullish(),
  config: z
    .record(z.string().max(255), z.union([z.string().max(10_000), z.number(), z.boolean(), z.null()]))
    .refine((config) => Object.keys(config).length <= 50, 'must not be more than 50')
    .nullish(),
  // What a representation shows and nobody changes.
  id: z.unknown().optional(),
  consentRequired: z.unknown().optional(),
  consentText: z.unknown().optional(),
});
export const mappersIn = z.array(mapperIn).max(MOST_MAPPERS);

export function mapperFields(body: z.output<typeof mapperIn>): Partial<NewProtocolMapper> {
  const { name, protocol, protocolMapper, config } = body;
  return {
    ...(name == null ? {} : { name }),
    ...(protocol == null ? {} : { protocol: protocol === 'saml' ? protocol : 'openid-connect' }),
    ...(protocolMapper == null ? {} : { mapper: protocolMapper }),
    ...(config == null
      ? {}
      : { config: Object.fromEntries(Object.entries(config).flatMap(([field, value]) => (value === null ? [] : [[field, String(value)]]))) }),
  };
}

/** A new one: what is missing is refused by name. */
export const newMapperFields = (body: z.output<typeof mapperIn>): NewProtocolMapper => ({ name: '', mapper: '', ...mapperFields(body) });
