/** Where an application is at home, for a link on a page of ours. */

/**
 * An http or https address, or null. What is stored may have come from an import and be anything: a browser would run
 * `javascript:` as code of this page.
 */
export function homeOf(client: { baseUrl: string | null }): string | null {
  const url = client.baseUrl === null ? null : URL.parse(client.baseUrl);
  return url?.protocol === 'https:' || url?.protocol === 'http:' ? url.href : null;
}
