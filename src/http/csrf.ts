/** Did one of our own pages send this request? Asked of every POST that comes from a browser. */
import type { IncomingHttpHeaders } from 'node:http';

/**
 * Whether the browser says that the request was made by a page of ours. A page of somebody else can make a browser post
 * here with our cookies, but cannot make it lie about where the request comes from (OWASP, "verifying origin").
 *
 * Browsers send Origin with every POST. Where a privacy tool took it away, Sec-Fetch-Site counts, and without both the
 * Referer. What says nothing is refused, and so is a sandboxed page (`Origin: null`) and an Origin that was sent twice,
 * which Node joins by a comma.
 * @param origin ours, as the settings have it
 */
export function sameOrigin(headers: IncomingHttpHeaders, origin: string): boolean {
  if (headers.origin !== undefined) return headers.origin === origin;
  const site = headers['sec-fetch-site'];
  if (site !== undefined) return site === 'same-origin';
  return headers.referer !== undefined && URL.parse(headers.referer)?.origin === origin;
}
