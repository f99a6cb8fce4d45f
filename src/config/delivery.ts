/**
 * The accounts that mails and text messages are sent by: their shapes, and the settings that name those of the
 * installation. A realm may have accounts of its own (delivery/accounts.ts), which have the same shapes.
 */
import { z } from 'zod';

/** An account at a mail server (submission, RFC 6409). */
export interface MailAccount {
  readonly host: string;
  readonly port: number;
  /** `implicit`: TLS from the first byte (RFC 8314). `required`: STARTTLS or nothing. `optional`: where it is offered. `off`: never. */
  readonly tls: 'implicit' | 'required' | 'optional' | 'off';
  readonly login: { readonly user: string; readonly password: string } | null;
  readonly from: Mailbox;
  readonly replyTo: Mailbox | null;
  /** Certificates in PEM that the server's may be signed by, instead of those that Node trusts. */
  readonly ca: string | null;
  /** An administrator of a realm chose the server: it is connected to only where the installation allows it. */
  readonly guarded?: boolean;
}

export interface Mailbox {
  /** Null stands for the display name of the realm. */
  readonly name: string | null;
  readonly address: string;
}

/** An account at Twilio. */
export interface SmsAccount {
  readonly accountSid: string;
  readonly authToken: string;
  /** A number in E.164, a short code or an alphanumeric sender id; or a messaging service, which chooses one. */
  readonly sender: { readonly from: string } | { readonly messagingService: string };
}

export interface DeliveryConfig {
  readonly mail: MailAccount | null;
  readonly sms: SmsAccount | null;
}

/** RFC 5321 section 4.5.3.1; without what would be a list, a name or another header. */
const MAILBOX = /^[^\s@,;:<>()[\]\\"\p{C}]{1,64}@[^\s@,;:<>()[\]\\"\p{C}]{1,190}$/u;

/** Reads `Name <address>` or an address alone. */
export const mailbox = z.string().transform((text, context): Mailbox => {
  const [, name, bracketed] = /^([^<>]*)<([^<>]+)>$/.exec(text.trim()) ?? [];
  const address = (bracketed ?? text).trim();
  const shownName = (name ?? '').trim().replace(/^"(.*)"$/, '$1');
  if (MAILBOX.test(address) && shownName.length <= 100 && !/\p{C}/u.test(shownName)) return { name: shownName || null, address };
  context.issues.push({ code: 'custom', message: 'is no mail address; for example Example <no-reply@example.com>', input: undefined });
  return z.NEVER;
});

/** Host names and addresses, as URL.hostname has them. */
export const mailHost = z
  .string()
  .max(253)
  .regex(/^([a-z0-9]([a-z0-9.-]*[a-z0-9])?|\[[0-9a-f:.]+\])$/i, 'is no host name');

const EXAMPLE_URL = 'for example smtp://user:password@smtp.example.com:587 or smtps://smtp.example.com';
const TLS = ['required', 'optional', 'off'] as const;
const isTls = (text: string): text is (typeof TLS)[number] => TLS.some((value) => value === text);

/** What may hold a password is never repeated. */
const smtpUrl = z.string().transform((text, context): Pick<MailAccount, 'host' | 'port' | 'tls' | 'login'> => {
  const wrong = (what: string): never => {
    context.issues.push({ code: 'custom', message: `${what}; ${EXAMPLE_URL}`, input: undefined });
    return z.NEVER;
  };
  const url = URL.parse(text);
  if (url === null || !/^smtps?:$/.test(url.protocol) || !mailHost.safeParse(url.hostname).success) {
    return wrong('is not the address of a mail server (write @ : / ? # in the password as %40 %3A %2F %3F %23)');
  }
  const { tls = null, ...others } = Object.fromEntries(url.searchParams);
  if (!/^\/?$/.test(url.pathname) || url.hash !== '' || Object.keys(others).length > 0)
    return wrong('has more than user, password, host, port and tls');
  if (tls !== null && (url.protocol === 'smtps:' || !isTls(tls))) return wrong('has a tls that is none of required, optional, off (smtps has none)');
  if ((url.username === '') !== (url.password === '')) return wrong('has a user without a password, or a password without a user');
  const login = url.username === '' ? null : { user: decoded(url.username), password: decoded(url.password) };
  if (login !== null && (login.user === undefined || login.password === undefined))
    return wrong('has a % that encodes no character; write it as %25');
  const implicit = url.protocol === 'smtps:';
  return {
    host: url.hostname,
    port: url.port === '' ? (implicit ? 465 : 587) : Number(url.port),
    tls: implicit ? 'implicit' : (tls ?? defaultTls(url.hostname)),
    login: login === null ? null : { user: login.user ?? '', password: login.password ?? '' },
  };
});

/** A password must not go over a network in clear; on the machine itself there is nobody to read it. */
export const defaultTls = (host: string): 'required' | 'optional' =>
  host === 'localhost' || /^127\.\d+\.\d+\.\d+$/.test(host) || host === '[::1]' ? 'optional' : 'required';

function decoded(part: string): string | undefined {
  try {
    return decodeURIComponent(part);
  } catch {
    return undefined;
  }
}

/** Twilio's own forms: https://www.twilio.com/docs/glossary/what-is-a-sid */
export const accountSid = z.string().regex(/^AC[0-9a-fA-F]{32}$/, 'is no account SID: AC and 32 hexadecimal digits');
export const authToken = z.string().regex(/^[\x21-\x7e]{16,128}$/, 'is no auth token: 16 to 128 visible characters');
export const messagingService = z.string().regex(/^MG[0-9a-fA-F]{32}$/, 'is no messaging service SID: MG and 32 hexadecimal digits');
export const smsSender = z
  .string()
  .regex(
    /^(\+[1-9]\d{6,14}|\d{3,8}|(?=.*[A-Za-z])[A-Za-z0-9 ]{1,11})$/,
    'is neither a number as +15005550006, nor a short code, nor a name of up to 11 letters and digits',
  );

/** The reader of config.ts, as far as it is needed here. */
interface Reader {
  read<T>(variable: string, schema: z.ZodType<T>): T | undefined;
  given(variable: string): boolean;
  complain(variable: string, what: string): void;
}

/** The installation's accounts; null where it has none. */
export function readDelivery(reader: Reader): DeliveryConfig {
  return Object.freeze({ mail: readMail(reader), sms: readSms(reader) });
}

function readMail({ read, given, complain }: Reader): MailAccount | null {
  const server = read('SMTP_URL', smtpUrl);
  const from = read('MAIL_FROM', mailbox);
  const replyTo = read('MAIL_REPLY_TO', mailbox);
  if (given('SMTP_URL') && !given('MAIL_FROM'))
    complain('MAIL_FROM', 'is missing, and SMTP_URL needs it; for example Example <no-reply@example.com>');
  if (server === undefined || from === undefined) return null;
  return Object.freeze({ ...server, from, replyTo: replyTo ?? null, ca: null });
}

function readSms({ read, given, complain }: Reader): SmsAccount | null {
  const sid = read('TWILIO_ACCOUNT_SID', accountSid);
  const token = read('TWILIO_AUTH_TOKEN', authToken);
  const from = read('TWILIO_FROM', smsSender);
  const service = read('TWILIO_MESSAGING_SERVICE', messagingService);
  const [some, whole] = [
    ['TWILIO_ACCOUNT_SID', 'TWILIO_AUTH_TOKEN', 'TWILIO_FROM', 'TWILIO_MESSAGING_SERVICE'].some(given),
    given('TWILIO_ACCOUNT_SID') && given('TWILIO_AUTH_TOKEN') && given('TWILIO_FROM') !== given('TWILIO_MESSAGING_SERVICE'),
  ];
  if (some && !whole) {
    complain(
      'TWILIO_ACCOUNT_SID',
      'and its companions are incomplete: text messages need TWILIO_ACCOUNT_SID, TWILIO_AUTH_TOKEN, and one of TWILIO_FROM and TWILIO_MESSAGING_SERVICE',
    );
  }
  if (sid === undefined || token === undefined) return null;
  if (service !== undefined) return Object.freeze({ accountSid: sid, authToken: token, sender: { messagingService: service } });
  return from === undefined ? null : Object.freeze({ accountSid: sid, authToken: token, sender: { from } });
}
