/**
 * The document behind a `sector_identifier_uri`: a JSON array of every address that the application's users come back to
 * (OpenID Connect Dynamic Client Registration 1.0 section 5). Subjects are the same for all applications of a realm, so that
 * nothing is derived from it; an application that names one is held to it.
 */
import { z } from 'zod';
import { AppError, badInput } from '../../errors.ts';
import type { FetchGuarded } from '../../http/guarded-client.ts';
import type { ClientMetadata } from './registration-metadata.ts';

const FIELD = 'sector_identifier_uri';
const addresses = z.array(z.string());

/** @throws AppError 400 where the document cannot be had, or does not name every redirect URI */
export async function checkSector(fetch: FetchGuarded, { sector_identifier_uri: uri, redirect_uris: redirects = [] }: ClientMetadata): Promise<void> {
  if (uri === undefined) return;
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
