/**
 * Text messages, by Twilio's own SDK. It is loaded with the first message (3.5 MB of heap, a good tenth of a second): most
 * installations never send one.
 */
import type { RequestClient, Twilio } from 'twilio';
import type { SmsAccount } from '../config/delivery.ts';
import { type Address, type Channel, DeliveryError, type Message } from './channel.ts';

/** Milliseconds. */
const REQUEST_MS = 8_000;
const SOCKETS = 5;
/** Seconds that Twilio may hold a message for (https://www.twilio.com/docs/messaging/api/message-resource). */
const VALIDITY = { least: 1, most: 36_000 };

/**
 * Errors that another try does not mend: no such number, a country that the account does not send to, a landline, and a
 * person who asked not to be written to (https://www.twilio.com/docs/api/errors).
 */
const PERMANENT = new Set([21211, 21214, 21217, 21265, 21408, 21421, 21601, 21610, 21612, 21614, 21635]);

/**
 * What sends by the account.
 * @param connect makes the SDK's HTTP client; tests hand in one that goes elsewhere
 */
export function createTwilio(account: SmsAccount, connect?: () => Promise<RequestClient>): Channel {
  let client: Promise<Twilio> | undefined;
  const load = async (): Promise<Twilio> => {
    const { default: twilio } = await import('twilio');
    const httpClient = (await connect?.()) ?? new twilio.RequestClient({ timeout: REQUEST_MS, keepAlive: true, maxSockets: SOCKETS });
    // Nothing of it comes from the environment of this process.
    return twilio(account.accountSid, account.authToken, { httpClient, lazyLoading: true, autoRetry: false, env: {} });
  };

  return {
    id: 'twilio',
    keeps: false,
    async deliver(to: Address, message: Message, signal: AbortSignal) {
      if (to.kind !== 'sms') throw new DeliveryError('no-address', { permanent: true });
      client ??= load();
      const sending = client.then((twilio) =>
        twilio.messages.create({
          to: to.value,
          body: message.text,
          ...('from' in account.sender ? { from: account.sender.from } : { messagingServiceSid: account.sender.messagingService }),
          ...(message.validMs === null
            ? {}
            : { validityPeriod: Math.min(VALIDITY.most, Math.max(VALIDITY.least, Math.floor(message.validMs / 1000))) }),
        }),
      );
      try {
        await Promise.race([sending, aborted(signal)]);
      } catch (error) {
        // Nobody may be listening any more.
        sending.catch(() => undefined);
        throw failureOf(error);
      }
    },
    close: () => undefined,
  };
}

/** The SDK takes no signal: whoever waits stops waiting, and the request ends by its own timeout. */
function aborted(signal: AbortSignal): Promise<never> {
  return new Promise((_, reject) => {
    const stop = (): void => reject(new DeliveryError('ETIMEDOUT', { permanent: false }));
    if (signal.aborted) stop();
    else signal.addEventListener('abort', stop, { once: true });
  });
}

/** The SDK's errors carry Twilio's number and the HTTP status; their text names the number that was written to. */
function failureOf(error: unknown): DeliveryError {
  if (error instanceof DeliveryError) return error;
  if (!(error instanceof Error)) return new DeliveryError('fault', { permanent: false, cause: error });
  const code = 'code' in error && (typeof error.code === 'number' || typeof error.code === 'string') ? error.code : error.name;
  const status = 'status' in error && typeof error.status === 'number' ? error.status : undefined;
  const said = [status, code].filter((part) => part !== undefined).join(' ');
  return new DeliveryError(said, { permanent: typeof code === 'number' && PERMANENT.has(code), cause: error });
}
