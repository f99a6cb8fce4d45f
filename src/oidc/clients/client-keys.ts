/**
 * Keys of clients that are fetched (`jwks_uri`), where a request shows something that was signed with one.
 *
 * The library fetches them when a signature does not verify, and never again while every signature does: a key that its
 * owner has taken away would be good for ever. So they are fetched again before they are used, when they are older than a
 * minute; sooner, when the signature names a key that is not among them. The one is what ends a lost key, the other what
 * makes a new one known; fetching.ts bounds both.
 */
import { decodeProtectedHeader, errors } from 'jose';
import Provider, { type KoaContextWithOIDC } from 'oidc-provider';
import type { RealmRoom } from '../room.ts';
import { ASKED_AGAIN_MS } from './fetching.ts';

/** While their owner's server does not answer, the keys of before are believed for so long. */
const STALE_MS = 3_600_000;

/** The library's keys of one client. */
interface KeyStore extends Iterable<{ kid?: string }> {
  jwksUri: string | undefined;
  /** Seconds since the epoch; the library fetches again after it. */
  freshUntil?: number | undefined;
  refresh(): Promise<void>;
  clear(): void;
}

export function installClientKeys(provider: Provider, { now, log, context }: Pick<RealmRoom, 'now' | 'log' | 'context'>): void {
  const { Client } = provider;
  const find = Client.find.bind(Client);
  /** When they were fetched, and when somebody tried last. */
  const times = new WeakMap<KeyStore, { fetchedAt: number; triedAt: number }>();

  const renew = async (keys: KeyStore, kid: string | undefined): Promise<void> => {
    const { fetchedAt, triedAt } = times.get(keys) ?? { fetchedAt: 0, triedAt: 0 };
    const isKnown = kid === undefined || [...keys].some((key) => key.kid === kid);
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
    const signed = client && Provider.ctx && signedIn(Provider.ctx);
    if (client && signed !== undefined && typeof client.jwksUri === 'string') {
      const keys = client.asymmetricKeyStore;
      if (!isKeyStore(keys)) throw new Error('A client of the library has other keys than expected.');
      await renew(keys, kidOf(signed));
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
