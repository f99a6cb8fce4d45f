/**
 * A custom factor as a webhook: a service of yours that Cardea asks. This one rings a pager, which here is a line on
 * standard output.
 *
 *     FACTOR_SECRET=… PORT=8090 npx node examples/custom-factor/receiver.ts
 *
 * What matters is `isFromCardea` and `signed`: a request that Cardea did not sign, or that was seen before, is refused, and
 * an answer is signed for that one request. On the internet a proxy in front of this ends TLS.
 */
import { createHash, createHmac, randomInt, timingSafeEqual } from 'node:crypto';
import { createServer, type IncomingHttpHeaders, type Server } from 'node:http';

export interface ReceiverOptions {
  /** As `cardea factor add-webhook` has printed it. */
  secret: string;
  /** Rings somebody's pager. */
  page(username: string, code: string): void;
}

/** What this service reads of a request; docs/custom-factors.md has all of it. */
interface Asked {
  event: 'init' | 'check';
  challenge: string;
  user: { username: string };
  input?: string;
}

const CLOCKS_DIFFER_SECONDS = 300;

export function createReceiver({ secret, page }: ReceiverOptions): Server {
  // With more than one process both belong into a database.
  const codes = new Remembered<string>();
  const nonces = new Remembered<true>();

  /** What this factor is; the rest of the file is the same for every one. */
  function answerTo({ event, challenge, user, input }: Asked): object {
    if (event === 'init') {
      // Cardea may ask again for a challenge, when our answer got lost: the pager shows the same code.
      const code = codes.get(challenge) ?? String(randomInt(1_000_000)).padStart(6, '0');
      codes.set(challenge, code);
      page(user.username, code);
      return { message: 'Look at your pager.', label: 'Code', inputmode: 'numeric' };
    }
    const code = codes.get(challenge);
    if (code === undefined) return { ok: false, reason: 'expired' };
    if (!equal(code, (input ?? '').replaceAll(' ', ''))) return { ok: false, reason: 'wrong' };
    codes.delete(challenge);
    return { ok: true };
  }

  return createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      const body = Buffer.concat(chunks).toString();
      const nonce = headerOf(request.headers, 'cardea-nonce');
      if (!isFromCardea(secret, request.headers, body) || nonces.get(nonce)) return void response.writeHead(401).end();
      nonces.set(nonce, true);
      const answer = JSON.stringify(answerTo(JSON.parse(body)));
      response.writeHead(200, signed(secret, nonce, answer)).end(answer);
    });
  });
}

/** During a rotation there are two signatures, one for each secret. */
function isFromCardea(secret: string, headers: IncomingHttpHeaders, body: string): boolean {
  const timestamp = headerOf(headers, 'cardea-timestamp');
  if (!(Math.abs(Number(timestamp) - Date.now() / 1000) < CLOCKS_DIFFER_SECONDS)) return false;
  const right = mac(secret, ['cardea-request-v1', timestamp, headerOf(headers, 'cardea-nonce'), body]);
  return headerOf(headers, 'cardea-signature')
    .split(',')
    .some((signature) => equal(signature, right));
}

function signed(secret: string, nonce: string, body: string): Record<string, string> {
  const timestamp = String(Math.floor(Date.now() / 1000));
  return {
    'content-type': 'application/json',
    'cardea-timestamp': timestamp,
    'cardea-signature': mac(secret, ['cardea-answer-v1', timestamp, nonce, body]),
  };
}

const mac = (secret: string, lines: string[]): string => `v1=${createHmac('sha256', secret).update(lines.join('\n')).digest('hex')}`;

/** Things by name, for as long as a timestamp is believed, which is longer than a challenge is good for. */
class Remembered<T> extends Map<string, T> {
  override set(name: string, value: T): this {
    setTimeout(() => this.delete(name), 2 * CLOCKS_DIFFER_SECONDS * 1000).unref();
    return super.set(name, value);
  }
}

const headerOf = (headers: IncomingHttpHeaders, name: string): string => String(headers[name] ?? '');
const digest = (text: string): Buffer => createHash('sha256').update(text).digest();
const equal = (a: string, b: string): boolean => timingSafeEqual(digest(a), digest(b));

if (import.meta.main) {
  const { FACTOR_SECRET: secret = '', PORT = '8090' } = process.env;
  if (secret === '') throw new Error('FACTOR_SECRET is missing: cardea factor add-webhook prints it.');
  createReceiver({ secret, page: (username, code) => console.log(`The pager of ${username} shows ${code}`) }).listen(Number(PORT), '127.0.0.1', () =>
    console.log(`Waiting for Cardea at http://localhost:${PORT}/mfa`),
  );
}
