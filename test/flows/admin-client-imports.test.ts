/** Users with what they signed in with at Keycloak: hashes and secrets as a realm export has them. */
import { pbkdf2Sync, randomBytes } from 'node:crypto';
import * as argon2 from '@node-rs/argon2';
import { generateSync, ScureBase32Plugin } from 'otplib';
import { credentialSeal, credentialsOf } from '../../src/store/credentials.ts';
import { adminWorld } from '../support/admin.ts';
import { forEachEngine } from '../support/databases.ts';
import { keycloakClient, limitedClient, refusal } from '../support/keycloak.ts';
import { claimsOf, passwordGrant } from '../support/password-grant.ts';
import { relyingParty, signIn } from '../support/sign-in.ts';

const PASSWORD = 'pa\u00dfwort \u2460 with marks';
/** The part of Keycloak's CredentialRepresentation that is read. */
interface Given {
  type: string;
  value?: string;
  secretData?: string;
  credentialData?: string;
  temporary?: boolean;
  userLabel?: string;
}

const exported = (secret: object, data: object, type = 'password'): Given => ({
  type,
  secretData: JSON.stringify(secret),
  credentialData: JSON.stringify(data),
});

function byPbkdf2(algorithm: string, digest: string, iterations: number, bytes: number): Given {
  const salt = randomBytes(16);
  const value = pbkdf2Sync(PASSWORD, salt, iterations, bytes, digest).toString('base64');
  const data = { hashIterations: iterations, algorithm, additionalParameters: {} };
  return exported({ value, salt: salt.toString('base64'), additionalParameters: {} }, data);
}

async function byArgon2(): Promise<Given> {
  const salt = randomBytes(16);
  const raw = await argon2.hashRaw(PASSWORD, { salt, memoryCost: 7168, timeCost: 5, parallelism: 1, outputLen: 32, algorithm: 2 });
  const additionalParameters = { hashLength: ['32'], memory: ['7168'], type: ['id'], version: ['1.3'], parallelism: ['1'] };
  const data = { hashIterations: 5, algorithm: 'argon2', additionalParameters };
  return exported({ value: raw.toString('base64'), salt: salt.toString('base64'), additionalParameters: {} }, data);
}

forEachEngine((engine) => {
  const world = adminWorld(engine);
  let names = 0;
  const realmOf = async () => {
    const { server, admin } = await world();
    const realm = await server.realm({ mfa: 'optional', disabledFactors: [] });
    const client = keycloakClient(server, realm, admin.token);
    const make = async (credentials: Given[], more: object = {}) => {
      names += 1;
      const username = `moved-${names}`;
      const { id } = await client.users.create({ username, enabled: true, credentials, ...more });
      return { id, username };
    };
    const stored = async (userId: string) => {
      const rows = await credentialsOf(server.db.knex, realm.id, userId);
      return Promise.all(rows.map(async (row) => ({ ...row, secret: JSON.parse(await server.keyring.openText(credentialSeal(row), row.secret)) })));
    };
    return { server, admin, realm, client, make, stored };
  };

  engine.test('passwords verify as they are, and are hashed anew by the sign-in', async (t) => {
    const { server, realm, make, stored } = await realmOf();
    const rp = await relyingParty(server, realm, await server.client(realm));
    const kinds = [
      byPbkdf2('pbkdf2', 'sha1', 20_000, 64),
      byPbkdf2('pbkdf2-sha256', 'sha256', 27_500, 64),
      byPbkdf2('pbkdf2-sha512', 'sha512', 21_000, 64),
      await byArgon2(),
    ];
    for (const kind of kinds) {
      const user = await make([kind]);
      const [before] = await stored(user.id);
      t.regex(before?.secret.phc, /^\$keycloak\$/);
      t.is((await passwordGrant(server, realm, { username: user.username, password: `${PASSWORD}!` })).status, 401);
      t.is((await stored(user.id))[0]?.secret.phc, before?.secret.phc);
      t.truthy((await signIn(server, rp, { username: user.username, password: PASSWORD })).tokens.access_token);
      const [after] = await stored(user.id);
      t.is(after?.id, before?.id);
      t.regex(after?.secret.phc, /^\$argon2id\$v=19\$m=256,t=1,p=1\$/);
      t.is((await passwordGrant(server, realm, { username: user.username, password: PASSWORD })).status, 200);
    }
  });

  engine.test('apps and tokens keep the secret that their owner has', async (t) => {
    const { server, realm, make, client, stored } = await realmOf();
    const text = 'JBSWY3DPEHPK3PXPJBSW';
    const asText = new ScureBase32Plugin().encode(Buffer.from(text)).replaceAll('=', '');
    const password = byPbkdf2('pbkdf2-sha256', 'sha256', 1_000, 64);
    const totp = exported({ value: text }, { subType: 'totp', digits: 6, counter: 0, period: 30, algorithm: 'HmacSHA1' }, 'otp');
    const user = await make([password, { ...totp, userLabel: 'Phone' }]);
    t.like(
      (await client.users.getCredentials({ id: user.id })).find(({ type }) => type === 'otp'),
      { userLabel: 'Phone' },
    );
    const given = { username: user.username, password: PASSWORD };
    t.is((await passwordGrant(server, realm, given)).status, 401);
    const signedIn = await passwordGrant(server, realm, { ...given, totp: generateSync({ secret: asText }) });
    t.like(claimsOf(signedIn), { acr: 'aal2', amr: ['pwd', 'otp', 'mfa'] });

    const data = { subType: 'hotp', digits: 6, counter: 7, period: 30, algorithm: 'HmacSHA256', secretEncoding: 'BASE32' };
    const other = await make([password, exported({ value: asText }, data, 'otp')]);
    t.is((await stored(other.id)).find(({ factor }) => factor === 'hotp')?.counter, 6);
    const code = (counter: number) => generateSync({ secret: asText, strategy: 'hotp', counter, algorithm: 'sha256' });
    const named = { username: other.username, password: PASSWORD };
    t.is((await passwordGrant(server, realm, { ...named, totp: code(6) })).status, 401, 'it was used at Keycloak');
    t.is((await passwordGrant(server, realm, { ...named, totp: code(7) })).status, 200);
  });

  engine.test('a hash that would cost a sign-in too much, or is none, is refused; what has no counterpart is left and said', async (t) => {
    const { make, server, realm, admin } = await realmOf();
    const salt = randomBytes(16).toString('base64');
    const value = randomBytes(64).toString('base64');
    const argon = (some: object) => ({
      ...{ hashIterations: 5, algorithm: 'argon2' },
      additionalParameters: { memory: ['7168'], type: ['id'], version: ['1.3'], parallelism: ['1'], ...some },
    });
    const refused: Given[] = [
      exported({ value, salt }, { hashIterations: 50_000_000, algorithm: 'pbkdf2-sha512' }),
      exported({ value, salt }, { hashIterations: 2_000_000, algorithm: 'pbkdf2' }),
      exported({ value, salt }, { hashIterations: 0, algorithm: 'pbkdf2-sha512' }),
      exported({ value, salt }, { hashIterations: 27_500, algorithm: 'md5' }),
      exported({ value: 'AAAA', salt }, { hashIterations: 27_500, algorithm: 'pbkdf2-sha512' }),
      exported({ value, salt }, argon({ memory: ['8388608'] })),
      exported({ value, salt }, argon({ type: ['x'] })),
      exported({ value, salt }, { ...argon({}), hashIterations: 100_000 }),
      { type: 'password', secretData: 'no json', credentialData: '{}' },
      { type: 'password', secretData: '{"value":1}', credentialData: '[]' },
      exported({ value: 'short' }, { subType: 'totp', digits: 6 }, 'otp'),
      exported({ value: 'x'.repeat(20) }, { subType: 'totp', digits: 7 }, 'otp'),
    ];
    for (const credential of refused) {
      const { status, body } = await refusal(make([credential]));
      t.is(status, 400, JSON.stringify(credential.credentialData));
      t.regex(body.errorMessage ?? '', /^credentials\.0/);
      t.notRegex(JSON.stringify(body), new RegExp(salt.slice(0, 8).replace(/[+/]/g, '.')));
    }
    t.is((await refusal(make([byPbkdf2('pbkdf2-sha256', 'sha256', 1_000, 64), { type: 'password' }]))).status, 400);
    const answer = await admin.call('POST', `/realms/${realm.name}/users`, {
      body: { username: `left-${realm.name}`, credentials: [{ type: 'webauthn', secretData: '{}', credentialData: '{}' }] },
    });
    t.is(answer.status, 201);
    t.regex(answer.headers.get('warning') ?? '', /credentials of type webauthn/);
    t.notRegex(server.log.join('\n'), /secretData/);
  });

  engine.test('a user that is there gets another password so, and an app only where there is no second factor', async (t) => {
    const { server, realm, client, make } = await realmOf();
    const password = byPbkdf2('pbkdf2-sha512', 'sha512', 1_000, 64);
    const totp = exported({ value: 'x'.repeat(20) }, { subType: 'totp', digits: 6 }, 'otp');
    const user = await make([]);
    await client.users.update({ id: user.id }, { credentials: [{ ...password, temporary: true }] });
    t.deepEqual((await client.users.findOne({ id: user.id }))?.requiredActions, ['UPDATE_PASSWORD']);
    await client.users.update({ id: user.id }, { requiredActions: [], credentials: [totp] });
    t.is((await refusal(client.users.update({ id: user.id }, { credentials: [totp] }))).status, 409);
    t.is((await client.users.getCredentials({ id: user.id })).length, 2);
    await client.users.update({ id: user.id }, { credentials: [{ type: 'password', value: 'a plain password' }] });
    t.is((await passwordGrant(server, realm, { username: user.username, password: PASSWORD })).body.error_description, 'Invalid user credentials');
    t.regex(String((await passwordGrant(server, realm, { username: user.username, password: 'a plain password' })).body.error_description), /code/);
    const viewer = await limitedClient(server, realm, ['view-users']);
    t.is((await refusal(viewer.client.users.update({ id: user.id }, { credentials: [password] }))).status, 403);
  });
});
