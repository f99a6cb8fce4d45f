/**
 * What tokens are bound to, for grants of ours: the key of a DPoP proof (RFC 9449) or a client's certificate (RFC 8705).
 *
 * The library looks at proofs, nonces and certificates, and at what a client has to have of them, in its own grants alone, and
 * offers that look to nobody. One written here would differ from it one day. So its grant of client credentials is run up to the
 * token that it would save, in a context of its own: that token is bound as the request proves, and nothing else is made of it.
 */
import Provider, { errors, type KoaContextWithOIDC, type TokenEndpointGrantContext } from 'oidc-provider';
import { certificateOf, thumbprintOf } from '../clients/mtls.ts';
import type { RealmRoom } from '../room.ts';

const LOOKS = 'client_credentials';
/** Stands where the token would, in an answer that nobody gets. */
const NOT_SAVED = 'not saved';

/** The library's own grants, which take any context of its. */
interface Look {
  run(ctx: KoaContextWithOIDC): unknown;
}

const looks = new WeakMap<Provider, Look>();

/** The library's Provider, which tells what it has of grants itself while it is built. */
export class BindingProvider extends Provider {
  override registerGrantType<Params extends object>(
    name: string,
    handler: (ctx: TokenEndpointGrantContext<Params>) => Promise<void> | void,
    params?: string | readonly string[] | ReadonlySet<string>,
    duplicates?: string | readonly string[] | ReadonlySet<string>,
  ): void {
    if (name === LOOKS) looks.set(this, { run: handler });
    super.registerGrantType(name, handler, params, duplicates);
  }
}

/** What a token is bound to: at most one of both (the library takes no two). */
export interface Binding {
  jkt?: string | undefined;
  'x5t#S256'?: string | undefined;
}

/** What a request proves that its sender has. */
export interface Proved {
  /** What the library binds the tokens of this request to. */
  binding: Binding;
  /** The thumbprint of the certificate that it came with, be tokens of this client bound to certificates or not. */
  certificate: string | undefined;
}

/**
 * Looks at the proof and the certificate of a request for tokens, and uses the proof up.
 * @throws invalid_dpop_proof, use_dpop_nonce; invalid_grant for a proof that was used, and where the client has to have what it has not
 */
export async function provedBy(room: Pick<RealmRoom, 'clientCertificates'>, ctx: KoaContextWithOIDC): Promise<Proved> {
  const look = looks.get(ctx.oidc.provider);
  if (!look) throw new Error('The library registers its grants in another way than expected.');
  let binding: Binding | undefined;
  const oidc: KoaContextWithOIDC['oidc'] = Object.create(ctx.oidc, {
    // Neither scopes nor resources: what the tokens are for is no part of it.
    params: { value: { resource: [] } },
    resourceServers: { value: {} },
    entity: {
      value(_name: string, token: Binding & { save(): Promise<string> }) {
        const { jkt, 'x5t#S256': x5t } = token;
        binding = { ...(jkt === undefined ? {} : { jkt }), ...(x5t === undefined ? {} : { 'x5t#S256': x5t }) };
        token.save = async () => NOT_SAVED;
      },
    },
  });
  await look.run(Object.create(ctx, { oidc: { value: oidc }, body: { value: undefined, writable: true } }));
  if (!binding) throw new Error('The library makes its tokens in another way than expected.');
  const certificate = certificateOf(room, ctx.req);
  return { binding, certificate: certificate && thumbprintOf(certificate) };
}

/** Whether a token is worth something only with a key or a certificate. */
export const isBound = ({ jkt, 'x5t#S256': x5t }: Binding): boolean => jkt !== undefined || x5t !== undefined;

/** Whether the sender of a request has all that a token is bound to. */
export const isProved = ({ binding, certificate }: Proved, { jkt, 'x5t#S256': x5t }: Binding): boolean =>
  (jkt === undefined || jkt === binding.jkt) && (x5t === undefined || x5t === certificate);

/**
 * What a token is bound to that is made of others: what was bound stays bound, to what this request proves.
 * @param shown the tokens that it is made of
 * @throws invalid_request where one of these is bound and this one would not be
 */
export function bindingOf({ binding, certificate }: Proved, shown: readonly Binding[]): Binding {
  if (isBound(binding) || !shown.some(isBound)) return binding;
  if (certificate !== undefined && shown.some((token) => token['x5t#S256'] === certificate)) return { 'x5t#S256': certificate };
  throw new errors.InvalidRequest('what is made of a token that is bound to a key is bound to one too: send a DPoP proof');
}
