/** Webhooks over REST. */
import { z } from 'zod';
import { requireFetchable } from '../../http/guarded-client.ts';
import { DELIVERY_STATES, type DeliveryRow, listDeliveries } from '../../store/webhook-deliveries.ts';
import {
  allWebhooks,
  changeWebhook,
  createWebhook,
  removeWebhook,
  retry,
  rotateSecret,
  type ShownWebhook,
  testWebhook,
  webhookOfRealm,
  withoutSecrets,
} from '../resources/webhooks.ts';
import { cursorOf, cursorPaging, next, pageOf, placeOf } from './cursor.ts';
import { id, inRealm, type Operation, type RealmCall } from './operation.ts';

const tag = 'Webhooks';
const path = '/realms/{realm}/webhooks';
const VIEW = ['view-events', 'manage-events'] as const;
const MANAGE = ['manage-events'] as const;

const time = z.iso.datetime();
const webhook = z.object({
  id: z.string(),
  url: z.string(),
  description: z.string(),
  events: z.array(z.string()),
  enabled: z.boolean(),
  /** Messages that there was no room for. */
  dropped: z.number().int(),
  createdAt: time,
  updatedAt: time,
});
const made = webhook.extend({
  /** By which messages are signed. Shown this once. */
  secret: z.string(),
});
const terms = { description: z.string().max(300).optional(), enabled: z.boolean().optional() };
const url = z.string().min(1).max(2_000);
const events = z.array(z.string().max(100)).min(1).max(50);

const timeOf = (at: number): string => new Date(at).toISOString();

const represented = ({ realmId: _realm, createdAt, updatedAt, ...shown }: ShownWebhook): z.output<typeof webhook> => ({
  ...shown,
  createdAt: timeOf(createdAt),
  updatedAt: timeOf(updatedAt),
});

const fetchable =
  ({ outbound }: RealmCall) =>
  (address: string): void => {
    requireFetchable(address, outbound.allow);
  };

const single: readonly Operation[] = [
  inRealm({
    id: 'webhooks.list',
    method: 'GET',
    path,
    tag,
    summary: 'The webhooks of the realm, the oldest first',
    roles: VIEW,
    status: 200,
    answer: z.array(webhook),
    run: async ({ operator, realm }) => ({ body: (await allWebhooks(operator, realm)).map(represented) }),
  }),
  inRealm({
    id: 'webhooks.create',
    method: 'POST',
    path,
    tag,
    summary: 'Have events told to an address; the secret by which messages are signed is answered this once',
    roles: MANAGE,
    status: 201,
    body: z.object({ url, events, ...terms }),
    answer: made,
    async run(call, { body }) {
      const { webhook, secret } = await createWebhook(call.operator, call.realm, body, fetchable(call));
      return { created: webhook.id, body: { ...represented(webhook), secret } };
    },
  }),
  inRealm({
    id: 'webhooks.read',
    method: 'GET',
    path: `${path}/{id}`,
    tag,
    summary: 'One webhook',
    roles: VIEW,
    status: 200,
    params: { id },
    answer: webhook,
    run: async ({ operator, realm }, { params }) => ({ body: represented(withoutSecrets(await webhookOfRealm(operator, realm, params.id))) }),
  }),
  inRealm({
    id: 'webhooks.update',
    method: 'PUT',
    path: `${path}/{id}`,
    tag,
    summary: 'Change a webhook; what is not there stays',
    roles: MANAGE,
    status: 200,
    params: { id },
    body: z.object({ url: url.optional(), events: events.optional(), ...terms }),
    answer: webhook,
    run: async (call, { params, body }) => ({ body: represented(await changeWebhook(call.operator, call.realm, params.id, body, fetchable(call))) }),
  }),
  inRealm({
    id: 'webhooks.delete',
    method: 'DELETE',
    path: `${path}/{id}`,
    tag,
    summary: 'Delete a webhook, with what waits for it',
    roles: MANAGE,
    status: 204,
    params: { id },
    async run({ operator, realm }, { params }) {
      await removeWebhook(operator, realm, params.id);
      return {};
    },
  }),
  inRealm({
    id: 'webhooks.secret',
    method: 'POST',
    path: `${path}/{id}/secret`,
    tag,
    summary: 'A new secret; messages are signed by the one before, too, for another day',
    roles: MANAGE,
    status: 200,
    params: { id },
    answer: z.object({ secret: z.string(), oldUntil: time }),
    async run({ operator, realm }, { params }) {
      const { secret, oldUntil } = await rotateSecret(operator, realm, params.id);
      return { body: { secret, oldUntil: timeOf(oldUntil) } };
    },
  }),
  inRealm({
    id: 'webhooks.test',
    method: 'POST',
    path: `${path}/{id}/test`,
    tag,
    summary: 'Send a message of type webhook.test now, and say how that ended',
    roles: MANAGE,
    status: 200,
    params: { id },
    answer: z.object({ ok: z.boolean(), status: z.number().int().nullable(), error: z.string().nullable(), ms: z.number() }),
    async run({ operator, realm, outbound }, { params }) {
      const { gone: _gone, ...sent } = await testWebhook(operator, realm, params.id, outbound.fetch);
      return { body: sent };
    },
  }),
];

const state = z.enum(DELIVERY_STATES);
const delivery = z.object({
  id: z.string(),
  /** The `webhook-id` of the message, and the id of the row in the audit. */
  eventId: z.string(),
  type: z.string(),
  state,
  attempts: z.number().int(),
  lastStatus: z.number().int().nullable(),
  lastError: z.string().nullable(),
  createdAt: time,
  /** When it is tried next; null once it is over. */
  dueAt: time.nullable(),
  finishedAt: time.nullable(),
});

const shown = (row: DeliveryRow): z.output<typeof delivery> => ({
  id: row.id,
  eventId: row.eventId,
  type: row.type,
  state: row.state,
  attempts: row.attempts,
  lastStatus: row.lastStatus,
  lastError: row.lastError,
  createdAt: timeOf(row.createdAt),
  dueAt: row.state === 'waiting' ? timeOf(row.dueAt) : null,
  finishedAt: row.finishedAt === null ? null : timeOf(row.finishedAt),
});

const deliveries: readonly Operation[] = [
  inRealm({
    id: 'webhooks.deliveries',
    method: 'GET',
    path: `${path}/{id}/deliveries`,
    tag,
    summary: 'What was and is to be sent to a webhook, the newest first; what is over is kept for a week',
    roles: VIEW,
    status: 200,
    params: { id },
    query: { state: state.optional(), ...cursorPaging },
    answer: z.object({ deliveries: z.array(delivery), next }),
    async run({ operator, realm }, { params, query }) {
      const webhook = await webhookOfRealm(operator, realm, params.id);
      const [after] = placeOf(z.tuple([z.string()]), query.after) ?? [];
      const found = await listDeliveries(operator.db.knex, webhook, { state: query.state, after, limit: query.max + 1 });
      const page = pageOf(found, query.max, (row) => cursorOf(row.id));
      return { body: { deliveries: page.rows.map(shown), next: page.next } };
    },
  }),
  inRealm({
    id: 'webhooks.deliveries.retry',
    method: 'POST',
    path: `${path}/{id}/deliveries/{delivery}/retry`,
    tag,
    summary: 'Send a message once more that was given up',
    roles: MANAGE,
    status: 204,
    params: { id, delivery: id },
    async run({ operator, realm }, { params }) {
      await retry(operator, realm, params.id, params.delivery);
      return {};
    },
  }),
];

export const webhookOperations: readonly Operation[] = [...single, ...deliveries];
