/**
 * Which pages of other origins may read an answer (Fetch standard, section 3.2), by the web origins of the client that it is
 * for. An answer that is for no client that we know is for no page either.
 *
 * Nothing that is answered this way looks at a cookie. Credentials are allowed all the same to origins that are named,
 * because keycloak-js sends its requests with them, and a browser then keeps from it every answer that does not allow them.
 */
import type Koa from 'koa';
import { accessFrom } from '../realms/web-origins.ts';

type Registered = Parameters<typeof accessFrom>[0];

/** Seconds that a browser may remember what it was told before a request. */
const PREFLIGHT_MAX_AGE = 3600;
/** Headers of ours that a page may read besides the usual: why it was refused, how long to wait, what to prove next (RFC 9449 section 8), and where it stands in the log. */
const EXPOSED = 'WWW-Authenticate, Retry-After, DPoP-Nonce, X-Request-Id';

/** Takes back what was said of it so far, and says it anew. */
export function allowPages(ctx: Koa.Context, client: Registered | undefined): void {
  ctx.vary('Origin');
  for (const name of ['Allow-Origin', 'Allow-Credentials', 'Expose-Headers']) ctx.remove(`Access-Control-${name}`);
  const origin = ctx.get('Origin');
  const access = client && origin !== '' ? accessFrom(client, origin) : undefined;
  if (access === undefined) return;
  ctx.set('Access-Control-Allow-Origin', access === 'named' ? origin : '*');
  if (access === 'named') ctx.set('Access-Control-Allow-Credentials', 'true');
  ctx.set('Access-Control-Expose-Headers', EXPOSED);
}

/**
 * Answers the question that a browser asks before a request. It does not say whose client the request will be of, so every
 * origin may ask; what it then reads, the answer itself says.
 */
export function answerPreflight(ctx: Koa.Context, methods: readonly string[]): void {
  ctx.vary('Origin');
  ctx.status = 204;
  const origin = ctx.get('Origin');
  if (origin === '' || ctx.get('Access-Control-Request-Method') === '') {
    ctx.set('Allow', methods.join(', '));
    return;
  }
  ctx.set({
    'Access-Control-Allow-Origin': origin,
    'Access-Control-Allow-Methods': methods.join(', '),
    'Access-Control-Max-Age': String(PREFLIGHT_MAX_AGE),
  });
  if (origin !== 'null') ctx.set('Access-Control-Allow-Credentials', 'true');
  const headers = ctx.get('Access-Control-Request-Headers');
  if (headers !== '') {
    ctx.vary('Access-Control-Request-Headers');
    ctx.set('Access-Control-Allow-Headers', headers);
  }
}
