/**
 * oidc-provider alone, with its memory adapter: what flows.ts measures Cardea against. Whoever comes is signed in.
 *
 * The tokens of clients `jwt` (RS256) and `es256` are JWTs, as Cardea's are; those of `opaque` are looked up, because the library refuses its
 * own JWTs at userinfo and introspection, and may be exchanged. `rotating` gets a new refresh token each time, `signed` authenticates by
 * private_key_jwt. Usage: node bench/bare.ts PORT SECRET JWK, the public key of `signed`.
 */
import { createServer } from 'node:http';
import Provider, { errors, type KoaContextWithOIDC } from 'oidc-provider';
import { generateSigningKey } from '../src/realms/keys.ts';

const [port = '', client_secret = '', jwk = '{}'] = process.argv.slice(2);
const RESOURCE = 'urn:bench';
const scope = 'openid profile email';
const EXCHANGE = 'urn:ietf:params:oauth:grant-type:token-exchange';
const DEVICE = 'urn:ietf:params:oauth:grant-type:device_code';
const grant_types = ['authorization_code', 'refresh_token', 'client_credentials', DEVICE, EXCHANGE];
const client = { client_secret, scope, grant_types, redirect_uris: ['https://app.example/callback'] };
const user = { preferred_username: 'bench', name: 'Bench User', email: 'bench@example.com', email_verified: true };

async function grantFor({ oidc }: KoaContextWithOIDC) {
  const { clientId = '' } = oidc.client ?? {};
  const known = oidc.session?.grantIdFor(clientId);
  if (known) return oidc.provider.Grant.find(known);
  const grant = new oidc.provider.Grant({ clientId, accountId: oidc.session?.accountId });
  grant.addOIDCScope(scope);
  grant.addResourceScope(RESOURCE, scope);
  await grant.save();
  return grant;
}

const resourceServer = (clientId: string) =>
  ({ scope, audience: 'bench', accessTokenFormat: 'jwt', jwt: { sign: { alg: clientId === 'es256' ? 'ES256' : 'RS256' } } }) as const;

/** As little of RFC 8693 as there can be: a token that is stored for one that is signed. */
async function exchange({ oidc, ...ctx }: KoaContextWithOIDC): Promise<object> {
  const subject = await oidc.provider.AccessToken.find(String(oidc.params?.subject_token));
  if (!subject?.isValid || !oidc.client) throw new errors.InvalidRequest(`no token at ${ctx.path}`);
  const { accountId, grantId } = subject;
  const token = new oidc.provider.AccessToken({ accountId, grantId, client: oidc.client, gty: EXCHANGE, scope: subject.scope });
  token.resourceServer = new oidc.provider.ResourceServer(RESOURCE, resourceServer(oidc.client.clientId));
  return { access_token: await token.save(), token_type: 'Bearer', expires_in: token.expiration };
}

const provider = new Provider(`http://localhost:${port}`, {
  jwks: { keys: [(await generateSigningKey('RS256')).privateJwk, (await generateSigningKey('ES256')).privateJwk] },
  clients: [
    ...['jwt', 'es256', 'opaque', 'rotating'].map((client_id) => ({ ...client, client_id })),
    { ...client, client_id: 'signed', token_endpoint_auth_method: 'private_key_jwt', jwks: { keys: [JSON.parse(jwk)] } },
  ],
  scopes: scope.split(' '),
  claims: { openid: ['sub'], profile: ['preferred_username', 'name'], email: ['email', 'email_verified'] },
  cookies: { keys: [client_secret] },
  features: {
    devInteractions: { enabled: false },
    clientCredentials: { enabled: true },
    introspection: { enabled: true },
    deviceFlow: { enabled: true },
    resourceIndicators: {
      defaultResource: (_ctx, { clientId }) => (clientId === 'opaque' ? [] : RESOURCE),
      useGrantedResource: () => true,
      getResourceServerInfo: (_ctx, _resource, { clientId }) => resourceServer(clientId),
    },
  },
  interactions: { url: (_ctx, { uid }) => `/login/${uid}` },
  findAccount: (_ctx, sub) => ({ accountId: sub, claims: () => ({ sub, ...user }) }),
  loadExistingGrant: grantFor,
  issueRefreshToken: () => true,
  rotateRefreshToken: ({ oidc }) => oidc.client?.clientId === 'rotating',
  ttl: { AccessToken: 3_600, ClientCredentials: 3_600 },
});
provider.registerGrantType(
  EXCHANGE,
  async (ctx) => {
    ctx.body = await exchange(ctx);
  },
  ['subject_token', 'subject_token_type'],
);
provider.use(async (ctx, next) => {
  if (!ctx.path.startsWith('/login/')) return next();
  ctx.respond = false;
  await provider.interactionFinished(ctx.req, ctx.res, { login: { accountId: 'bench' } });
});
createServer(provider.callback()).listen(Number(port), '127.0.0.1');
