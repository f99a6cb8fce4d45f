/**
 * A browser without a screen or scripts, for pages that must work so: it keeps cookies, follows redirects, and sends forms
 * as they stand in the page. Cookies belong to a host whatever its port, as browsers have it.
 */

export interface Page {
  url: string;
  status: number;
  headers: Headers;
  html: string;
}

export interface Form {
  action: string;
  method: string;
  /** What would be sent if nothing were filled in. */
  fields: Record<string, string>;
  /** The names of all inputs. */
  names: string[];
  html: string;
}

export interface Cookie {
  host: string;
  path: string;
  name: string;
  value: string;
}

/** How requests are sent; `fetch` says of itself that it looks at no page, and knows the machine's certificates alone. */
export type Fetching = (url: string, init: RequestInit) => Promise<Response>;

const MOST_REDIRECTS = 20;

/** The text of an attribute or an element, with its entities resolved. */
export function unescapeHtml(text: string): string {
  const named: Record<string, string> = { amp: '&', lt: '<', gt: '>', quot: '"', apos: "'" };
  return text.replace(/&(?:#x([0-9a-f]+)|#(\d+)|(\w+));/gi, (entity, hex?: string, decimal?: string, name?: string) => {
    if (hex) return String.fromCodePoint(Number.parseInt(hex, 16));
    if (decimal) return String.fromCodePoint(Number(decimal));
    return named[name ?? ''] ?? entity;
  });
}

function attribute(tag: string, name: string): string | undefined {
  const found = new RegExp(`\\s${name}(?:="([^"]*)"|(?=[\\s>]))`, 'i').exec(tag);
  return found ? unescapeHtml(found[1] ?? '') : undefined;
}

/** The forms of a page, in order. */
export function formsOf(page: Page): Form[] {
  return [...page.html.matchAll(/<form\b[^>]*>[\s\S]*?<\/form>/gi)].map(([html]) => {
    const [open = ''] = /<form\b[^>]*>/i.exec(html) ?? [];
    const inputs = [...html.matchAll(/<input\b[^>]*>/gi)].map(([tag]) => tag);
    const fields: Record<string, string> = {};
    for (const input of inputs) {
      const name = attribute(input, 'name');
      const unchecked = /^(checkbox|radio)$/.test(attribute(input, 'type') ?? '') && attribute(input, 'checked') === undefined;
      if (name && !unchecked) fields[name] = attribute(input, 'value') ?? '';
    }
    return {
      action: new URL(attribute(open, 'action') || page.url, page.url).href,
      method: (attribute(open, 'method') ?? 'get').toUpperCase(),
      fields,
      names: inputs.flatMap((input) => attribute(input, 'name') ?? []),
      html,
    };
  });
}

export class Agent {
  #cookies: Cookie[] = [];
  readonly #headers: Record<string, string>;
  readonly #fetch: Fetching;

  /** @param headers sent with every request */
  constructor(headers: Record<string, string> = {}, fetching: Fetching = fetch) {
    this.#headers = headers;
    this.#fetch = fetching;
  }

  get(url: string): Promise<Page> {
    return this.#follow(url, { method: 'GET' }, undefined);
  }

  /** Sends a form with these fields added or changed; a button that was pressed is one of them. */
  submit(page: Page, form: Form, fields: Record<string, string> = {}): Promise<Page> {
    const body = new URLSearchParams({ ...form.fields, ...fields });
    if (form.method !== 'POST') return this.get(`${form.action.split('?')[0]}?${body}`);
    return this.#follow(form.action, { method: 'POST', body }, page.url);
  }

  /** One request, without following where it leads. */
  async request(url: string, init: RequestInit = {}): Promise<Page> {
    const { hostname, pathname } = new URL(url);
    const sent = this.#cookies.filter(({ host, path }) => host === hostname && `${pathname}/`.startsWith(path.endsWith('/') ? path : `${path}/`));
    const headers = new Headers({ ...this.#headers, accept: 'text/html', ...Object.fromEntries(new Headers(init.headers)) });
    if (sent.length > 0) headers.set('cookie', sent.map(({ name, value }) => `${name}=${value}`).join('; '));
    const response = await this.#fetch(url, { ...init, headers, redirect: 'manual' });
    for (const line of response.headers.getSetCookie()) this.#keep(hostname, line);
    return { url, status: response.status, headers: response.headers, html: await response.text() };
  }

  /** The cookies of a host, by name. */
  cookies(host: string): Record<string, string> {
    return Object.fromEntries(this.#cookies.filter((cookie) => cookie.host === host).map(({ name, value }) => [name, value]));
  }

  /** Every cookie that is kept, as an attacker with the machine would read them. */
  get jar(): readonly Cookie[] {
    return this.#cookies;
  }

  /** Puts cookies before those that are kept, as a page on a neighbouring host could; one of the same name and path is replaced. */
  plant(cookies: readonly Cookie[]): void {
    const isReplaced = (kept: Cookie) => cookies.some(({ host, path, name }) => host === kept.host && path === kept.path && name === kept.name);
    this.#cookies = [...cookies, ...this.#cookies.filter((kept) => !isReplaced(kept))];
  }

  async #follow(start: string, first: RequestInit, referrer: string | undefined): Promise<Page> {
    let init: RequestInit = referrer
      ? { ...first, headers: { origin: new URL(referrer).origin, referer: referrer, 'sec-fetch-site': 'same-origin' } }
      : first;
    let url = start;
    for (let redirects = 0; redirects <= MOST_REDIRECTS; redirects += 1) {
      const page = await this.request(url, init);
      const location = page.headers.get('location');
      if (page.status < 300 || page.status > 399 || location === null) return page;
      url = new URL(location, url).href;
      if (page.status !== 307 && page.status !== 308) init = { method: 'GET' };
    }
    throw new Error(`More than ${MOST_REDIRECTS} redirects, the last to ${url}`);
  }

  #keep(host: string, line: string): void {
    const [pair = '', ...attributes] = line.split(/;\s*/);
    const [name = '', value = ''] = pair.split(/=(.*)/s);
    const get = (wanted: string) => attributes.find((text) => text.toLowerCase().startsWith(`${wanted}=`))?.slice(wanted.length + 1);
    const path = get('path') ?? '/';
    this.#cookies = this.#cookies.filter((cookie) => cookie.host !== host || cookie.path !== path || cookie.name !== name);
    const age = get('max-age');
    const expires = get('expires');
    const over = age !== undefined ? Number(age) <= 0 : expires !== undefined && Date.parse(expires) <= Date.now();
    if (!over) this.#cookies.push({ host, path, name, value });
  }
}
