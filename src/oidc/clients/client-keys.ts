/**
 * Keys of clients that are fetched (`jwks_uri`), where a request shows something that was signed with one, or a certificate of
 * one (RFC 8705 section 2.2).
 *
 * The library fetches them when a signature does not verify, and never again while every signature does: a key that its
 * owner has taken away would be good for ever. So they are fetched again before they are used, when they are older than a
 * minute; sooner, when the signature names a key, or the certificate is one, that is not among them. The one is what ends a
 * lost key, the other what makes a new one known; fetching.ts bounds both.
 */
import { decodeProtectedHeader, errors } from 'jose';
import Provider, { type KoaContextWithOIDC } from 'oidc-provider';
import { SELF_SIGNED_METHOD } from '../../realms/client-credentials.ts';
import type { RealmRoom } from '../room.ts';
import { ASKED_AGAIN_MS, fetchFor } from './fetching.ts';
import { certificateOf, thumbprintOf } from './mtls.ts';

/** While their owner's server does not answer, the keys of before are believed for so long. */
const STALE_MS = 3_600_000;

type Key = { kid?: string; 'x5t#S256'?: string };

/** The library's keys of one client. */
interface KeyStore extends Iterable<Key> {
  jwksUri: string | undefined;
  /** Seconds since the epoch; the library fetches again after it. */
  freshUntil?: number | undefined;
  refresh(): Promise<void>;
  clear(): void;
}

/** Renews the keys of a client before the library uses them. */
export function installClientKeys(provider: Provider, deps: Pick<RealmRoom, 'now' | 'log' | 'context' | 'clientCertificates'>): void {
  const { now, log, context } = deps;
  const { Client } = provider;
  const find = Client.find.bind(Client);
  /** When they were fetched, and when somebody tried last. */
  const times = new WeakMap<KeyStore, { fetchedAt: number; triedAt: number }>();

  const renew = async (keys: KeyStore, isMeant: ((key: Key) => boolean) | undefined): Promise<void> => {
    const { fetchedAt, triedAt } = times.get(keys) ?? { fetchedAt: 0, triedAt: 0 };
    const isKnown = isMeant === undefined || [...keys].some(isMeant);
    if (!isKnown && now() - triedAt >= ASKED_AGAIN_MS) keys.freshUntil = undefined;
    if ((keys.freshUntil ?? 0) * 1000 > now()) return;
    const at = now();
    try {
      await keys.refresh();
      times.set(keys, { fetchedAt: at, triedAt: at });
    } catch (err) {
      times.set(keys, { fetchedAt, triedAt: at });
      if (at - fetchedAt < STALE_MS) return;
      keys.clear();
      log.warn({ realm: context.realm.name, address: keys.jwksUri, err }, 'keys of a client are too old, and there are no others');
    }
  };

  Client.find = async (id) => {
    const client = await find(id);
    const { ctx } = Provider;
    if (!client || !ctx || typeof client.jwksUri !== 'string') return client;
    fetchFor(ctx, client.clientId);
    const keys = client.asymmetricKeyStore;
    if (!isKeyStore(keys)) throw new Error('A client of the library has other keys than expected.');
    const signed = signedIn(ctx);
    if (signed !== undefined) await renew(keys, meantBy(kidOf(signed)));
    const certificate = client.clientAuthMethod === SELF_SIGNED_METHOD ? certificateOf(deps, ctx.req) : undefined;
    if (certificate) {
      const thumbprint = thumbprintOf(certificate);
      await renew(keys, (key) => key['x5t#S256'] === thumbprint);
      // Nobody answered: the library would ask by itself, and believe nothing.
      if ((keys.freshUntil ?? 0) * 1000 <= now()) keys.freshUntil = Math.ceil((now() + ASKED_AGAIN_MS) / 1000);
    }
    return client;
  };
}

/** What a request shows that a client has signed. */
function signedIn({ oidc }: KoaContextWithOIDC): string | undefined {
  const { client_assertion: assertion, request } = oidc?.params ?? {};
  const signed = assertion ?? request;
  return typeof signed === 'string' ? signed : undefined;
}

const meantBy = (kid: string | undefined) => (kid === undefined ? undefined : (key: Key): boolean => key.kid === kid);

function kidOf(signed: string): string | undefined {
  try {
    return decodeProtectedHeader(signed).kid;
  } catch (error) {
    // The library says what is wrong with it.
    if (error instanceof TypeError || error instanceof errors.JOSEError) return undefined;
    throw error;
  }
}

function isKeyStore(value: unknown): value is KeyStore {
  return typeof value === 'object' && value !== null && 'refresh' in value && 'clear' in value && Symbol.iterator in value;
}
