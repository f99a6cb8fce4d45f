/** The REST API as tests call it: realm master, a service account that may do everything, and tokens for it. */
import { createClient } from '../../src/admin/resources/clients.ts';
import { createRealm } from '../../src/admin/resources/realms.ts';
import type { RealmRow } from '../../src/store/realms.ts';
import { type Cardea, startCardea } from './cardea.ts';
import type { EngineUnderTest } from './databases.ts';

export interface AdminAnswer {
  status: number;
  headers: Headers;
  // biome-ignore lint/suspicious/noExplicitAny: what a test looks into is the test's own business
  body: any;
}

export interface Admin {
  master: RealmRow;
  token: string;
  /** @param path from `/admin`, such as `/realms/acme/users` */
  call(method: string, path: string, options?: { body?: unknown; token?: string | null; headers?: Record<string, string> }): Promise<AdminAnswer>;
}

const SECRET = 'the secret of the automation account';

/** Realm master with its management clients, and an access token of a service account with the role `admin`. */
export async function adminOf(server: Cardea): Promise<Admin> {
  const operator = server.operator();
  const master = await createRealm(operator, { name: 'master' });
  const account = { clientId: 'automation', secret: SECRET, firstParty: true, serviceAccount: true, serviceAccountRoles: ['admin'] };
  await createClient(operator, master, account);
  const token = await serviceToken(server, 'master', 'automation', SECRET);
  return {
    master,
    token,
    call: (method, path, options = {}) => callAdmin(server, method, path, { token, ...options }),
  };
}

/** A server and whoever administers it, started once for the tests of a file on one engine. */
export function adminWorld(engine: EngineUnderTest): () => Promise<{ server: Cardea; admin: Admin }> {
  let shared: Promise<{ server: Cardea; admin: Admin }> | undefined;
  return () => {
    shared ??= engine.database().then(async (db) => {
      const server = await startCardea(db);
      return { server, admin: await adminOf(server) };
    });
    return shared;
  };
}

/** An access token by client_credentials. */
export async function serviceToken(server: Cardea, realm: string, clientId: string, secret: string): Promise<string> {
  const answer = await fetch(`${server.origin}/realms/${realm}/protocol/openid-connect/token`, {
    method: 'POST',
    headers: { authorization: `Basic ${Buffer.from(`${clientId}:${encodeURIComponent(secret)}`).toString('base64')}` },
    body: new URLSearchParams({ grant_type: 'client_credentials' }),
  });
  const body: unknown = await answer.json();
  if (typeof body !== 'object' || body === null || !('access_token' in body) || typeof body.access_token !== 'string')
    throw new Error(`No token for ${clientId}: ${JSON.stringify(body)}`);
  return body.access_token;
}

export async function callAdmin(
  server: Cardea,
  method: string,
  path: string,
  options: { body?: unknown; text?: string; token?: string | null; headers?: Record<string, string> },
): Promise<AdminAnswer> {
  const { body, token, headers = {} } = options;
  const text = options.text ?? (body === undefined ? undefined : JSON.stringify(body));
  const answer = await fetch(`${server.origin}/admin${path}`, {
    method,
    headers: {
      ...(token ? { authorization: `Bearer ${token}` } : {}),
      ...(body === undefined ? {} : { 'content-type': 'application/json' }),
      ...headers,
    },
    ...(text === undefined ? {} : { body: text }),
  });
  return { status: answer.status, headers: answer.headers, body: parsed(await answer.text()) };
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}
