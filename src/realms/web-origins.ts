/** Where pages of a client may call from. */

/** The origins of a client; `+` stands for those of its redirect URIs. */
export function webOriginsOf(row: { webOrigins: string[]; redirectUris: string[] }): string[] {
  const origins = row.webOrigins.flatMap((origin) =>
    origin === '+' ? row.redirectUris.flatMap((uri) => (URL.canParse(uri) ? [new URL(uri).origin] : [])) : [origin],
  );
  return [...new Set(origins.filter((origin) => origin !== 'null'))];
}

/** Whether pages of that origin may call; `*` stands for every origin: what they call goes by tokens, and no cookie. */
export const isWebOriginOf = (row: { webOrigins: string[]; redirectUris: string[] }, origin: string): boolean =>
  row.webOrigins.includes('*') || webOriginsOf(row).includes(origin);
