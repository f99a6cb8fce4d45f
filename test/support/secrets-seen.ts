/**
 * F07, over the whole suite: every secret that a test sends to a server or gets from it is remembered, and at the end of
 * the file all that the servers have logged, down to the level `trace`, is searched for them.
 *
 * Secrets are known by where they are: passwords and codes in forms, credentials in headers, cookies, tokens in answers,
 * codes in redirects, keys of apps on pages.
 */
import { atEnd } from './cleanup.ts';

const FIELDS =
  /^(password|new_password|confirm_password|code|next_code|client_secret|refresh_token|token|code_verifier|client_assertion|id_token_hint)$/;
const IN_JSON = /"(?:access_token|refresh_token|id_token|client_secret|secret|password|recoveryCodes|pass)":"([^"]{8,})"/g;
const IN_PAGES = [/class="key"[^>]*>([^<]{16,})</g, /<code[^>]*>([a-z2-7]{4}(?:-[a-z2-7]{4}){2,})<\/code>/g];
/** Shorter ones are words that tests type, and stand in many a line. */
const SHORTEST = 10;
const A_CODE = /^\d{6,8}$/;

/** Secrets as they may stand in a line. */
export class Secrets {
  readonly #words = new Set<string>();
  readonly #phrases = new Set<string>();

  get size(): number {
    return this.#words.size + this.#phrases.size;
  }

  add(secret: string): void {
    const plain = secret.trim();
    if (A_CODE.test(plain)) this.#words.add(plain);
    if (plain.length < SHORTEST) return;
    // Of a token with several parts, such as a JWT, the longest: the others say what everybody may know.
    const [longest = ''] = plain.split(/[^\w-]+/).sort((a, b) => b.length - a.length);
    if (longest.length >= SHORTEST) this.#words.add(longest);
    else this.#phrases.add(plain);
    if (/\s/.test(plain)) this.#words.add(plain.replaceAll(/\s/g, ''));
  }

  /** The lines that hold one, each with what it holds. */
  in(lines: readonly string[]): { line: string; secret: string }[] {
    return lines.flatMap((line) => {
      const word = line.split(/[^\w-]+/).find((one) => this.#words.has(one));
      const secret = word ?? [...this.#phrases].find((phrase) => line.includes(phrase));
      return secret === undefined ? [] : [{ line, secret }];
    });
  }
}

/** What this process has sent and got. */
export const secretsSeen = new Secrets();
export const secretsIn = (lines: readonly string[]): { line: string; secret: string }[] => secretsSeen.in(lines);

const logs: (readonly string[])[] = [];
let watching = false;

/** From now on these lines are searched at the end of the file. */
export function watchLog(lines: readonly string[]): void {
  watchFetch();
  if (logs.push(lines) > 1) return;
  atEnd(() => {
    const found = secretsIn(logs.flat()).slice(0, 5);
    if (found.length > 0) throw new Error(`F07 There are secrets in the log:\n${found.map(({ secret, line }) => `${secret}: ${line}`).join('\n')}`);
  });
}

/** From now on the secrets in everything that is fetched are remembered. */
export function watchFetch(): void {
  if (watching) return;
  watching = true;
  const plainFetch = globalThis.fetch;
  globalThis.fetch = async (input, init) => {
    remember(init);
    const response = await plainFetch(input, init);
    await rememberAnswer(response);
    return response;
  };
}

function remember(init: RequestInit | undefined): void {
  const headers = new Headers(init?.headers);
  const authorization = headers.get('authorization') ?? '';
  const [, credentials = ''] = /^\w+ (.+)$/.exec(authorization) ?? [];
  if (credentials.length > 15) secretsSeen.add(credentials);
  if (/^basic /i.test(authorization))
    secretsSeen.add(decodeURIComponent(Buffer.from(credentials, 'base64').toString().split(':').slice(1).join(':')));
  const body = init?.body;
  const text = body instanceof URLSearchParams ? body.toString() : typeof body === 'string' ? body : '';
  if (text.startsWith('{')) rememberJson(text);
  else for (const [name, value] of new URLSearchParams(text)) if (FIELDS.test(name)) secretsSeen.add(value);
}

async function rememberAnswer(response: Response): Promise<void> {
  for (const cookie of response.headers.getSetCookie()) secretsSeen.add(/^[^=]+=([^;]*)/.exec(cookie)?.[1] ?? '');
  const location = response.headers.get('location') ?? '';
  for (const name of ['code', 'access_token', 'id_token']) secretsSeen.add(URL.parse(location, 'http://x')?.searchParams.get(name) ?? '');
  const type = response.headers.get('content-type') ?? '';
  if (type.includes('json')) rememberJson(await response.clone().text());
  else if (type.includes('html')) {
    const html = await response.clone().text();
    for (const pattern of IN_PAGES) for (const [, secret = ''] of html.matchAll(pattern)) secretsSeen.add(secret);
  }
}

function rememberJson(text: string): void {
  for (const [, secret = ''] of text.matchAll(IN_JSON)) secretsSeen.add(secret);
}
