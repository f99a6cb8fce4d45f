/**
 * The document behind a `sector_identifier_uri`: a JSON array of every address that the application's users come back to
 * (OpenID Connect Dynamic Client Registration 1.0 section 5). Subjects are the same for all applications of a realm, so that
 * nothing is derived from it; an application that names one is held to it.
 */
import { z } from 'zod';
import { AppError, badInput, tooMany } from '../../errors.ts';
import type { FetchGuarded } from '../../http/guarded-client.ts';
import { Pace } from '../../http/pace.ts';
import type { ClientMetadata } from './registration-metadata.ts';

const FIELD = 'sector_identifier_uri';
const addresses = z.array(z.string());
const MINUTE_SECONDS = 60;
/**
 * How often one process asks one host in a minute, whoever registers: a registration that is refused spends no token, so
 * that whoever has one could make us hammer somebody (test/attacks, E09).
 */
const hosts = new Pace({ most: 60, withinMs: MINUTE_SECONDS * 1000, now: () => Date.now() });

/** @throws AppError 400 where the document cannot be had, or does not name every redirect URI; 429 where its host was asked too often */
export async function checkSector(fetch: FetchGuarded, { sector_identifier_uri: uri, redirect_uris: redirects = [] }: ClientMetadata): Promise<void> {
  if (uri === undefined) return;
  if (!hosts.take(URL.parse(uri)?.host ?? ''))
    throw tooMany(`${FIELD}: its host was asked too often just now; wait as long as Retry-After says`, MINUTE_SECONDS);
  const named = await addressesAt(fetch, uri);
  const missing = redirects.find((redirect) => !named.includes(redirect));
  if (missing !== undefined) throw badInput(FIELD, `${FIELD}: the document does not name the redirect URI ${missing}`);
}

async function addressesAt(fetch: FetchGuarded, uri: string): Promise<readonly string[]> {
  try {
    const { status, body } = await fetch(uri);
    if (status === 200) return addresses.parse(JSON.parse(body.toString()));
  } catch (error) {
    // What an address is refused for is said; what was found behind it is not.
    if (error instanceof AppError) throw badInput(FIELD, `${FIELD}: ${error.message}`);
    if (!(error instanceof SyntaxError) && !(error instanceof z.ZodError)) throw error;
  }
  throw badInput(FIELD, `${FIELD}: there is no JSON array of addresses at it`);
}
