/** Pictures as applications have them, where they have them, and what became of them here. */
import { setTimeout as pause } from 'node:timers/promises';
import sharp from 'sharp';
import type { Database } from '../../src/store/database.ts';
import { listen } from './listen.ts';

type Format = 'png' | 'jpeg' | 'webp' | 'gif';
type Colour = 'red' | 'green';

/** A picture of one colour, with half of it to be seen through where the format can. */
export const pictureOf = (width: number, height: number, format: Format = 'png', background: Colour = 'red'): Promise<Buffer> =>
  sharp({ create: { width, height, channels: 4, background }, limitInputPixels: false })
    .toFormat(format)
    .toBuffer();

export interface Answered {
  status?: number;
  headers?: Record<string, string>;
  body?: Buffer | string;
}

/** A web server with pictures by their paths, which can be changed; everything else is not found. */
export async function pictureServer(answers: Record<string, Answered>) {
  const { port, requests } = await listen((request, response) => {
    const { status = 200, headers = {}, body = '' } = answers[request.url ?? ''] ?? { status: 404 };
    response.writeHead(status, headers).end(body);
  });
  const asked = (path: string): number => requests.filter(({ url }) => url === path).length;
  return { port, asked, at: (path: string): string => `http://127.0.0.1:${port}${path}` };
}

/** A client's row once its logo was looked for. */
export async function settledLogo({ knex }: Pick<Database, 'knex'>, id: string): Promise<Record<string, unknown>> {
  for (const until = Date.now() + 30_000; Date.now() < until; await pause(20)) {
    const row = await knex('client_logos').where({ id }).whereNot({ state: 'waiting' }).first();
    if (row) return row;
  }
  throw new Error('The logo was not looked for.');
}
