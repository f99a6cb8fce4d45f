/**
 * Keycloak's `smtpServer` and our mail account. The password is never shown; `**********` keeps it, and only for the same
 * user at the same server: whoever names another host must not have the old password sent there.
 */
import { isIP } from 'node:net';
import { z } from 'zod';
import type { MailAccount } from '../../config/delivery.ts';
import type { AllowedTarget } from '../../config/outbound.ts';
import { mailAccount } from '../../delivery/accounts.ts';
import { badInput } from '../../errors.ts';
import { allowsMailServer } from '../../http/outbound-rules.ts';
import { sameJson } from './realm-fields.ts';

export const MASK = '**********';
const FIELD = 'smtpServer';

/** Values are texts in Keycloak; numbers and booleans are taken, too. */
export const smtpServer = z.record(z.string().max(100), z.union([z.string().max(1_024), z.number(), z.boolean(), z.null()]));
export type SmtpServer = z.output<typeof smtpServer>;

/** @param given as it was written, which is shown for as long as it says the same */
export function shownMail(account: MailAccount | undefined, given: string | undefined): SmtpServer {
  if (!account) return {};
  const password: SmtpServer = account.login === null ? {} : { password: MASK };
  const written = given === undefined ? undefined : smtpServer.safeParse(JSON.parse(given)).data;
  if (written && saysTheSame({ ...written, ...password }, account)) return { ...written, ...password };
  const shown: Record<string, string | null | undefined> = {
    host: account.host,
    port: String(account.port),
    from: account.from.address,
    fromDisplayName: account.from.name,
    replyTo: account.replyTo?.address,
    replyToDisplayName: account.replyTo?.name,
    ssl: String(account.tls === 'implicit'),
    starttls: String(account.tls === 'required'),
    auth: String(account.login !== null),
    user: account.login?.user,
  };
  return { ...Object.fromEntries(Object.entries(shown).flatMap(([name, value]) => (value == null ? [] : [[name, value]]))), ...password };
}

function saysTheSame(written: SmtpServer, account: MailAccount): boolean {
  try {
    return sameJson(mailFrom(written, account), account);
  } catch {
    return false;
  }
}

/** What was written, as it may be kept: without its password. */
export const withoutPassword = ({ password: _secret, ...written }: SmtpServer): SmtpServer => written;

/** Whether this is a server at all; `{}` takes it away. */
export const namesServer = (written: SmtpServer): boolean => Object.values(written).some((value) => value !== null && value !== '');

/**
 * The account that is meant.
 * @param before the account that the realm has
 * @throws AppError 400 naming the field
 */
export function mailFrom(written: SmtpServer, before: MailAccount | undefined): MailAccount {
  const text = (name: string): string => String(written[name] ?? '').trim();
  const box = (address: string, name: string) => (text(address) === '' ? null : { name: text(name) || null, address: text(address) });
  const host = text('host').toLowerCase();
  const tls = text('ssl') === 'true' ? 'implicit' : text('starttls') === 'true' ? 'required' : 'optional';
  const port = text('port') === '' ? (tls === 'implicit' ? 465 : 25) : Number(text('port'));
  const same = before?.host === host && before.port === port;
  const account = {
    host,
    port,
    // One that was chosen on the command line says more than Keycloak's two switches.
    tls: same && tls === 'optional' && before.tls === 'off' ? 'off' : tls,
    login: text('auth') === 'true' ? loginOf(text('user'), text('password')) : null,
    from: box('from', 'fromDisplayName'),
    replyTo: box('replyTo', 'replyToDisplayName'),
    ca: same ? before.ca : null,
    ...(same && before.guarded !== true ? {} : { guarded: true }),
  };
  if (account.login && [MASK, ''].includes(account.login.password)) account.login.password = keptPassword(account, before);
  const result = mailAccount.safeParse(account);
  if (result.success) return result.data;
  const issue = result.error.issues[0];
  const field = `${FIELD}.${THEIRS[issue?.path.join('.') ?? ''] ?? String(issue?.path[0] ?? '')}`;
  throw badInput(field, `${field}: ${issue?.message ?? 'is not valid'}`);
}

/** Whoever names nobody signs in as nobody, whatever the switch says. */
const loginOf = (user: string, password: string) => (user === '' && password === '' ? null : { user, password });

const THEIRS: Readonly<Record<string, string>> = { 'from.name': 'fromDisplayName', 'login.user': 'user', 'login.password': 'password' };

/** TLS that is asked for hides the password from the network; without it the password is given anew. */
const HIDING = ['implicit', 'required'];

function keptPassword({ host, port, tls, login }: { host: string; port: number; tls: string; login: { user: string } | null }, before?: MailAccount) {
  const same = before?.host === host && before.port === port && before.login?.user === login?.user;
  if (same && before.login && (HIDING.includes(tls) || before.tls === tls)) return before.login.password;
  const field = `${FIELD}.password`;
  throw badInput(field, `${field}: has to be given again, for the server or the user is another one`);
}

/** @throws AppError 400 for an address that is no host of the internet; a name is looked at when it is connected to */
export function requireReachable({ host, port, guarded }: MailAccount, allow: readonly AllowedTarget[]): void {
  const address = host.replace(/^\[(.*)\]$/, '$1');
  if (guarded !== true || isIP(address) === 0 || allowsMailServer(allow, { host: address, port }, address)) return;
  throw badInput(`${FIELD}.host`, `${FIELD}.host: ${host} at port ${port} is allowed by the installation only (CARDEA_OUTBOUND_ALLOW)`);
}
