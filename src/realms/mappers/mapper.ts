/**
 * Protocol mappers: what tokens, userinfo and introspection say, as rows that administrators write. One file a family of
 * types; each type is a description (for forms and for validation) and pure functions from what is known of the user to
 * claims, roles or audiences. Names, config fields and defaults are Keycloak's.
 *
 * types.ts lists them, prepare.ts reads rows, token-claims.ts puts together what one token says. Here is what they share.
 */
import type { Roles } from './roles.ts';
import type { Subject } from './subject.ts';

export type Config = Readonly<Record<string, string>>;

/** What is being said: an access token, an ID token, an answer of userinfo or of introspection. */
export type Use = 'access' | 'id' | 'userinfo' | 'introspection';

export const FLAGS: Readonly<Record<Use, string>> = {
  access: 'access.token.claim',
  id: 'id.token.claim',
  userinfo: 'userinfo.token.claim',
  introspection: 'introspection.token.claim',
};

/** What has to be read of a user, besides the row. */
export type Need = 'attributes' | 'groups' | 'roles';

export interface Claim {
  /** From the outside in. */
  path: readonly string[];
  value: unknown;
}

/** What is known when a token is made. */
export interface Facts {
  subject: Subject;
  client: { clientId: string; origins: readonly string[] };
  /** How the user signed in; undefined for a service account. */
  signIn: { acr: unknown; amr: unknown; authTime: unknown; sid: unknown } | undefined;
  /** Of the user, as far as the client may be told; empty where no mapper needs them. */
  roles: Roles;
}

/** One field of a type's config, as forms show it. */
export interface Property {
  name: string;
  label: string;
  helpText: string;
  type: 'String' | 'boolean' | 'List' | 'Role' | 'ClientList' | 'MultivaluedString';
  defaultValue?: string;
  options?: readonly string[];
  required?: boolean;
}

/** What is wrong with a config, and in which of its fields. */
export interface Problem {
  field: string;
  message: string;
  /** Nothing is wrong, but something is not there yet: such a mapper may be kept, and says nothing. */
  missing?: true;
}

export interface MapperType {
  id: string;
  name: string;
  category: 'Token mapper' | 'Role mapper';
  help: string;
  /** Where what it says may stand; a flag of its config each. */
  uses: readonly Use[];
  /** Rows from before there was the flag are for access tokens. */
  accessByDefault?: boolean;
  properties: readonly Property[];
  needs?(config: Config): readonly Need[];
  /** The claim that it says, where its config names none. */
  claim?: string;
  /** What is wrong besides what its properties say. */
  check?(config: Config): Problem | undefined;
  claims?(config: Config, facts: Facts): readonly Claim[];
  /** Changes which roles tokens name; before anything is made of them. */
  roles?(config: Config, roles: Roles): Roles;
  /** Whom besides an access token is for. */
  audience?(config: Config, facts: Facts): readonly string[];
}

export const CLAIM_NAME: Property = {
  name: 'claim.name',
  label: 'Token Claim Name',
  helpText: 'Where the value stands in the token. A dot makes an object: address.street; a dot in a name is written \\.',
  type: 'String',
  required: true,
};

export const JSON_TYPE: Property = {
  name: 'jsonType.label',
  label: 'Claim JSON Type',
  helpText: 'What the value is in JSON.',
  type: 'List',
  options: ['String', 'long', 'int', 'boolean', 'JSON'],
  defaultValue: 'String',
};

export const MULTIVALUED: Property = {
  name: 'multivalued',
  label: 'Multivalued',
  helpText: 'All of the values, as a list; without, the first.',
  type: 'boolean',
  defaultValue: 'false',
};

export const flag = (name: string, label: string, helpText: string, defaultValue: 'true' | 'false' = 'false'): Property => ({
  name,
  label,
  helpText,
  type: 'boolean',
  defaultValue,
});

export const text = (name: string, label: string, helpText: string, more: Partial<Property> = {}): Property => ({
  name,
  label,
  helpText,
  type: 'String',
  ...more,
});
