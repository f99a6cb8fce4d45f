/**
 * Requests that Node gives up on before there is a request: headers beyond its limit, or no HTTP at all. It would answer
 * with a bare status line; whoever sits in front of a browser is told what to do.
 */
import type { Duplex } from 'node:stream';

const ANSWERS = {
  431: {
    reason: 'Request Header Fields Too Large',
    body: 'The address or the cookies of this request are too long. Delete the cookies of this site in your browser, and go back to the application.\n',
  },
  408: { reason: 'Request Timeout', body: 'The request took too long to arrive. Try again.\n' },
  400: { reason: 'Bad Request', body: 'This is not a request that can be read.\n' },
} as const;

/** For a server's `clientError`. */
export function answerUnreadable(error: NodeJS.ErrnoException, socket: Duplex): void {
  if (error.code === 'ECONNRESET' || !socket.writable) {
    socket.destroy();
    return;
  }
  const status = statusOf(error.code);
  const { reason, body } = ANSWERS[status];
  const head = [
    `HTTP/1.1 ${status} ${reason}`,
    'Content-Type: text/plain; charset=utf-8',
    `Content-Length: ${Buffer.byteLength(body)}`,
    'Cache-Control: no-store',
    'Connection: close',
  ];
  socket.end(`${head.join('\r\n')}\r\n\r\n${body}`);
}

function statusOf(code: string | undefined): keyof typeof ANSWERS {
  if (code === 'HPE_HEADER_OVERFLOW') return 431;
  return code === 'ERR_HTTP_REQUEST_TIMEOUT' ? 408 : 400;
}
