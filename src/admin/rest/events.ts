/**
 * What happened in a realm, over REST, as Keycloak's events and admin events: read from the audit, which nobody empties.
 * Keycloak's clients may empty these lists: they show nothing from before then, and the audit has all of it.
 */
import { z } from 'zod';
import { badInput } from '../../errors.ts';
import { type ListedEvent, listEvents, realmsOfUsers } from '../../store/audit-lists.ts';
import { type RealmRow, realmByName } from '../../store/realms.ts';
import { changeRealm } from '../resources/realm-changes.ts';
import { administratorTypes, KEYCLOAK_EVENT_TYPES, operationTypeOf, resourcePathOf, resourceTypeOf, USER_EVENTS, userTypes } from './event-types.ts';
import { inRealm, type Operation, paging, type RealmCall } from './operation.ts';
import { settingsFrom, shownSettings } from './realm-document.ts';

const tag = 'Events';
const VIEW = ['view-events', 'manage-events'] as const;
const MANAGE = ['manage-events'] as const;
const DEFAULT_MAX = 100;

const text = z.string().max(255).optional();
const several = z.union([z.string().max(100), z.array(z.string().max(100)).max(200)]).optional();
const listed = (value: string | string[] | undefined): string[] => (value === undefined ? [] : Array.isArray(value) ? value : value.split(','));
const direction = z.enum(['asc', 'desc']).optional();

const eventRepresentation = z.object({
  id: z.string(),
  time: z.number().int(),
  type: z.string(),
  realmId: z.string(),
  clientId: z.string().optional(),
  userId: z.string().optional(),
  ipAddress: z.string().optional(),
  error: z.string().optional(),
  details: z.record(z.string(), z.string()),
});

const adminEventRepresentation = z.object({
  id: z.string(),
  time: z.number().int(),
  realmId: z.string(),
  authDetails: z.object({ realmId: z.string().optional(), userId: z.string().optional(), ipAddress: z.string().optional() }),
  operationType: z.string(),
  resourceType: z.string(),
  resourcePath: z.string(),
  /** Our own details, as JSON. */
  representation: z.string(),
  details: z.record(z.string(), z.string()),
});

const eventsConfig = z.object({
  eventsEnabled: z.boolean().optional(),
  eventsExpiration: z.number().int().optional(),
  eventsListeners: z.array(z.string()).optional(),
  enabledEventTypes: z.array(z.string()).optional(),
  adminEventsEnabled: z.boolean().optional(),
  adminEventsDetailsEnabled: z.boolean().optional(),
});
const eventsConfigIn = z.object({
  eventsEnabled: z.boolean().nullish(),
  eventsExpiration: z.number().int().min(0).max(2_147_483_647).nullish(),
  eventsListeners: z.array(z.string().max(255)).max(100).nullish(),
  enabledEventTypes: z.array(z.string().max(100)).max(500).nullish(),
  adminEventsEnabled: z.boolean().nullish(),
  adminEventsDetailsEnabled: z.boolean().nullish(),
});

export const eventOperations: readonly Operation[] = [
  inRealm({
    id: 'events.list',
    method: 'GET',
    path: '/realms/{realm}/events',
    tag,
    summary: 'What users and their programs did, the newest first',
    roles: VIEW,
    status: 200,
    query: { ...paging, type: several, client: text, user: text, ipAddress: text, dateFrom: text, dateTo: text, direction },
    answer: z.array(eventRepresentation),
    async run({ operator, realm }, { query }) {
      const filter = {
        ...{ chained: false, types: userTypes(listed(query.type)), client: query.client, subject: query.user, ip: query.ipAddress },
        ...{ since: Math.max(dayFrom(query.dateFrom) ?? 0, shownSince(realm, 'events')), until: dayTo(query.dateTo) },
      };
      const page = { first: query.first ?? 0, max: query.max ?? DEFAULT_MAX, oldestFirst: query.direction === 'asc' };
      return { body: (await listEvents(operator.db.knex, realm.id, filter, page)).map((event) => userEvent(realm, event)) };
    },
  }),
  inRealm({
    id: 'events.clear',
    method: 'DELETE',
    path: '/realms/{realm}/events',
    tag,
    summary: 'Show no events from before now; the audit keeps them',
    roles: MANAGE,
    status: 204,
    run: (call) => clear(call, 'events'),
  }),
  inRealm({
    id: 'events.config.read',
    method: 'GET',
    path: '/realms/{realm}/events/config',
    tag,
    summary: 'What is recorded: everything, whatever is configured here',
    roles: VIEW,
    status: 200,
    answer: eventsConfig,
    async run({ realm }) {
      const shown = shownSettings(realm.settings);
      const types = shown.enabledEventTypes;
      return { body: eventsConfig.parse({ ...shown, enabledEventTypes: Array.isArray(types) && types.length > 0 ? types : KEYCLOAK_EVENT_TYPES }) };
    },
  }),
  inRealm({
    id: 'events.config.update',
    method: 'PUT',
    path: '/realms/{realm}/events/config',
    tag,
    summary: 'Kept, and without effect: everything is recorded',
    roles: MANAGE,
    status: 204,
    body: eventsConfigIn,
    async run({ operator, realm }, { body }) {
      const { settings } = settingsFrom(realm.settings, body);
      await changeRealm(operator, realm, { displayName: realm.displayName, enabled: realm.enabled, settings });
      return {};
    },
  }),
  inRealm({
    id: 'admin-events.list',
    method: 'GET',
    path: '/realms/{realm}/admin-events',
    tag,
    summary: 'What administrators did, the newest first',
    roles: VIEW,
    status: 200,
    query: {
      ...paging,
      ...{
        operationTypes: several,
        resourceTypes: several,
        resourcePath: text,
        authRealm: text,
        authClient: text,
        authUser: text,
        authIpAddress: text,
      },
      ...{ dateFrom: text, dateTo: text, direction },
    },
    answer: z.array(adminEventRepresentation),
    async run(call, { query }) {
      const { operator, realm } = call;
      const { knex } = operator.db;
      const path = pathFilter(query.resourcePath);
      const actorsOf = query.authRealm === undefined ? undefined : await realmOfActors(call, query.authRealm);
      // Which application an administrator used is not recorded.
      if (!path || actorsOf === null || query.authClient !== undefined) return { body: [] };
      const filter = {
        ...{ chained: true, types: administratorTypes(listed(query.operationTypes), [...listed(query.resourceTypes), ...path.resources]) },
        ...{ client: path.client, subject: path.subject, actor: query.authUser, actorsOf, ip: query.authIpAddress },
        ...{ since: Math.max(dayFrom(query.dateFrom) ?? 0, shownSince(realm, 'admin-events')), until: dayTo(query.dateTo) },
      };
      const page = { first: query.first ?? 0, max: query.max ?? DEFAULT_MAX, oldestFirst: query.direction === 'asc' };
      const events = await listEvents(knex, realm.id, filter, page);
      const master = await realmByName(knex, 'master');
      const actors = [...new Set(events.flatMap(({ actor }) => actor ?? []))];
      const realms = await realmsOfUsers(knex, actors, [realm.id, ...(master ? [master.id] : [])]);
      return { body: events.map((event) => administratorEvent(realm, event, realms)) };
    },
  }),
  inRealm({
    id: 'admin-events.clear',
    method: 'DELETE',
    path: '/realms/{realm}/admin-events',
    tag,
    summary: 'Show no admin events from before now; the audit keeps them, for they hang together in a chain',
    roles: MANAGE,
    status: 204,
    run: (call) => clear(call, 'admin-events'),
  }),
];

type List = 'events' | 'admin-events';

/** Among what a realm keeps of Keycloak's words: when a list was emptied. */
const clearedAt = (list: List): string => `${list}.clearedAt`;

/** The first moment of which a list shows anything. */
function shownSince({ settings }: RealmRow, list: List): number {
  const cleared = settings.kept[clearedAt(list)];
  return cleared === undefined ? 0 : Number(cleared) + 1;
}

/** What is done here is a change of the realm, and in the audit like any other. */
async function clear({ operator, realm }: RealmCall, list: List): Promise<Record<never, never>> {
  const { displayName, enabled, settings } = realm;
  const kept = { ...settings.kept, [clearedAt(list)]: String(operator.now) };
  await changeRealm(operator, realm, { displayName, enabled, settings: { ...settings, kept } });
  return {};
}

const detailsOf = ({ details }: ListedEvent): Record<string, unknown> => {
  const parsed: unknown = JSON.parse(details);
  return typeof parsed === 'object' && parsed !== null ? { ...parsed } : {};
};

/** Keycloak's details are texts. */
const asTexts = (details: Record<string, unknown>): Record<string, string> =>
  Object.fromEntries(Object.entries(details).map(([name, value]) => [name, typeof value === 'string' ? value : JSON.stringify(value)]));

function userEvent(realm: RealmRow, event: ListedEvent): z.output<typeof eventRepresentation> {
  const { reason, inputs: _inputs, ...details } = detailsOf(event);
  const type = USER_EVENTS[event.type] ?? event.type;
  return {
    ...{ id: event.id, time: event.at, type, realmId: realm.id },
    ...(event.clientId === null ? {} : { clientId: event.clientId }),
    ...(event.subject === null ? {} : { userId: event.subject }),
    ...(event.ip === null ? {} : { ipAddress: event.ip }),
    ...(type.endsWith('_ERROR') ? { error: reason === 'credentials' ? 'invalid_user_credentials' : String(reason ?? event.type) } : {}),
    details: asTexts({ ...details, event: event.type }),
  };
}

function administratorEvent(realm: RealmRow, event: ListedEvent, realms: ReadonlyMap<string, string>): z.output<typeof adminEventRepresentation> {
  const actorRealm = realms.get(event.actor ?? '');
  return {
    ...{ id: event.id, time: event.at, realmId: realm.id },
    authDetails: {
      ...(actorRealm === undefined ? {} : { realmId: actorRealm }),
      ...(event.actor === null ? {} : { userId: event.actor }),
      ...(event.ip === null ? {} : { ipAddress: event.ip }),
    },
    ...{ operationType: operationTypeOf(event.type), resourceType: resourceTypeOf(event.type) },
    resourcePath: resourcePathOf({ ...event, details: detailsOf(event) }),
    ...{ representation: event.details, details: { event: event.type } },
  };
}

/** Administrators are of the realm itself or of master, named by id or name; null for any other, whose users administer nothing here. */
async function realmOfActors({ operator, realm }: RealmCall, wanted: string): Promise<string | null> {
  const master = await realmByName(operator.db.knex, 'master');
  return [realm, master].find((one) => one && (one.id === wanted || one.name === wanted))?.id ?? null;
}

const BELOW: Readonly<Record<string, string>> = {
  users: 'USER',
  clients: 'CLIENT',
  'client-scopes': 'CLIENT_SCOPE',
  groups: 'GROUP',
  roles: 'REALM_ROLE',
  components: 'COMPONENT',
};

/** `users/{id}`, `clients/{id}`, or `users/*` and the like; undefined for what is nothing here. */
function pathFilter(path: string | undefined): { client?: string; subject?: string; resources: string[] } | undefined {
  if (path === undefined || path === '*') return { resources: [] };
  const [kind = '', id = '*'] = path.split('/');
  if (id !== '*' && kind === 'users') return { subject: id, resources: [] };
  if (id !== '*' && kind === 'clients') return { client: id, resources: [] };
  const resource = BELOW[kind];
  return id === '*' && resource !== undefined ? { resources: [resource] } : undefined;
}

const DAY_MS = 86_400_000;

/** A day of UTC, or milliseconds, or a time as RFC 3339 and JavaScript write it. */
function timeOf(name: string, value: string): { at: number; day: boolean } {
  const day = /^\d{4}-\d{2}-\d{2}$/.test(value);
  const at = /^\d{1,15}$/.test(value) ? Number(value) : Date.parse(value);
  if (Number.isNaN(at)) throw badInput(name, `${name}: must be a day such as 2030-01-31, or milliseconds since 1970`);
  return { at, day };
}

const dayFrom = (value: string | undefined): number | undefined => (value ? timeOf('dateFrom', value).at : undefined);

/** The day that is named is part of it. */
function dayTo(value: string | undefined): number | undefined {
  if (!value) return undefined;
  const { at, day } = timeOf('dateTo', value);
  return day ? at + DAY_MS : at + 1;
}
