/**
 * Clients that register and manage themselves (RFC 7591, RFC 7592): let in by an initial access token, and from then on by a
 * registration access token of their own. What they may say of themselves is what an application knows; what it may do
 * in the realm is for administrators to say.
 */
import { randomUUID } from 'node:crypto';
import { z } from 'zod';
import { randomToken, safeEqual, sha256 } from '../../crypto/codes.ts';
import { AppError, badInput, conflict, notFound } from '../../errors.ts';
import { BOUND, KEYS, REQUEST_ALGORITHM, SELF_SIGNED, SIGNING_ALGORITHM, SUBJECT } from '../../realms/client-credentials.ts';
import { takesTokens } from '../../realms/redirect-uris.ts';
import { REQUEST_URIS } from '../../realms/request-uris.ts';
import { clientById } from '../../store/client-changes.ts';
import {
  countInitialAccess,
  deleteInitialAccess,
  type InitialAccessRow,
  insertInitialAccess,
  listInitialAccess,
  returnInitialAccess,
  spendInitialAccess,
} from '../../store/client-initial-access.ts';
import { type ClientRow, clientByClientId, FOR_ADMINISTRATION } from '../../store/clients.ts';
import type { RealmRow } from '../../store/realms.ts';
import { changeClient, removeClient } from './client-changes.ts';
import type { ClientFields } from './client-input.ts';
import { makeRegistrationToken } from './client-secrets.ts';
import { createClient } from './clients.ts';
import { audit, type Operator, validated } from './context.ts';

/** More than anybody hands out at a time. */
const MOST_INITIAL_ACCESS = 1_000;

const newInitialAccess = z.object({
  count: z.number().int().min(1).max(10_000).default(1),
  /** Seconds; 0 for one that does not expire. */
  expiration: z.number().int().min(0).max(315_360_000).default(0),
});

/** Makes a token that lets clients in. 409 when there are very many. */
export async function createInitialAccess(
  operator: Operator,
  realm: RealmRow,
  input: z.input<typeof newInitialAccess>,
): Promise<{ row: InitialAccessRow; token: string }> {
  const { count, expiration } = validated(newInitialAccess, input);
  const { db, now } = operator;
  const token = randomToken(32);
  const row: InitialAccessRow = {
    realmId: realm.id,
    id: randomUUID(),
    token: sha256(token),
    total: count,
    remaining: count,
    createdAt: now,
    expiresAt: expiration === 0 ? null : now + expiration * 1000,
  };
  if ((await countInitialAccess(db.knex, realm.id)) >= MOST_INITIAL_ACCESS)
    throw conflict(`Realm "${realm.name}" has ${MOST_INITIAL_ACCESS} initial access tokens. Delete some.`);
  await db.transaction(async (trx) => {
    await insertInitialAccess(trx, row);
    await audit(operator, { realmId: realm.id }, { type: 'client.initial-access-made', details: { id: row.id, count } }, trx);
  });
  return { row, token };
}

export const allInitialAccess = ({ db }: Pick<Operator, 'db'>, realm: RealmRow): Promise<InitialAccessRow[]> =>
  listInitialAccess(db.knex, realm.id, MOST_INITIAL_ACCESS);

/** 404 when it is not there. */
export async function removeInitialAccess(operator: Operator, realm: RealmRow, id: string): Promise<void> {
  await operator.db.transaction(async (trx) => {
    if (!(await deleteInitialAccess(trx, realm.id, id))) throw notFound('Could not find initial access token');
    await audit(operator, { realmId: realm.id }, { type: 'client.initial-access-removed', details: { id } }, trx);
  });
}

/** Metadata of OpenID Connect that is kept as an attribute: by Keycloak's name where it has one. Lists stand with `##` between their parts. */
export const OWN_METADATA = {
  logo_uri: { attribute: 'logoUri', kind: 'text' },
  policy_uri: { attribute: 'policyUri', kind: 'text' },
  tos_uri: { attribute: 'tosUri', kind: 'text' },
  application_type: { attribute: 'cardea.application.type', kind: 'text' },
  contacts: { attribute: 'cardea.contacts', kind: 'texts' },
  initiate_login_uri: { attribute: 'cardea.initiate.login.uri', kind: 'text' },
  sector_identifier_uri: { attribute: 'cardea.sector.identifier.uri', kind: 'text' },
  default_max_age: { attribute: 'cardea.default.max.age', kind: 'number' },
  default_acr_values: { attribute: 'default.acr.values', kind: 'texts' },
  backchannel_logout_uri: { attribute: 'backchannel.logout.url', kind: 'text' },
  backchannel_logout_session_required: { attribute: 'backchannel.logout.session.required', kind: 'boolean' },
  id_token_signed_response_alg: { attribute: 'id.token.signed.response.alg', kind: 'text' },
  userinfo_signed_response_alg: { attribute: 'user.info.response.signature.alg', kind: 'text' },
  require_pushed_authorization_requests: { attribute: 'require.pushed.authorization.requests', kind: 'boolean' },
  dpop_bound_access_tokens: { attribute: 'dpop.bound.access.tokens', kind: 'boolean' },
  token_endpoint_auth_signing_alg: { attribute: SIGNING_ALGORITHM, kind: 'text' },
  request_object_signing_alg: { attribute: REQUEST_ALGORITHM, kind: 'text' },
  request_uris: { attribute: REQUEST_URIS, kind: 'texts' },
  tls_client_auth_subject_dn: { attribute: SUBJECT, kind: 'text' },
  tls_client_certificate_bound_access_tokens: { attribute: BOUND, kind: 'boolean' },
} as const;

/** Attributes that an application may say of itself. */
const OWN_ATTRIBUTES: readonly string[] = [
  ...Object.values(OWN_METADATA).map(({ attribute }) => attribute),
  ...Object.values(KEYS),
  SELF_SIGNED,
  'access.token.signed.response.alg',
  'pkce.code.challenge.method',
];

/** What an application may say of itself. */
function ownFields(fields: ClientFields): ClientFields {
  const { name, description, rootUrl, baseUrl, redirectUris, postLogoutRedirectUris, webOrigins, publicClient, standardFlow, serviceAccount } =
    fields;
  const { attributes = {}, kept } = fields;
  const { clientAuthenticatorType, implicitFlowEnabled } = kept ?? {};
  return {
    kept: { clientAuthenticatorType, implicitFlowEnabled },
    ...{ name, description, rootUrl, baseUrl, redirectUris, postLogoutRedirectUris, webOrigins, publicClient, standardFlow, serviceAccount },
    attributes: Object.fromEntries(Object.entries(attributes).filter(([attribute]) => OWN_ATTRIBUTES.includes(attribute))),
  };
}

const WHY_NO_TOKEN =
  'The token is missing or not valid here. Send an initial access token of this realm that is not used up, or the registration access token of this client, as Authorization: Bearer.';

/** 401: the token lets nobody in. */
export const invalidToken = (): AppError => new AppError({ code: 'invalid_token', status: 401, message: WHY_NO_TOKEN });

/**
 * Tokens that come with the answer go to addresses that only the client's own server can stand at, however it registers. What an
 * administrator allowed it stays allowed.
 * @throws AppError 400 on `redirectUris`
 */
function checkTokenAddresses({ kept, redirectUris, attributes }: ClientFields, client?: ClientRow): void {
  const before = client?.kept.implicitFlowEnabled ?? false;
  if (!(kept?.implicitFlowEnabled ?? before)) return;
  const { attribute } = OWN_METADATA.application_type;
  const said = attributes?.[attribute] === undefined ? client?.attributes[attribute] : attributes[attribute];
  const type = said === 'native' ? 'native' : 'web';
  const allowed = before ? (client?.redirectUris ?? []) : [];
  const wrong = (redirectUris ?? client?.redirectUris ?? []).find((uri) => !allowed.includes(uri) && !takesTokens(uri, type));
  if (wrong === undefined) return;
  throw badInput(
    'redirectUris',
    `redirectUris: ${wrong}: where tokens come with the answer (implicit), it must be written out, https, and not localhost`,
  );
}

/**
 * Registers a client. Its users are asked for consent, and its tokens manage nothing, until an administrator says otherwise.
 * @param token an initial access token, of which one use is spent
 * @param check what is to be asked of others before, which only somebody with a token may have us ask
 * @returns with the token by which it is managed from now on
 * @throws AppError 401 for a token that lets nobody in, 400 and 409 as `createClient`
 */
export async function registerClient(
  operator: Operator,
  realm: RealmRow,
  token: string,
  fields: ClientFields,
  check: () => Promise<void> = async () => undefined,
): Promise<{ client: ClientRow; secret: string | null; token: string }> {
  const { db, now } = operator;
  if (!(await spendInitialAccess(db.knex, realm.id, sha256(token), now))) throw invalidToken();
  try {
    await check();
    const own = ownFields(fields);
    checkTokenAddresses(own);
    const { client: made, secret } = await createClient(operator, realm, {
      ...own,
      attributes: { ...own.attributes, [FOR_ADMINISTRATION]: 'false' },
      clientId: fields.clientId ?? randomUUID(),
      name: own.name ?? undefined,
      consentRequired: true,
      postLogoutRedirectUris: own.postLogoutRedirectUris ?? [],
    });
    const managed = await makeRegistrationToken(operator, realm, made.id);
    return { client: managed.client, secret, token: managed.token };
  } catch (error) {
    await returnInitialAccess(db.knex, realm.id, sha256(token));
    throw error;
  }
}

/**
 * The client that a registration access token is of.
 * @param ref its client_id or its row id
 * @throws AppError 401 for any other token, and for a client that is not there (RFC 7592 section 2.1)
 */
export async function registeredClient({ db }: Pick<Operator, 'db'>, realm: RealmRow, ref: string, token: string): Promise<ClientRow> {
  const client = (await clientByClientId(db.knex, realm.id, ref)) ?? (await clientById(db.knex, realm.id, ref));
  if (!client?.registrationToken || !safeEqual(client.registrationToken, sha256(token))) throw invalidToken();
  return client;
}

/** Changes what an application may say of itself. */
export function changeRegistered(operator: Operator, realm: RealmRow, client: ClientRow, fields: ClientFields): Promise<ClientRow> {
  if (fields.clientId !== undefined && fields.clientId !== client.clientId) throw badInput('clientId', 'clientId: must stay as it is');
  const own = ownFields(fields);
  checkTokenAddresses(own, client);
  return changeClient(operator, realm, client.id, own, { limited: true });
}

export const removeRegistered = (operator: Operator, realm: RealmRow, client: ClientRow): Promise<void> => removeClient(operator, realm, client.id);
