/**
 * Every operation of the OpenAPI document against everybody who must not call it, and everybody who may. Nothing is listed
 * here: an operation that is added is tested. What was refused has changed nothing.
 */
import { decodeJwt, decodeProtectedHeader, importJWK, SignJWT } from 'jose';
import { createClient } from '../../src/admin/resources/clients.ts';
import { managementClientIn } from '../../src/admin/resources/realm-defaults.ts';
import { giveRoles } from '../../src/admin/resources/roles.ts';
import { OPEN_TO } from '../../src/admin/rest/operation.ts';
import type { RealmRow } from '../../src/store/realms.ts';
import { signingKeySeal } from '../../src/store/signing-keys.ts';
import { type Admin, adminOf, serviceToken } from '../support/admin.ts';
import { type Cardea, startCardea } from '../support/cardea.ts';
import { forEachEngine } from '../support/databases.ts';
import { type Documented, destructiveLast, documentedOperations, filled, inParallel, request } from '../support/document.ts';
import { fingerprint } from '../support/fingerprint.ts';
import { limitedClient } from '../support/keycloak.ts';
import { relyingParty, signIn } from '../support/sign-in.ts';

const { roles: ROLES, composites: COMPOSITES } = managementClientIn('any');
const SECRET = 'a secret of sixteen characters';

/** A role and those that it contains. */
const meaningOf = (role: string): string[] => [role, ...(COMPOSITES[role] ?? [])];

interface World {
  server: Cardea;
  admin: Admin;
  home: RealmRow;
  operations: Documented[];
  /** An access token of whoever has this one role of the management of `home`. */
  holders: Map<string, string>;
  /** Has no role at all. */
  nobody: string;
  /** Manages another realm, as one of it, and as one of master. */
  elsewhere: { there: string; fromMaster: string };
}

async function build(server: Cardea): Promise<World> {
  const admin = await adminOf(server);
  const [home, other] = [await server.realm({ mfa: 'off' }), await server.realm()];
  const holders = new Map<string, string>();
  await inParallel(ROLES, async (role) => {
    holders.set(role, (await limitedClient(server, home, [role])).token);
  });
  const { token: nobody } = await limitedClient(server, home, []);
  const { token: there } = await limitedClient(server, other, ['realm-admin']);
  const narrow = { clientId: 'of-another', secret: SECRET, firstParty: true, serviceAccount: true };
  await createClient(server.operator(), admin.master, narrow);
  const user = await server.db.knex('users').where({ realm_id: admin.master.id, username: 'service-account-of-another' }).first('id');
  const account = await admin.call('GET', `/realms/master/users/${user.id}`);
  const roles = ROLES.map((name) => ({ name, client: managementClientIn(other.name).clientId }));
  await giveRoles(server.operator(), admin.master, { ...account.body, realmId: admin.master.id }, roles);
  const fromMaster = await serviceToken(server, 'master', narrow.clientId, SECRET);
  return { server, admin, home, operations: await documentedOperations(server), holders, nobody, elsewhere: { there, fromMaster } };
}

/** Tokens that say what an administrator's says, and are none: too old, and signed by another realm. */
async function forgeries({ server, home, holders }: World): Promise<{ expired: string; foreign: string; control: string }> {
  const token = holders.get('manage-realm') ?? '';
  const { kid, alg = 'RS256', typ } = decodeProtectedHeader(token);
  const signed = async (realmId: string, keyId: string | undefined, times: { iat: number; exp: number }): Promise<string> => {
    const row = await server.db
      .knex('signing_keys')
      .where(keyId === undefined ? { realm_id: realmId, algorithm: alg } : { realm_id: realmId, id: keyId })
      .first();
    const jwk = JSON.parse((await server.keyring.open(signingKeySeal({ realmId, id: row.id }), row.private_jwk)).toString());
    const header = { alg, ...(kid === undefined ? {} : { kid }), ...(typ === undefined ? {} : { typ }) };
    return new SignJWT({ ...decodeJwt(token), ...times }).setProtectedHeader(header).sign(await importJWK(jwk, alg));
  };
  const now = Math.floor(Date.now() / 1000);
  const other = await server.realm();
  return {
    control: await signed(home.id, kid, { iat: now, exp: now + 60 }),
    expired: await signed(home.id, kid, { iat: now - 600, exp: now - 300 }),
    foreign: await signed(other.id, undefined, { iat: now, exp: now + 60 }),
  };
}

/** An administrator of the realm who has signed in with a password alone. */
async function belowTheFloor({ server, home }: World): Promise<string> {
  const user = await server.user(home);
  const { tokens } = await signIn(server, await relyingParty(server, home, await server.client(home)), user);
  await giveRoles(server.operator(), home, user, [{ client: 'realm-management', name: 'realm-admin' }]);
  return tokens.access_token;
}

/** What each answers to whoever has no role in the realm at hand. */
const WITHOUT_ROLES: Record<keyof typeof OPEN_TO, number | undefined> = {
  'some-realm': 403,
  'this-realm': 403,
  'create-realm': 403,
  bearer: undefined,
};

forEachEngine((engine) => {
  let shared: Promise<World> | undefined;
  const world = () => {
    // Wrong tokens are counted by address: every request has one of its own.
    shared ??= engine.database().then(async (db) => build(await startCardea(db, { CARDEA_TRUST_PROXY: '1' })));
    return shared;
  };
  let requests = 0;
  const fresh = (): Record<string, string> => {
    requests += 1;
    return { 'x-forwarded-for': `10.${(requests >> 16) & 255}.${(requests >> 8) & 255}.${requests & 255}` };
  };

  engine.serial('an operation says who may call it, by roles or in words', async (t) => {
    const { operations } = await world();
    t.true(operations.length > 50);
    for (const { id, roles, access, inRealm, path } of operations) {
      t.true(roles.length > 0 || (access !== undefined && access in OPEN_TO), `${id}: whoever makes it sets roles, or access`);
      for (const role of roles) t.true(ROLES.includes(role), `${id}: ${role}`);
      t.is(inRealm, /^(?:\/realms)?\/\{realm\}(?:\/|$)/.test(path), id);
    }
  });

  engine.serial('every operation refuses whoever may not call it, and then nothing has changed', async (t) => {
    const here = await world();
    const { server, admin, home, operations, holders, nobody, elsewhere } = here;
    const { control, expired, foreign } = await forgeries(here);
    const low = await belowTheFloor(here);
    t.is((await admin.call('GET', `/realms/${home.name}`, { token: control })).status, 200, 'what the forgeries are made like is accepted');
    const before = await fingerprint(server.db, { except: ['attempts'] });

    const wrong: string[] = [];
    const tries = operations.flatMap((operation) => {
      const { roles, access, inRealm } = operation;
      const noRole = roles.length > 0 ? 403 : WITHOUT_ROLES[access as keyof typeof OPEN_TO];
      const all: [who: string, expected: number | undefined, token: string | null, headers?: Record<string, string>][] = [
        ['no token', 401, null],
        ['no token, a cookie', 401, null, { cookie: `cardea_admin_session=${admin.token}; token=${admin.token}; AUTH_SESSION_ID=${admin.token}` }],
        ['a token in the query', 401, null],
        ['garbage', 401, 'garbage'],
        ['a token of which the end is missing', 401, admin.token.slice(0, -5)],
        ['an expired token', 401, expired],
        ['a token that another realm has signed', 401, foreign],
        ['an administrator below the floor', 401, low],
        ['somebody without roles', noRole, nobody],
        ...(inRealm
          ? ([
              ['the administrator of another realm', 404, elsewhere.there],
              ['one of master who manages another realm', noRole ?? 403, elsewhere.fromMaster],
            ] as [string, number, string][])
          : []),
        ...[...holders].flatMap(([role, token]): [string, number, string][] =>
          roles.length === 0 || meaningOf(role).some((one) => roles.includes(one)) ? [] : [[`whoever has ${role} alone`, 403, token]],
        ),
      ];
      return all.flatMap(([who, expected, token, headers]) => (expected === undefined ? [] : [{ operation, who, expected, token, headers }]));
    });
    await inParallel(tries, async ({ operation, who, expected, token, headers }) => {
      const query = who === 'a token in the query' ? `?access_token=${admin.token}` : '';
      const answer = await request(server, operation, `${filled(operation.path, { realm: home.name })}${query}`, {
        token,
        headers: { ...fresh(), ...headers },
      });
      if (answer.status !== expected) wrong.push(`${operation.id}, ${who}: ${answer.status}, not ${expected}`);
      else if (typeof answer.body.errorMessage !== 'string') wrong.push(`${operation.id}, ${who}: says nothing`);
      if (answer.status === 401 && !answer.headers.get('www-authenticate')?.startsWith('Bearer')) wrong.push(`${operation.id}, ${who}: no challenge`);
    });
    t.log(`${tries.length} requests about ${operations.length} operations`);
    t.deepEqual(wrong, []);
    t.deepEqual(await fingerprint(server.db, { except: ['attempts'] }), before);
  });

  engine.serial('every operation lets in whoever has one of its roles', async (t) => {
    const { server, admin, home, operations, holders } = await world();
    const wrong: string[] = [];
    for (const operation of destructiveLast(operations)) {
      const allowed = [...holders].filter(([role]) => operation.roles.length === 0 || meaningOf(role).some((one) => operation.roles.includes(one)));
      if (operation.access === 'create-realm') allowed.splice(0, Infinity, ['create-realm', admin.token]);
      await inParallel(allowed, async ([role, token]) => {
        const { status, body } = await request(server, operation, filled(operation.path, { realm: home.name }), { token, headers: fresh() });
        const gone = operation.method === 'DELETE' && operation.path === '/realms/{realm}';
        if (status === 401 || status === 405 || (status >= 500 && status !== 501) || (status === 403 && !gone))
          wrong.push(`${operation.id}, whoever has ${role}: ${status} ${JSON.stringify(body)}`);
      });
    }
    t.deepEqual(wrong, []);
  });
});
