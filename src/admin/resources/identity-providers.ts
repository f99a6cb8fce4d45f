/**
 * Identity providers elsewhere, described for later: nobody signs in by them yet. Their client secret is sealed, and taken
 * as it was where somebody writes back what they read.
 */
import { randomUUID } from 'node:crypto';
import { z } from 'zod';
import { AppError, badInput, conflict, notFound } from '../../errors.ts';
import { isUniqueViolation } from '../../store/database.ts';
import {
  defaultTerms,
  deleteIdentityProvider,
  deleteProviderMapper,
  type IdentityProviderRow,
  identityProviderByAlias,
  identityProviderSeal,
  insertIdentityProvider,
  insertProviderMapper,
  mapperOfProvider,
  type ProviderMapperRow,
  type ProviderTerms,
  replaceIdentityProvider,
  updateProviderMapper,
} from '../../store/identity-providers.ts';
import type { RealmRow } from '../../store/realms.ts';
import { audit, type Operator } from './context.ts';

/** Kinds that Keycloak's clients describe, and how they are called. */
export const PROVIDER_KINDS: Readonly<Record<string, string>> = {
  oidc: 'OpenID Connect v1.0',
  'keycloak-oidc': 'Keycloak OpenID Connect',
  saml: 'SAML v2.0',
  oauth2: 'OAuth v2',
  apple: 'Apple',
  bitbucket: 'BitBucket',
  facebook: 'Facebook',
  github: 'GitHub',
  gitlab: 'GitLab',
  google: 'Google',
  instagram: 'Instagram',
  'linkedin-openid-connect': 'LinkedIn',
  microsoft: 'Microsoft',
  'openshift-v4': 'Openshift v4',
  paypal: 'PayPal',
  stackoverflow: 'StackOverflow',
  twitter: 'Twitter',
};

/** What stands for a secret that is not shown. */
const MASK = '**********';
const SECRET = 'clientSecret';

export interface ProviderInput {
  alias?: string | undefined;
  providerId?: string | undefined;
  terms?: { [K in keyof ProviderTerms]?: ProviderTerms[K] | undefined };
  /** Null takes a value away. */
  config?: Readonly<Record<string, string | null>> | undefined;
}

/** @throws AppError 404 when the realm has none of this alias */
export async function providerOf({ db }: Pick<Operator, 'db'>, realm: RealmRow, alias: string): Promise<IdentityProviderRow> {
  const row = await identityProviderByAlias(db.knex, realm.id, alias);
  if (!row) throw notFound('Could not find identity provider');
  return row;
}

/** The configuration as it is shown. */
export const shownConfig = ({ config, secret }: IdentityProviderRow): Record<string, string> => ({
  ...config,
  ...(secret === null ? {} : { [SECRET]: MASK }),
});

export async function createProvider(operator: Operator, realm: RealmRow, input: ProviderInput): Promise<IdentityProviderRow> {
  const { alias = '', providerId = '' } = input;
  if (alias === '') throw badInput('alias', 'alias: is missing');
  requireKind(providerId);
  const { db, keyring, now } = operator;
  const key = { realmId: realm.id, id: randomUUID() };
  const { [SECRET]: secret, ...config } = withoutNulls(input.config ?? {});
  requireAddresses(config);
  const row: IdentityProviderRow = {
    ...key,
    alias,
    providerId,
    terms: withGiven(defaultTerms(), input.terms),
    config,
    secret: secret === undefined || secret === '' ? null : await keyring.seal(identityProviderSeal(key), secret),
    createdAt: now,
    updatedAt: now,
  };
  await unlessTaken(`Identity Provider ${alias} already exists`, 'alias', () =>
    db.transaction(async (trx) => {
      await insertIdentityProvider(trx, row);
      await audit(operator, { realmId: realm.id }, { type: 'identity-provider.created', details: { alias, provider: providerId } }, trx);
    }),
  );
  return row;
}

/** Changes what is given; the rest stays, and so does a secret that is given as it was shown. */
export async function changeProvider(operator: Operator, realm: RealmRow, alias: string, input: ProviderInput): Promise<void> {
  const before = await providerOf(operator, realm, alias);
  const { db, keyring, now } = operator;
  if (input.providerId !== undefined) requireKind(input.providerId);
  const { [SECRET]: secret, ...given } = input.config ?? {};
  const config = withoutNulls({ ...before.config, ...given });
  requireAddresses(config);
  const after: IdentityProviderRow = {
    ...before,
    alias: input.alias ?? before.alias,
    providerId: input.providerId ?? before.providerId,
    terms: withGiven(before.terms, input.terms),
    config,
    secret:
      secret === undefined || secret === MASK
        ? before.secret
        : secret === null || secret === ''
          ? null
          : await keyring.seal(identityProviderSeal(before), secret),
    // What compares by it sees two changes of one moment.
    updatedAt: Math.max(now, before.updatedAt + 1),
  };
  const fields = changedFields(before, after);
  if (fields.length === 0) return;
  await unlessTaken(`Identity Provider ${after.alias} already exists`, 'alias', () =>
    db.transaction(async (trx) => {
      if (!(await replaceIdentityProvider(trx, before, after)))
        throw conflict('Somebody else has changed this identity provider in this moment. Look at it, and try again.');
      await audit(operator, { realmId: realm.id }, { type: 'identity-provider.updated', details: { alias: after.alias, fields } }, trx);
    }),
  );
}

export async function removeProvider(operator: Operator, realm: RealmRow, alias: string): Promise<void> {
  const row = await providerOf(operator, realm, alias);
  await operator.db.transaction(async (trx) => {
    if (!(await deleteIdentityProvider(trx, row))) throw notFound('Could not find identity provider');
    await audit(operator, { realmId: realm.id }, { type: 'identity-provider.deleted', details: { alias } }, trx);
  });
}

function changedFields(before: IdentityProviderRow, after: IdentityProviderRow): string[] {
  const flat = ({ alias, providerId, terms, config, secret }: IdentityProviderRow) =>
    new Map<string, unknown>([
      ['alias', alias],
      ['providerId', providerId],
      ...Object.entries(terms),
      ...Object.entries(config).map(([name, value]): [string, unknown] => [`config.${name}`, value]),
      [`config.${SECRET}`, secret],
    ]);
  const [was, is] = [flat(before), flat(after)];
  return [...new Set([...was.keys(), ...is.keys()])].filter((name) => was.get(name) !== is.get(name));
}

function requireKind(providerId: string): void {
  if (!Object.hasOwn(PROVIDER_KINDS, providerId))
    throw badInput('providerId', `providerId: there is no kind of identity provider "${providerId.slice(0, 100)}"`);
}

/** People are to be sent there, and we are to call there: by http and https and nothing else. */
function requireAddresses(config: Readonly<Record<string, string>>): void {
  for (const [name, value] of Object.entries(config)) {
    if (!name.endsWith('Url') || name === 'useJwksUrl' || value === '') continue;
    const url = URL.parse(value);
    if (url === null || !['https:', 'http:'].includes(url.protocol)) throw badInput(`config.${name}`, `config.${name}: must be an https address`);
  }
}

const withoutNulls = (config: Readonly<Record<string, string | null>>): Record<string, string> =>
  Object.fromEntries(Object.entries(config).flatMap(([name, value]): [string, string][] => (value === null ? [] : [[name, value]])));

const withGiven = (terms: ProviderTerms, given: ProviderInput['terms'] = {}): ProviderTerms => ({
  ...terms,
  ...Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined)),
});

async function unlessTaken<T>(message: string, field: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (isUniqueViolation(error)) throw conflict(message, field);
    throw error;
  }
}

/** @throws AppError 404 when the provider has none of this id */
export async function mapperOf(operator: Pick<Operator, 'db'>, realm: RealmRow, alias: string, id: string): Promise<ProviderMapperRow> {
  const provider = await providerOf(operator, realm, alias);
  const mapper = await mapperOfProvider(operator.db.knex, realm.id, provider.id, id);
  if (!mapper) throw notFound('Model not found');
  return mapper;
}

export interface MapperInput {
  name?: string | undefined;
  mapper?: string | undefined;
  config?: Readonly<Record<string, string>> | undefined;
}

export async function addMapper(
  operator: Operator,
  realm: RealmRow,
  alias: string,
  { name, mapper, config = {} }: MapperInput,
): Promise<ProviderMapperRow> {
  const provider = await providerOf(operator, realm, alias);
  if (name === undefined || name === '') throw badInput('name', 'name: is missing');
  if (mapper === undefined || mapper === '') throw badInput('identityProviderMapper', 'identityProviderMapper: is missing');
  const row: ProviderMapperRow = { realmId: realm.id, id: randomUUID(), provider: provider.id, name, mapper, config: { ...config } };
  await unlessTaken(`Identity provider "${alias}" has a mapper "${name}" already.`, 'name', () =>
    operator.db.transaction(async (trx) => {
      await insertProviderMapper(trx, row);
      await audit(operator, { realmId: realm.id }, { type: 'identity-provider.mapper-created', details: { alias, name } }, trx);
    }),
  );
  return row;
}

export async function changeMapper(operator: Operator, realm: RealmRow, alias: string, id: string, input: MapperInput): Promise<void> {
  const before = await mapperOf(operator, realm, alias, id);
  const { name = before.name, mapper = before.mapper, config = before.config } = input;
  await unlessTaken(`Identity provider "${alias}" has a mapper "${name}" already.`, 'name', () =>
    operator.db.transaction(async (trx) => {
      if (!(await updateProviderMapper(trx, { ...before, name, mapper, config: { ...config } }))) throw notFound('Model not found');
      await audit(operator, { realmId: realm.id }, { type: 'identity-provider.mapper-updated', details: { alias, name } }, trx);
    }),
  );
}

export async function removeMapper(operator: Operator, realm: RealmRow, alias: string, id: string): Promise<void> {
  const before = await mapperOf(operator, realm, alias, id);
  await operator.db.transaction(async (trx) => {
    if (!(await deleteProviderMapper(trx, before))) throw notFound('Model not found');
    await audit(operator, { realmId: realm.id }, { type: 'identity-provider.mapper-deleted', details: { alias, name: before.name } }, trx);
  });
}

/** OpenID Provider metadata (OpenID Connect Discovery 1.0 section 3), as far as a configuration is made of it. */
const metadata = z.object({
  issuer: z.url(),
  authorization_endpoint: z.url(),
  token_endpoint: z.url(),
  userinfo_endpoint: z.url().optional(),
  end_session_endpoint: z.url().optional(),
  jwks_uri: z.url().optional(),
});

/** How an address is fetched that the administrator chose: guarded, and bounded. */
export type FetchMetadata = (url: string) => Promise<{ status: number; body: Buffer }>;

/**
 * The configuration that a provider publishes of itself.
 * @throws AppError 400 where there is none that can be read, 501 for kinds that publish it otherwise
 */
export async function importedConfig(
  fetch: FetchMetadata,
  { providerId, fromUrl }: { providerId: string; fromUrl: string },
): Promise<Record<string, string>> {
  requireKind(providerId);
  if (providerId !== 'oidc' && providerId !== 'keycloak-oidc')
    throw new AppError({
      code: 'not_implemented',
      status: 501,
      message: `What a provider of kind ${providerId} publishes of itself is not read yet.`,
    });
  const found = metadata.safeParse(await documentAt(fetch, fromUrl));
  if (!found.success) throw badInput('fromUrl', 'fromUrl: there is no metadata of an OpenID provider at this address');
  const { issuer, authorization_endpoint, token_endpoint, userinfo_endpoint, end_session_endpoint, jwks_uri } = found.data;
  return {
    issuer,
    authorizationUrl: authorization_endpoint,
    tokenUrl: token_endpoint,
    ...(userinfo_endpoint === undefined ? {} : { userInfoUrl: userinfo_endpoint }),
    ...(end_session_endpoint === undefined ? {} : { logoutUrl: end_session_endpoint }),
    ...(jwks_uri === undefined ? {} : { jwksUrl: jwks_uri, useJwksUrl: 'true', validateSignature: 'true' }),
    metadataDescriptorUrl: fromUrl,
  };
}

async function documentAt(fetch: FetchMetadata, url: string): Promise<unknown> {
  try {
    const { status, body } = await fetch(url);
    return status === 200 ? JSON.parse(body.toString('utf8')) : undefined;
  } catch (error) {
    // What is where in our network is not told: an address that may not be fetched looks like one at which there is nothing.
    if (error instanceof SyntaxError || (error instanceof AppError && error.code !== 'outbound_refused')) return undefined;
    throw error instanceof AppError ? badInput('fromUrl', `fromUrl: ${error.message}`) : error;
  }
}
