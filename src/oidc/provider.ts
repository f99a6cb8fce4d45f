/** One realm's Provider: its whole configuration on one page. */
import { type Configuration, interactionPolicy, type KoaContextWithOIDC, type Provider } from 'oidc-provider';
import { derive } from '../crypto/keyring.ts';
import { isCorrupted } from '../errors.ts';
import { LANGUAGES } from '../languages/languages.ts';
import { LEVELS } from '../policy/assurance.ts';
import { REQUEST_ALGORITHMS, SELF_SIGNED_METHOD } from '../realms/client-credentials.ts';
import { issuerOf, loginPath, realmPath } from '../realms/issuer.ts';
import { RESPONSE_TYPES } from '../realms/response-types.ts';
import { accessFrom } from '../realms/web-origins.ts';
import { markOffline } from '../store/sessions.ts';
import { answerParameters, mustAsk } from './authentication.ts';
import { awaitsAnswer } from './ciba/page.ts';
import { checkAssertion, installReplayDetection } from './clients/assertions.ts';
import { installClientKeys } from './clients/client-keys.ts';
import { CLIENT_METADATA, rotates, rowOf } from './clients/client-metadata.ts';
import { Clients, installMatchers } from './clients/clients.ts';
import { libraryFetch } from './clients/fetching.ts';
import { installKnownClients } from './clients/known.ts';
import { authenticatesByTls } from './clients/mtls.ts';
import { spendRequestObject } from './clients/request-objects.ts';
import { installRequestUris } from './clients/request-uris.ts';
import { installCors } from './cors.ts';
import { installDescriptions } from './descriptions.ts';
import { featuresOf } from './features.ts';
import { consentIsMissing, grantFor, scopesToAllow } from './grants/grants.ts';
import { installPasswordGrant } from './grants/password-grant.ts';
import { installTokenExchange } from './grants/token-exchange.ts';
import { impersonatorClaim, refuseImpersonator } from './impersonated.ts';
import { lifetimesOf } from './lifetimes.ts';
import { installLoginStatus } from './login-status.ts';
import { installMiddleware } from './middleware.ts';
import { COOKIES, LOGIN_STATUS, ROUTES } from './names.ts';
import { pagesOf } from './pages.ts';
import { CLOCK_TOLERANCE, type RealmRoom } from './room.ts';
import { adapterFor } from './storage/adapter.ts';
import { AccessTokens } from './tokens/access-tokens.ts';
import { BindingProvider } from './tokens/binding.ts';
import { claimsByScope, customizeJwt, findAccount, opaqueClaims } from './tokens/claims.ts';
import { installMapped } from './tokens/mapped.ts';
import { installRefreshTokens } from './tokens/refresh-tokens.ts';
import { ClientFailures } from './too-many.ts';

/** A realm that can answer requests. Built once a realm and version of its settings and keys. */
export interface OidcRealm {
  room: RealmRoom;
  provider: Provider;
  /** The library's handling of a request, put together once. */
  answer: ReturnType<Provider['callback']>;
  /** Cached client rows; cleared when something about the realm's clients changed. */
  clients: Clients;
  accessTokens: AccessTokens;
}

/** Builds the provider of one realm, as its settings, keys, scopes and policy are now; another is built when they change. */
export function buildRealm(room: RealmRoom): OidcRealm {
  const clients = new Clients(room);
  const accessTokens = new AccessTokens(room, clients);
  const provider = buildProvider(room, clients, accessTokens);
  return { room, clients, accessTokens, provider, answer: provider.callback() };
}

function buildProvider(room: RealmRoom, clients: Clients, accessTokens: AccessTokens): Provider {
  const { realm, scopes, mappers, keys, rootSecret } = room.context;
  const { settings } = realm;
  const failures = new ClientFailures(room);
  const shownScopes = scopes
    .filter((scope) => scope.protocol === 'openid-connect' && scope.attributes['include.in.token.scope'] !== 'false')
    .map((scope) => scope.name);
  const oidcScopes = ['openid', ...shownScopes];
  const cookie = { path: realmPath(realm.name), httpOnly: true, sameSite: 'lax', signed: true, secure: room.origin.startsWith('https:') } as const;
  const pages = pagesOf(room, cookie);

  const clientAuthMethods = authMethodsOf(room);
  const provider = new BindingProvider(issuerOf(room.origin, realm.name), {
    adapter: adapterFor({ room, clients, accessTokens, failures }),
    routes: ROUTES,
    jwks: { keys: keys.map((key) => key.privateJwk) },
    scopes: oidcScopes,
    claims: claimsByScope(mappers.values()),
    acrValues: [...LEVELS, ...Object.keys(room.context.policy.document.acr)],
    responseTypes: [...RESPONSE_TYPES],
    subjectTypes: ['public'],
    clientAuthMethods,
    enabledJWA: { clientAuthSigningAlgValues: [...REQUEST_ALGORITHMS], requestObjectSigningAlgValues: [...REQUEST_ALGORITHMS] },
    assertJwtClientAuthClaimsAndHeader: (_ctx, claims, header, client) =>
      checkAssertion({ now: room.now, tolerance: CLOCK_TOLERANCE }, claims, header, client),
    fetch: libraryFetch(room, realm.name),
    clockTolerance: CLOCK_TOLERANCE,
    conformIdTokenClaims: false,
    discovery: {
      ui_locales_supported: Object.keys(LANGUAGES),
      registration_endpoint: `${issuerOf(room.origin, realm.name)}/clients-registrations/openid-connect`,
      prompt_values_supported: ['none', 'login', 'consent', 'select_account'],
      require_request_uri_registration: true,
      // They are those of the token endpoint; who reads nothing there has to believe that it is client_secret_basic alone (RFC 8414 section 2).
      ...{ introspection_endpoint_auth_methods_supported: clientAuthMethods, revocation_endpoint_auth_methods_supported: clientAuthMethods },
      introspection_endpoint_auth_signing_alg_values_supported: [...REQUEST_ALGORITHMS],
      revocation_endpoint_auth_signing_alg_values_supported: [...REQUEST_ALGORITHMS],
      check_session_iframe: `${issuerOf(room.origin, realm.name)}${LOGIN_STATUS}`,
    },
    // The library calls what stands behind one for every request, whether that parameter is there or not.
    extraParams: { kc_action: spendRequestObject, kc_idp_hint: null, kc_locale: null },
    extraClientMetadata: { properties: [...CLIENT_METADATA] },
    allowOmittingSingleRegisteredRedirectUri: false,
    cookies: {
      keys: [derive(rootSecret, 'cookies').toString('base64url')],
      names: COOKIES,
      long: cookie,
      short: { httpOnly: true, sameSite: 'lax', signed: true, secure: cookie.secure },
    },
    pkce: { required: (_ctx, client) => client.clientAuthMethod === 'none' || rowOf(client).attributes['pkce.code.challenge.method'] !== undefined },
    clientBasedCORS: (_ctx, origin, client) => client !== undefined && accessFrom(rowOf(client), origin) !== undefined,

    features: featuresOf({ room, clients, pages, scopes: oidcScopes }),
    formats: { customizers: { jwt: (ctx, token, jwt) => customizeJwt({ room, clients }, ctx, token, jwt) } },
    extraTokenClaims: (ctx, token) => opaqueClaims({ room, clients }, ctx, token),

    interactions: { policy: policyOf(room), url: (_ctx, interaction) => `${room.origin}${loginPath(realm.name, interaction.uid)}` },
    findAccount: (_ctx, sub, token) => findAccount({ room, clients }, sub, token),
    loadExistingGrant: (ctx) => grantFor(room, clients, ctx),
    // Keycloak's clients get a refresh token with every code, bound to the session unless it is an offline one.
    issueRefreshToken: (_ctx, client) => client.grantTypeAllowed('refresh_token') && rowOf(client).attributes['use.refresh.tokens'] !== 'false',
    expiresWithSession: async (ctx, source) => {
      // Nothing outlives the session of an impersonator, whatever a request or a client's default scopes say.
      if (!source.scopes.has('offline_access') || impersonatorClaim()) return true;
      const sid = ctx.oidc.session?.sidFor(ctx.oidc.client?.clientId ?? '');
      if (sid) await markOffline(room.db.knex, realm.id, sid, room.now());
      return false;
    },
    rotateRefreshToken: (ctx) => rotates(rowOf(ctx.oidc.client), settings),
    renderError: (ctx, out, error) => pages.renderError(ctx, out, error),

    ttl: lifetimesOf(room),
  });

  // The library leaves `iss` out beside an ID token, which says it; clients look for it because discovery promises it (RFC 9207 section 2).
  // `scope` is in the access token; beside it keycloak-js, which Keycloak tells none, would leave it in the application's address.
  provider.on(
    'authorization.success',
    (ctx, out) => void (out && Object.assign(out, { iss: provider.issuer, scope: undefined }, answerParameters(ctx))),
  );
  provider.on('server_error', (ctx, err) => {
    room.log.error({ realm: realm.name, err }, 'oidc-provider met a fault');
    if (isCorrupted(err)) void raise(room, ctx);
  });
  // dispatch.ts has put our own origin's scheme where a proxy would.
  provider.proxy = true;
  installMatchers(provider, room.origin, room.now);
  installRefreshTokens(provider, room);
  // First: what is built upon it does something at each request.
  installKnownClients(provider, { clients, failures });
  installRequestUris(provider, room);
  installClientKeys(provider, room);
  installReplayDetection(provider);
  installDescriptions(provider, room);
  installMiddleware(provider, room, failures);
  installCors(provider, { clients, accessTokens });
  installLoginStatus(provider, room);
  installMapped(provider, { room, clients });
  installPasswordGrant(provider, { room, clients, failures, scopes: oidcScopes });
  installTokenExchange(provider, { room, clients, scopes: oidcScopes });
  return provider;
}

/** How clients may say who they are, at every endpoint that asks. */
function authMethodsOf(room: RealmRoom): NonNullable<Configuration['clientAuthMethods']> {
  return [
    'client_secret_basic',
    'client_secret_post',
    'client_secret_jwt',
    'private_key_jwt',
    ...(authenticatesByTls(room) ? (['tls_client_auth'] as const) : []),
    ...(room.clientCertificates === undefined ? [] : ([SELF_SIGNED_METHOD] as const)),
    'none',
  ];
}

/** The library answers its errors by itself. */
async function raise({ alarm, log, context }: RealmRoom, ctx: KoaContextWithOIDC): Promise<void> {
  const met = { realm: context.realm.name, what: ctx.oidc?.route ?? 'protocol', ip: ctx.ip, userAgent: ctx.get('user-agent') || null };
  await alarm(met).catch((err: unknown) => log.error({ realm: context.realm.name, err }, 'an alarm could not be recorded'));
}

/** The library's prompts with our own checks: what was proved, and what was allowed. */
function policyOf(room: RealmRoom): interactionPolicy.DefaultPolicy {
  const { base, Check, Prompt } = interactionPolicy;
  const policy = base();
  const login = policy.get('login');
  const consent = policy.get('consent');
  if (!login || !consent) throw new Error('The library has other prompts than expected.');
  const account = new Prompt({ name: 'select_account', requestable: true });
  account.checks.add(new Check('impersonated', 'An administrator acts as the user', 'login_required', (ctx) => refuseImpersonator(room, ctx)));
  policy.add(account, 0);
  // They compare strings and the library's one login time; ours asks `decide`.
  for (const builtIn of ['max_age', 'essential_acrs', 'essential_acr']) login.checks.remove(builtIn);
  login.checks.add(new Check('not_proved', 'End-User authentication is required', 'login_required', (ctx) => mustAsk(room, ctx)));
  for (const builtIn of ['native_client_prompt', 'op_scopes_missing', 'op_claims_missing', 'rs_scopes_missing', 'rar_prompt'])
    consent.checks.remove(builtIn);
  consent.checks.add(
    new Check('not_allowed', 'End-User consent is required', 'consent_required', (ctx: KoaContextWithOIDC) => consentIsMissing(ctx)),
  );
  consent.checks.add(new Check('not_answered', 'The End-User has to answer', 'consent_required', (ctx: KoaContextWithOIDC) => awaitsAnswer(ctx)));
  consent.details = (ctx) => ({ scopes: scopesToAllow(ctx) });
  return policy;
}
