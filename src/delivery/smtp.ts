/**
 * Mail, by nodemailer, to the submission server of an account. Connections are kept and used again, a few at a time.
 *
 * Nothing that somebody typed becomes a header by itself: addresses are checked before they come here and handed over as
 * objects, subjects and names are one line, and nodemailer encodes and folds.
 */
import type { Socket } from 'node:net';
import type { MailAccount } from '../config/delivery.ts';
import { type Address, type Channel, DeliveryError, isMailAddress, type Message, oneLine } from './channel.ts';

/** Milliseconds for each step of a connection. A server that takes longer is one that does not answer. */
const CONNECT_MS = 5_000;
const ANSWER_MS = 10_000;
const CONNECTIONS = 3;
/** A connection is replaced after as many: some servers end them, without a word, after a hundred. */
const MESSAGES_A_CONNECTION = 50;
/** Shorter than servers wait (RFC 5321 section 4.5.3.2.7 asks for five minutes), and than firewalls remember. */
const IDLE_MS = 30_000;

/** Connects where the installation allows it, and nowhere else. */
export type ConnectGuarded = (server: { host: string; port: number }, timeoutMs: number) => Promise<Socket>;

const nowhere: ConnectGuarded = async ({ host }) => {
  throw new Error(`There is no way to ${host} from here.`);
};

/**
 * What connects to the account. Nothing is connected before the first message.
 * @param connect for an account whose server somebody else chose
 */
export function createSmtp(account: MailAccount, connect: ConnectGuarded = nowhere): Channel & { verify(): Promise<void> } {
  let opened: ReturnType<typeof transportTo> | undefined;
  const transport = () => (opened ??= transportTo(account, connect));
  return {
    id: 'smtp',
    keeps: false,
    async deliver(to: Address, message: Message, signal: AbortSignal) {
      if (to.kind !== 'mail' || !isMailAddress(to.value)) throw new DeliveryError('no-address', { permanent: true });
      try {
        await (await transport()).sendMail({
          from: { name: oneLine(account.from.name ?? message.from), address: account.from.address },
          to: { name: '', address: to.value },
          ...(account.replyTo === null ? {} : { replyTo: { name: oneLine(account.replyTo.name ?? ''), address: account.replyTo.address } }),
          subject: oneLine(message.subject),
          text: message.text,
          ...(message.html === null ? {} : { html: message.html }),
          // The same for each try, so that a mailbox which got it twice may show it once.
          messageId: `<${message.id}@${account.from.address.slice(account.from.address.lastIndexOf('@') + 1)}>`,
          // Nobody's holiday note is wanted (RFC 3834 section 5), nor a link counter's rewriting.
          headers: { 'Auto-Submitted': 'auto-generated', 'X-Auto-Response-Suppress': 'All' },
          signal,
        });
      } catch (error) {
        throw signal.aborted ? new DeliveryError('ETIMEDOUT', { permanent: false, cause: error }) : failureOf(error);
      }
    },
    async verify() {
      try {
        await (await transport()).verify();
      } catch (error) {
        throw failureOf(error);
      }
    },
    // What is being sent is sent to its end.
    close: () =>
      void opened?.then(
        (made) => made.close(),
        () => undefined,
      ),
  };
}

/** Loaded with the first message: many installations send none. */
async function transportTo(account: MailAccount, connect: ConnectGuarded) {
  const { default: nodemailer } = await import('nodemailer');
  const transport = nodemailer.createTransport({
    pool: true,
    host: account.host.replace(/^\[(.*)\]$/, '$1'),
    port: account.port,
    ...(account.guarded === true ? { getSocket: guardedSocket(account, connect) } : {}),
    secure: account.tls === 'implicit',
    requireTLS: account.tls === 'required',
    ignoreTLS: account.tls === 'off',
    tls: { minVersion: 'TLSv1.2', ...(account.ca === null ? {} : { ca: account.ca }) },
    ...(account.login === null ? {} : { auth: { user: account.login.user, pass: account.login.password } }),
    connectionTimeout: CONNECT_MS,
    greetingTimeout: CONNECT_MS,
    dnsTimeout: CONNECT_MS,
    socketTimeout: ANSWER_MS,
    maxConnections: CONNECTIONS,
    maxMessages: MESSAGES_A_CONNECTION,
    idleTimeout: IDLE_MS,
    // One more try where a kept connection turns out to be dead; otherwise whoever sends decides.
    maxRequeues: 1,
    // A message is what it says: nothing in it names a file or an address to be fetched.
    disableFileAccess: true,
    disableUrlAccess: true,
  });
  // Faults of idle connections; those of a message are thrown where it is sent.
  transport.on('error', () => undefined);
  return transport;
}

type Opened = (error: Error | null, options: { connection: Socket } | false) => void;

const guardedSocket =
  ({ host, port }: MailAccount, connect: ConnectGuarded) =>
  (_options: unknown, opened: Opened): void => {
    connect({ host: host.replace(/^\[(.*)\]$/, '$1'), port }, CONNECT_MS).then(
      (connection) => opened(null, { connection }),
      (cause: unknown) => opened(Object.assign(new Error('The mail server cannot be reached from here.', { cause }), { code: 'ECONNECTION' }), false),
    );
  };

/**
 * What went wrong, without what may hold an address or a password: the reply's number and its enhanced status code
 * (RFC 3463), or nodemailer's own code, such as EAUTH or ETIMEDOUT.
 */
function failureOf(error: unknown): DeliveryError {
  if (!(error instanceof Error)) return new DeliveryError('fault', { permanent: false, cause: error });
  const code = 'code' in error && typeof error.code === 'string' ? error.code : error.name;
  const reply = 'responseCode' in error && typeof error.responseCode === 'number' ? error.responseCode : undefined;
  const text = 'response' in error && typeof error.response === 'string' ? error.response : '';
  const enhanced = /^\d{3}[ -](\d\.\d{1,3}\.\d{1,3})\b/.exec(text)?.[1];
  const said = [code, reply, enhanced].filter((part) => part !== undefined).join(' ');
  // 5xx is for good (RFC 5321 section 4.2.1), but what an account may not do today it may tomorrow.
  return new DeliveryError(said, { permanent: reply !== undefined && reply >= 500 && code !== 'EAUTH' && code !== 'ETLS', cause: error });
}
