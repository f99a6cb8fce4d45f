/**
 * One message to a webhook, signed as Standard Webhooks has it (https://www.standardwebhooks.com), so that receivers use
 * the libraries that there are:
 *
 *     webhook-id          the event, the same however often it is sent
 *     webhook-timestamp   seconds since the epoch, of this attempt
 *     webhook-signature   v1,base64(HMAC-SHA-256(secret, id.timestamp.body)), one for each secret that is good now
 *
 * The body says what the audit says, without where from: no address, no browser, and never a secret, for the audit has none.
 */
import { createHmac, randomBytes } from 'node:crypto';
import { z } from 'zod';
import type { Keyring } from '../../crypto/keyring.ts';
import { AppError } from '../../errors.ts';
import { fromJson } from '../../store/rows.ts';
import type { Dispatch } from '../../store/webhook-deliveries.ts';
import { type WebhookRow, webhookSeal } from '../../store/webhooks.ts';

/** The guarded client, as far as it is needed here. */
export type Send = (
  url: string,
  init: { method: 'POST'; headers: Record<string, string>; body: string; timeoutMs: number; maxBytes: number },
) => Promise<{ status: number }>;

export interface Message {
  id: string;
  type: string;
  realm: string;
  /** ISO 8601. */
  at: string;
  actor: string | null;
  subject: string | null;
  client: string | null;
  details: unknown;
}

/** What a sign-in was decided from is for the dry run of a policy, and says much about a person. */
const OURS_ALONE: readonly string[] = ['inputs'];

export function messageOf({ event, realmName }: Pick<Dispatch, 'event' | 'realmName'>): Message {
  const details = fromJson(z.record(z.string(), z.unknown()), event.details, `audit row ${event.id}`);
  return {
    id: event.id,
    type: event.type,
    realm: realmName,
    at: new Date(event.at).toISOString(),
    actor: event.actor,
    subject: event.subject,
    client: event.clientId,
    details: Object.fromEntries(Object.entries(details).filter(([name]) => !OURS_ALONE.includes(name))),
  };
}

const secretsSchema = z
  .array(
    z.object({ secret: z.string().startsWith('whsec_'), /** Not good any more from then on; null for the newest. */ until: z.number().nullable() }),
  )
  .min(1)
  .max(2);
export type WebhookSecrets = z.output<typeof secretsSchema>;

/** As the libraries take it: 256 bits in base64 after a prefix. */
export const newSecret = (): string => `whsec_${randomBytes(32).toString('base64')}`;

export const sealedSecrets = (keyring: Keyring, row: { realmId: string; id: string }, secrets: WebhookSecrets): Promise<string> =>
  keyring.seal(webhookSeal(row), JSON.stringify(secrets));

export const secretsIn = async (keyring: Keyring, row: Pick<WebhookRow, 'realmId' | 'id' | 'secrets'>): Promise<WebhookSecrets> =>
  fromJson(secretsSchema, await keyring.openText(webhookSeal(row), row.secrets), `webhook ${row.id}`);

/** @param at milliseconds since the epoch */
export function signedHeaders(secrets: WebhookSecrets, message: { id: string; body: string }, at: number): Record<string, string> {
  const timestamp = String(Math.floor(at / 1000));
  const signatures = secrets
    .filter(({ until }) => until === null || until > at)
    .map(({ secret }) => {
      const key = Buffer.from(secret.slice('whsec_'.length), 'base64');
      return `v1,${createHmac('sha256', key).update(`${message.id}.${timestamp}.${message.body}`, 'utf8').digest('base64')}`;
    });
  return { 'webhook-id': message.id, 'webhook-timestamp': timestamp, 'webhook-signature': signatures.join(' ') };
}

/** How an attempt ended. `gone`: it is of no use to try again. */
export interface Sent {
  ok: boolean;
  status: number | null;
  error: string | null;
  gone: boolean;
}

/** Whoever needs longer answers first and works then. Milliseconds. */
const TIMEOUT_MS = 10_000;
/** Nobody reads the answer. */
const MAX_ANSWER_BYTES = 64 * 1024;

/**
 * Sends a message. Never throws for what the other side does; what cannot be reached and what may not be reached look
 * alike, or an administrator of one realm could look around in our network.
 */
export async function sendMessage(send: Send, to: { url: string; secrets: WebhookSecrets }, message: Message, at: number): Promise<Sent> {
  const body = JSON.stringify(message);
  const headers = {
    'content-type': 'application/json',
    'user-agent': 'Cardea-Webhooks',
    ...signedHeaders(to.secrets, { id: message.id, body }, at),
  };
  try {
    const { status } = await send(to.url, { method: 'POST', headers, body, timeoutMs: TIMEOUT_MS, maxBytes: MAX_ANSWER_BYTES });
    const ok = status >= 200 && status < 300;
    return { ok, status, error: ok ? null : `answered ${status}`, gone: status === 410 };
  } catch (error) {
    if (!(error instanceof AppError)) throw error;
    return { ok: false, status: null, error: REASONS[error.code] ?? 'failed', gone: error.code === 'outbound_refused' };
  }
}

const REASONS: Readonly<Record<string, string>> = {
  outbound_refused: 'the address may not be called',
  outbound_unreachable: 'cannot be reached',
  outbound_failed: 'no answer that can be used',
};
