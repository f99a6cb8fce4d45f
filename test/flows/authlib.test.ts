/**
 * Authlib, Debian's own, by the program of examples/python-authlib as it stands, by https: code flow with PKCE, the ID token
 * verified with the realm's keys, userinfo, refresh, introspection and revocation; with a secret, and with a key.
 */
import { spawn, spawnSync } from 'node:child_process';
import { generateKeyPairSync } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { createInterface } from 'node:readline';
import test, { type ExecutionContext } from 'ava';
import type { NewClient } from '../../src/admin/resources/clients.ts';
import { rotateKeys } from '../../src/admin/resources/keys.ts';
import { startCardea } from '../support/cardea.ts';
import { onSqlite, temporaryFolder } from '../support/databases.ts';
import { open } from '../support/gate.ts';
import { navigator } from '../support/navigator.ts';
import { freePort } from '../support/ports.ts';
import type { Body } from '../support/programs.ts';
import { CERTIFICATE, startTlsFront, tlsFiles } from '../support/tls.ts';

/** The system's, whatever else is in the path: that is the one Debian's packages are for. */
const PYTHON = process.env.PYTHON_PATH || '/usr/bin/python3';
const PROGRAM = new URL('../../examples/python-authlib/app.py', import.meta.url).pathname;

function authlibTest(title: string, body: Body): void {
  const isThere = spawnSync(PYTHON, ['-c', 'import authlib, requests']).status === 0;
  if (isThere) onSqlite.test(title, body);
  else if (process.env.REQUIRE_AUTHLIB === '1') test(title, (t) => t.fail(`REQUIRE_AUTHLIB=1, but ${PYTHON} has no authlib and requests`));
  else test.skip(`${title} (needs python3-authlib and python3-requests)`, body);
}

const begin = async () => {
  const front = await freePort();
  const cardea = await startCardea(await onSqlite.database(), { CARDEA_ORIGIN: `https://localhost:${front}`, CARDEA_TRUST_PROXY: '1' });
  await startTlsFront(front, () => cardea.url);
  const realm = await cardea.realm();
  return { cardea, realm, issuer: `${cardea.origin}/realms/${realm.name}`, ca: tlsFiles().certificate };
};
let shared: ReturnType<typeof begin> | undefined;
const world = () => {
  shared ??= begin();
  return shared;
};

type Said = [what: string, value: Record<string, unknown> | string | boolean];

/** Runs the program to its end. @param onOpen is told the address that it prints */
async function run(
  env: Record<string, string>,
  args: string[] = [],
  onOpen?: (url: string) => Promise<unknown>,
): Promise<{ status: number | null; said: Said[]; errors: string }> {
  const child = spawn(PYTHON, [PROGRAM, ...args], { env: { PATH: process.env.PATH, ...env }, stdio: ['ignore', 'pipe', 'pipe'] });
  let errors = '';
  child.stderr.on('data', (chunk: Buffer) => {
    errors += chunk.toString();
  });
  const ended = new Promise<number | null>((resolve) => child.once('close', resolve));
  const said: Said[] = [];
  for await (const line of createInterface({ input: child.stdout })) {
    const [entry] = Object.entries(JSON.parse(line)) as Said[];
    if (entry?.[0] === 'open')
      await onOpen?.(String(entry[1])).catch((error: unknown) => {
        // It would wait for the browser.
        child.kill();
        throw error;
      });
    else if (entry) said.push(entry);
  }
  return { status: await ended, said, errors };
}

/** Somebody signs in with the program on behalf of a client. */
async function signedIn(t: ExecutionContext, input: Partial<NewClient>, credentials: (secret: string | null) => Record<string, string>) {
  const { cardea, realm, issuer, ca } = await world();
  const port = await freePort();
  const client = await cardea.client(realm, { redirectUris: [`http://127.0.0.1:${port}/callback`], ...input });
  const user = await cardea.user(realm, { emailVerified: true });
  const env = { ISSUER: issuer, CLIENT_ID: client.clientId, PORT: String(port), REQUESTS_CA_BUNDLE: ca, ...credentials(client.secret) };
  let asked = new URLSearchParams();
  const result = await run(env, [], async (url) => {
    asked = new URL(url).searchParams;
    const page = await open(navigator({ ca: CERTIFICATE }), url, user);
    if (!page.html.includes('You may close')) throw new Error(`${page.url}: ${page.html}`);
  });
  t.is(result.status, 0, result.errors);
  return { ...result, asked, client, user, issuer };
}

const SIGNED_IN = ['claims', 'userinfo', 'refreshed', 'active', 'active'];

authlibTest('Authlib: a user signs in by PKCE, the ID token is verified, refreshed, asked about and taken back', async (t) => {
  const { said, asked, client, user, issuer } = await signedIn(t, {}, (secret) => ({ CLIENT_SECRET: secret ?? '' }));
  t.is(asked.get('code_challenge_method'), 'S256');
  t.deepEqual(
    said.map(([what]) => what),
    SIGNED_IN,
  );
  const [claims, userinfo, refreshed, before, after] = said.map(([, value]) => value);
  t.like(claims, { iss: issuer, sub: user.id, preferred_username: user.username, email: user.email, acr: 'aal1' });
  t.like(userinfo, { sub: user.id, email: user.email, email_verified: true });
  t.like(refreshed, { sub: user.id, acr: 'aal1' });
  t.deepEqual([before, after], [true, false], 'what was taken back is not active');
  t.truthy(client.clientId);
});

authlibTest('Authlib: a client authenticates by its key at every endpoint (private_key_jwt), and by no secret', async (t) => {
  const { privateKey, publicKey } = generateKeyPairSync('rsa', {
    modulusLength: 2048,
    privateKeyEncoding: { type: 'pkcs8', format: 'pem' },
    publicKeyEncoding: { type: 'spki', format: 'pem' },
  });
  const file = `${temporaryFolder()}/key.pem`;
  writeFileSync(file, privateKey);
  const attributes = { 'jwt.credential.public.key': publicKey, 'token.endpoint.auth.signing.alg': 'RS256' };
  const byKey = { kept: { clientAuthenticatorType: 'client-jwt' }, attributes };
  const { said, client, issuer } = await signedIn(t, byKey, () => ({ CLIENT_KEY: file }));
  t.deepEqual(
    said.map(([what]) => what),
    SIGNED_IN,
  );
  const { ca } = await world();
  const refused = await run({ ISSUER: issuer, CLIENT_ID: client.clientId, REQUESTS_CA_BUNDLE: ca, CLIENT_SECRET: client.secret ?? 'none' }, [
    'machine',
  ]);
  t.is(refused.status, 1);
  t.regex(refused.errors, /invalid_client|unauthorized_client/);
});

authlibTest('Authlib: a program has tokens of its own, of the key that signs now', async (t) => {
  const { cardea, realm, issuer, ca } = await world();
  const secret = 'the secret of a robot';
  await cardea.client(realm, { clientId: 'robot', secret, redirectUris: [], serviceAccount: true });
  const env = { ISSUER: issuer, CLIENT_ID: 'robot', CLIENT_SECRET: secret, REQUESTS_CA_BUNDLE: ca };
  const [[, token] = []] = (await run(env, ['machine'])).said;
  t.like(token, { iss: issuer, azp: 'robot', typ: 'Bearer', preferred_username: 'service-account-robot' });
  await rotateKeys(cardea.operator(), realm, { publishAheadMs: 0 });
  t.is((await run(env, ['machine'])).status, 0);
  const wrong = await run({ ...env, CLIENT_SECRET: 'wrong' }, ['machine']);
  t.is(wrong.status, 1);
  t.regex(wrong.errors, /invalid_client/);
});
