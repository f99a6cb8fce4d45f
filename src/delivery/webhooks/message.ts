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
import { fromJson } from '../../store/rows.ts';
import type { Dispatch } from '../../store/webhook-deliveries.ts';
import { type WebhookRow, webhookSeal } from '../../store/webhooks.ts';
import { post, type Send, type Sent } from '../post.ts';

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
function signedHeaders(secrets: WebhookSecrets, message: { id: string; body: string }, at: number): Record<string, string> {
  const timestamp = String(Math.floor(at / 1000));
  const signatures = secrets
    .filter(({ until }) => until === null || until > at)
    .map(({ secret }) => {
      const key = Buffer.from(secret.slice('whsec_'.length), 'base64');
      return `v1,${createHmac('sha256', key).update(`${message.id}.${timestamp}.${message.body}`, 'utf8').digest('base64')}`;
    });
  return { 'webhook-id': message.id, 'webhook-timestamp': timestamp, 'webhook-signature': signatures.join(' ') };
}

/** Sends a message. Never throws for what the other side does. */
export function sendMessage(send: Send, to: { url: string; secrets: WebhookSecrets }, message: Message, at: number): Promise<Sent> {
  const body = JSON.stringify(message);
  const headers = {
    'content-type': 'application/json',
    'user-agent': 'Cardea-Webhooks',
    ...signedHeaders(to.secrets, { id: message.id, body }, at),
  };
  return post(send, to.url, { headers, body }, (status) => ({ ok: status >= 200 && status < 300, gone: status === 410 }));
}
