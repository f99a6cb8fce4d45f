/**
 * oidc-provider alone, with its memory adapter: what flows.ts measures Cardea against. Whoever comes is signed in.
 *
 * The tokens of clients `jwt` (RS256) and `es256` are JWTs, as Cardea's are; those of `opaque` are looked up, because the library refuses its
 * own JWTs at userinfo and introspection. Usage: node bench/bare.ts PORT SECRET
 */
import { createServer } from 'node:http';
import Provider, { type KoaContextWithOIDC } from 'oidc-provider';
import { generateSigningKey } from '../src/realms/keys.ts';

const [port = '', client_secret = ''] = process.argv.slice(2);
const RESOURCE = 'urn:bench';
const scope = 'openid profile email';
const grant_types = ['authorization_code', 'refresh_token', 'client_credentials'];
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

const provider = new Provider(`http://localhost:${port}`, {
  jwks: { keys: [(await generateSigningKey('RS256')).privateJwk, (await generateSigningKey('ES256')).privateJwk] },
  clients: ['jwt', 'es256', 'opaque'].map((client_id) => ({ ...client, client_id })),
  scopes: scope.split(' '),
  claims: { openid: ['sub'], profile: ['preferred_username', 'name'], email: ['email', 'email_verified'] },
  cookies: { keys: [client_secret] },
  features: {
    devInteractions: { enabled: false },
    clientCredentials: { enabled: true },
    introspection: { enabled: true },
    resourceIndicators: {
      defaultResource: (_ctx, { clientId }) => (clientId === 'opaque' ? [] : RESOURCE),
      useGrantedResource: () => true,
      getResourceServerInfo: (_ctx, _resource, { clientId }) => ({
        scope,
        audience: 'bench',
        accessTokenFormat: 'jwt',
        jwt: { sign: { alg: clientId === 'es256' ? 'ES256' : 'RS256' } },
      }),
    },
  },
  interactions: { url: (_ctx, { uid }) => `/login/${uid}` },
  findAccount: (_ctx, sub) => ({ accountId: sub, claims: () => ({ sub, ...user }) }),
  loadExistingGrant: grantFor,
  issueRefreshToken: () => true,
  rotateRefreshToken: () => false,
  ttl: { AccessToken: 3_600, ClientCredentials: 3_600 },
});
provider.use(async (ctx, next) => {
  if (!ctx.path.startsWith('/login/')) return next();
  ctx.respond = false;
  await provider.interactionFinished(ctx.req, ctx.res, { login: { accountId: 'bench' } });
});
createServer(provider.callback()).listen(Number(port), '127.0.0.1');
