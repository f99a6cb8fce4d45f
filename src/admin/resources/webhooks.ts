/**
 * Webhooks of a realm: where its events are told. The secret by which a receiver knows that it is us is made here and shown
 * once; after a rotation the one before is good for another day.
 */
import { randomUUID } from 'node:crypto';
import { z } from 'zod';
import type { Send, Sent } from '../../delivery/post.ts';
import { newSecret, sealedSecrets, secretsIn, sendMessage } from '../../delivery/webhooks/message.ts';
import { PATTERN } from '../../delivery/webhooks/patterns.ts';
import { AppError, badInput, conflict, notFound } from '../../errors.ts';
import { lockRealm, type RealmRow } from '../../store/realms.ts';
import { abandonDeliveries, retryDelivery } from '../../store/webhook-deliveries.ts';
import { countWebhooks, deleteWebhook, insertWebhook, listWebhooks, updateWebhook, type WebhookRow, webhookById } from '../../store/webhooks.ts';
import { audit, type Operator, plainText, validated } from './context.ts';

/** Each of them hears of every event that it wants. */
const MOST_WEBHOOKS = 20;
/** Time enough to give a new secret to the other side. */
const OLD_SECRET_MS = 24 * 3_600_000;

const terms = z.object({
  url: z.string().min(1).max(2_000),
  description: z.union([z.literal(''), plainText(300)]).default(''),
  /** Types, or the beginnings of several. */
  events: z
    .array(z.string().max(100).regex(PATTERN, 'must be a type, such as login.failed, the beginning of several, such as mfa.*, or * for all'))
    .min(1)
    .max(50),
  enabled: z.boolean().default(true),
});
export type NewWebhook = z.input<typeof terms>;

const changes = z.object({ ...terms.shape, description: terms.shape.description.unwrap(), enabled: z.boolean() }).partial();
export type WebhookChanges = z.input<typeof changes>;

/** A webhook as it is shown. */
export type ShownWebhook = Omit<WebhookRow, 'secrets'>;
export const withoutSecrets = ({ secrets: _sealed, ...shown }: WebhookRow): ShownWebhook => shown;

export const allWebhooks = async ({ db }: Pick<Operator, 'db'>, realm: RealmRow): Promise<ShownWebhook[]> =>
  (await listWebhooks(db.knex, realm.id)).map(withoutSecrets);

/** @throws AppError 404 when the realm has none of this id */
export async function webhookOfRealm({ db }: Pick<Operator, 'db'>, realm: RealmRow, id: string): Promise<WebhookRow> {
  const row = await webhookById(db.knex, realm.id, id);
  if (!row) throw notFound('Webhook not found');
  return row;
}

/**
 * @param requireFetchable refuses an address that the server would not call; it throws an AppError
 * @throws AppError 400 naming the field, 409 when the realm has as many as it may
 */
export async function createWebhook(
  operator: Operator,
  realm: RealmRow,
  input: NewWebhook,
  requireFetchable: (url: string) => void,
): Promise<{ webhook: ShownWebhook; secret: string }> {
  const { url, description, events, enabled } = validated(terms, input);
  requireUrl(url, requireFetchable);
  const { db, keyring, now } = operator;
  const key = { realmId: realm.id, id: randomUUID() };
  const secret = newSecret();
  const secrets = await sealedSecrets(keyring, key, [{ secret, until: null }]);
  const row: WebhookRow = { ...key, url, description, events: [...new Set(events)], secrets, enabled, dropped: 0, createdAt: now, updatedAt: now };
  await db.transaction(async (trx) => {
    await lockRealm(trx, realm.id);
    if ((await countWebhooks(trx, realm.id)) >= MOST_WEBHOOKS) throw conflict(`A realm has ${MOST_WEBHOOKS} webhooks at most.`);
    await insertWebhook(trx, row);
    await audit(
      operator,
      { realmId: realm.id },
      { type: 'webhook.created', details: { webhook: row.id, host: new URL(url).host, events: row.events } },
      trx,
    );
  });
  return { webhook: withoutSecrets(row), secret };
}

/** Changes what is given; the rest stays. What waits for one that is switched off is given up. */
export async function changeWebhook(
  operator: Operator,
  realm: RealmRow,
  id: string,
  input: WebhookChanges,
  requireFetchable: (url: string) => void,
): Promise<ShownWebhook> {
  const before = await webhookOfRealm(operator, realm, id);
  const asked = validated(changes, input);
  if (asked.url !== undefined && asked.url !== before.url) requireUrl(asked.url, requireFetchable);
  const { url = before.url, description = before.description, events = before.events, enabled = before.enabled } = asked;
  const after = { url, description, events: [...new Set(events)], enabled };
  const fields = FIELDS.filter((field) => JSON.stringify(before[field]) !== JSON.stringify(after[field]));
  if (fields.length === 0) return withoutSecrets(before);
  const { db, now } = operator;
  await db.transaction(async (trx) => {
    if (!(await updateWebhook(trx, before, after, now))) throw changedMeanwhile();
    if (before.enabled && !enabled) await abandonDeliveries(trx, before, now);
    await audit(operator, { realmId: realm.id }, { type: 'webhook.updated', details: { webhook: id, host: new URL(url).host, fields } }, trx);
  });
  return withoutSecrets({ ...before, ...after, updatedAt: now });
}

const FIELDS = ['url', 'description', 'events', 'enabled'] as const;

export async function removeWebhook(operator: Operator, realm: RealmRow, id: string): Promise<void> {
  await operator.db.transaction(async (trx) => {
    if (!(await deleteWebhook(trx, realm.id, id))) throw notFound('Webhook not found');
    await audit(operator, { realmId: realm.id }, { type: 'webhook.deleted', details: { webhook: id } }, trx);
  });
}

/** A new secret, shown here and never again. Messages are signed by the one before, too, for another day. */
export async function rotateSecret(operator: Operator, realm: RealmRow, id: string): Promise<{ secret: string; oldUntil: number }> {
  const { db, keyring, now } = operator;
  const before = await webhookOfRealm(operator, realm, id);
  const [newest] = await secretsIn(keyring, before);
  const secret = newSecret();
  const oldUntil = now + OLD_SECRET_MS;
  const secrets = await sealedSecrets(keyring, before, [{ secret, until: null }, ...(newest ? [{ secret: newest.secret, until: oldUntil }] : [])]);
  await db.transaction(async (trx) => {
    if (!(await updateWebhook(trx, before, { secrets }, now))) throw changedMeanwhile();
    await audit(operator, { realmId: realm.id }, { type: 'webhook.secret-rotated', details: { webhook: id } }, trx);
  });
  return { secret, oldUntil };
}

/** Sends a message of type `webhook.test` now, and says how that ended; nothing is tried again. */
export async function testWebhook(operator: Operator, realm: RealmRow, id: string, send: Send): Promise<Sent & { ms: number }> {
  const { keyring, actor, now } = operator;
  const webhook = await webhookOfRealm(operator, realm, id);
  const secrets = await secretsIn(keyring, webhook);
  const message = { id: randomUUID(), type: 'webhook.test', realm: realm.name, at: new Date(now).toISOString() };
  const begun = performance.now();
  const sent = await sendMessage(
    send,
    { url: webhook.url, secrets },
    { ...message, actor, subject: null, client: null, details: { webhook: id } },
    now,
  );
  return { ...sent, ms: Math.round(performance.now() - begun) };
}

/** Has a message that was given up sent once more; 404 for any other. */
export async function retry(operator: Pick<Operator, 'db' | 'now'>, realm: RealmRow, id: string, delivery: string): Promise<void> {
  const webhook = await webhookOfRealm(operator, realm, id);
  if (!webhook.enabled) throw conflict('The webhook is switched off.');
  if (!(await retryDelivery(operator.db.knex, webhook, delivery, operator.now))) throw notFound('There is no such message that was given up.');
}

function requireUrl(url: string, requireFetchable: (url: string) => void): void {
  try {
    requireFetchable(url);
  } catch (error) {
    throw error instanceof AppError ? badInput('url', `url: ${error.message}`) : error;
  }
}

const changedMeanwhile = () => conflict('Somebody else has changed this webhook in this moment. Look at it, and try again.');
