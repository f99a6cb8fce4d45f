/** Serves a client's logo: a picture of our own making, by the hash of what it shows, at an address that nobody guesses. */
import type Koa from 'koa';
import { notFound } from '../errors.ts';
import { say } from '../languages/messages.ts';
import { logoPicture } from '../store/client-logos.ts';
import type { Database } from '../store/database.ts';

/** `/realms/NAME/logos/CLIENT/HASH`: the client's row id, and SHA-256 of the picture. */
export const LOGOS = /^\/realms\/([^/]+)\/logos\/([0-9a-f-]{36})\/([0-9a-f]{64})$/;

/** 404 for whatever is not this very picture of that client, whether there is such a client or not. */
export async function answerLogo(ctx: Koa.Context, { knex }: Pick<Database, 'knex'>, realmId: string, [id, hash]: [string, string]): Promise<void> {
  const picture = await logoPicture(knex, realmId, id, hash);
  if (!picture) throw notFound(say('error.noPage'));
  ctx.set({
    'Cache-Control': 'public, max-age=31536000, immutable',
    'X-Content-Type-Options': 'nosniff',
    'Cross-Origin-Resource-Policy': 'same-origin',
    // Opened as a page of its own it is a picture and nothing else.
    'Content-Security-Policy': "default-src 'none'; frame-ancestors 'none'; sandbox",
  });
  ctx.type = 'image/png';
  ctx.body = picture;
}
