/** The way on after a form, and from any page to another. */
import type Koa from 'koa';

/**
 * Sends the browser elsewhere by a GET, whatever it came with: 303 See Other (RFC 9110 section 15.4.4). After 302 and 307 a
 * browser may, or has to, post a password or a code once more to where it is sent.
 *
 * @param location ours, or one that was found to be registered
 */
export function redirectTo(ctx: Pick<Koa.Context, 'status' | 'redirect'>, location: string): void {
  ctx.status = 303;
  ctx.redirect(location);
}
