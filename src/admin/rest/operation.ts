/**
 * The REST API as a list of operations: each says its path, who may call it, what it takes and what it answers, and calls
 * a function of admin/resources/. From this one list come the routes (mount.ts), the OpenAPI document (openapi.ts) and the
 * tests of authorization, tenants and bad input.
 *
 * Paths, field names, status codes and parameters are Keycloak's, so that its clients work unchanged.
 */
import { z } from 'zod';
import type { AllowedTarget } from '../../config/outbound.ts';
import type { Deliveries } from '../../delivery/delivery.ts';
import type { FetchGuarded } from '../../http/guarded-client.ts';
import type { RealmRow } from '../../store/realms.ts';
import type { FactorOperator } from '../resources/factor-operator.ts';
import type { Invite } from '../resources/user-actions.ts';
import type { Access } from './access.ts';

export type Method = 'GET' | 'POST' | 'PUT' | 'DELETE';

/** One request that has come through authorization. */
export interface Call {
  operator: FactorOperator;
  access: Access;
  /** Ours, such as `https://id.example.com`. */
  origin: string;
  /** A header of the request, empty when it is not there. */
  header(name: string): string;
  outbound: Outbound;
  /** Links that users are sent. */
  invite: Invite;
  /** What sends mail while somebody waits. */
  deliveries: Deliveries;
}

/** The way to addresses that the caller chose. */
export interface Outbound {
  fetch: FetchGuarded;
  /** Where the installation allows it besides public hosts. */
  allow: readonly AllowedTarget[];
}

/** One request about a realm. */
export interface RealmCall extends Call {
  realm: RealmRow;
}

export interface Answer<Body = unknown> {
  /** By default what the operation says. */
  status?: number;
  body?: Body;
  /** In the place of a body: text that is made while it is read, such as an export; `type` says of what kind. */
  stream?: AsyncIterable<string>;
  /** The id of what was made: it ends the `Location` header after the path of the request, or stands as a path from `/admin`. */
  created?: string;
  /** Of something that is no JSON. */
  type?: string;
  headers?: Record<string, string>;
}

interface Described {
  /** Such as `users.list`; the operationId of the OpenAPI document. */
  id: string;
  method: Method;
  /** From `/admin`, such as `/realms/{realm}/users/{id}`. */
  path: string;
  tag: string;
  summary: string;
  /** Roles of the realm's management, any one of which is enough; none where the operation decides by itself, as `access` says. */
  roles: readonly ManagementRole[];
  /** Who is let in where no role is named; everybody else is refused by the operation. */
  access?: OpenTo;
  status: Success;
  /** What it answers besides, where it did something else that was asked for. */
  also?: readonly Success[];
  /** The largest body, in KiB; 1,024 by default. */
  maxBodyKiB?: number;
  /** The body is text, and not JSON. */
  plainText?: boolean;
  /** The body is a form, perhaps with files (multipart/form-data, RFC 7578); a file is its text. */
  form?: boolean;
}

export type Success = 200 | 201 | 202 | 204;

/** Who is let in, in words of the document. */
export const OPEN_TO = {
  'some-realm': 'whoever has a role in the management of some realm',
  'this-realm': 'whoever has a role in the management of the realm',
  'create-realm': 'users of master with the role create-realm',
  bearer: 'whoever has a token that is good',
} as const;
export type OpenTo = keyof typeof OPEN_TO;

/** What may be managed in a realm (Keycloak's client roles of `realm-management`). */
export type ManagementRole =
  | 'create-client'
  | `${'view' | 'manage'}-${'realm' | 'users' | 'clients' | 'events' | 'identity-providers' | 'authorization'}`
  | `query-${'users' | 'clients' | 'realms' | 'groups'}`
  | 'impersonation';

export interface Operation extends Described {
  params: z.ZodType<Record<string, unknown>>;
  query: z.ZodObject;
  body: z.ZodType | undefined;
  answer: z.ZodType | undefined;
  /** Whether its path names a realm. */
  inRealm: boolean;
  run(call: Call | RealmCall, input: { params: unknown; query: unknown; body: unknown }): Promise<Answer>;
}

/** What an operation about a realm is declared by; the types of its input follow from the schemas. */
interface Declared<P extends z.ZodRawShape, Q extends z.ZodRawShape, B extends z.ZodType | undefined, A extends z.ZodType | undefined, C extends Call>
  extends Described {
  params?: P;
  query?: Q;
  body?: B;
  answer?: A;
  run(
    call: C,
    input: { params: z.output<z.ZodObject<P>>; query: z.output<z.ZodObject<Q>>; body: B extends z.ZodType ? z.output<B> : undefined },
  ): Promise<Answer<A extends z.ZodType ? z.input<A> : unknown>>;
}

type Nothing = Record<never, never>;

/** An operation about one realm. */
export function inRealm<
  P extends z.ZodRawShape = Nothing,
  Q extends z.ZodRawShape = Nothing,
  B extends z.ZodType | undefined = undefined,
  A extends z.ZodType | undefined = undefined,
>(declared: Declared<P, Q, B, A, RealmCall>): Operation {
  return operationOf(declared, true);
}

/** An operation about the installation. */
export function onInstallation<
  P extends z.ZodRawShape = Nothing,
  Q extends z.ZodRawShape = Nothing,
  B extends z.ZodType | undefined = undefined,
  A extends z.ZodType | undefined = undefined,
>(declared: Declared<P, Q, B, A, Call>): Operation {
  return operationOf(declared, false);
}

function operationOf(declared: unknown, within: boolean): Operation {
  // The parameters of `run` are what the schemas beside it make: mount.ts parses by them before it calls.
  const { params, query, ...rest } = declared as Omit<Operation, 'params' | 'query'> & { params?: z.ZodRawShape; query?: z.ZodRawShape };
  return { ...rest, body: rest.body, answer: rest.answer, params: z.object(params ?? {}), query: z.object(query ?? {}), inRealm: within };
}

/** An id in a path; any text, for one that is nobody's is a 404. */
export const id = z.string().min(1).max(255);

/** The longest list of an answer; mount.ts says so of one that is as long. */
export const MOST_LISTED = 10_000;

/**
 * `first` and `max` as Keycloak has them: -1, or as much as an integer of Java holds, is as many as there are for its
 * clients, and the longest list for us.
 */
export const paging = {
  first: z.coerce
    .number()
    .int()
    .min(-1)
    .max(10_000_000)
    .transform((first) => Math.max(0, first))
    .optional(),
  max: z.coerce
    .number()
    .int()
    .min(-1)
    .max(2_147_483_647)
    .transform((max) => (max < 0 ? MOST_LISTED : Math.min(max, MOST_LISTED)))
    .optional(),
};

/** A boolean in a query. */
export const flag = z
  .enum(['true', 'false', ''])
  .transform((text) => text !== 'false')
  .optional();
