/** A person's keys over HTTP: what a page asks of a browser, and keys that are bound without the pages. */
import { randomBytes, randomUUID } from 'node:crypto';
import type { PublicKeyCredentialCreationOptionsJSON, PublicKeyCredentialRequestOptionsJSON } from '@simplewebauthn/server';
import { type CredentialRow, credentialSeal, insertCredential } from '../../src/store/credentials.ts';
import type { UserRow } from '../../src/store/users.ts';
import { type Form, formsOf, type Page, unescapeHtml } from './agent.ts';
import { Authenticator, type Traits } from './authenticator.ts';
import type { Cardea } from './cardea.ts';
import { text } from './sign-in.ts';
import { creationOptions, requestOptions } from './webauthn.ts';

/** The form that asks for a key; the first page has it beside another one. */
export function keyForm(page: Page): Form {
  const form = formsOf(page).find(({ html }) => html.includes('data-webauthn='));
  if (!form) throw new Error(`No key is asked for on ${page.url}: ${page.status} ${text(page)}`);
  return form;
}

const optionsOn = (page: Page): unknown => JSON.parse(unescapeHtml(/data-options="([^"]*)"/.exec(keyForm(page).html)?.[1] ?? ''));

/** What the page asks a browser to make. */
export const creationOn = (page: Page): PublicKeyCredentialCreationOptionsJSON => creationOptions({ model: { options: optionsOn(page) } });

/** What the page asks a browser to sign. */
export const requestOn = (page: Page): PublicKeyCredentialRequestOptionsJSON => requestOptions({ model: { options: optionsOn(page) } });

/** Makes a key for a user without the pages. */
export async function giveKey(
  server: Cardea,
  user: UserRow,
  factor: 'passkey' | 'security-key' = 'passkey',
  options: { device?: Authenticator; traits?: Partial<Traits>; label?: string } = {},
): Promise<{ id: string; credentialId: string; device: Authenticator }> {
  const device = options.device ?? new Authenticator({ origin: server.origin, ...options.traits });
  const handle = randomBytes(64).toString('base64url');
  device.create({
    challenge: handle,
    rp: { id: new URL(server.origin).hostname, name: 'Cardea' },
    user: { id: handle, name: user.username, displayName: user.username },
    pubKeyCredParams: [],
  });
  const key = device.keys.at(-1);
  if (!key) throw new Error('No key was made.');
  const row = { realmId: user.realmId, userId: user.id, id: randomUUID() };
  const secret = {
    credentialId: key.id,
    publicKey: device.publicKeyOf(key).toString('base64url'),
    transports: device.traits.transports,
    handle,
    aaguid: device.traits.aaguid,
    backupEligible: device.traits.be,
    backedUp: device.traits.bs,
    attested: false,
  };
  const stored: CredentialRow = {
    ...row,
    factor,
    label: options.label ?? 'Laptop',
    secret: await server.keyring.seal(credentialSeal(row), JSON.stringify(secret)),
    counter: device.traits.counts ? device.counter - 1 : 0,
    enabled: true,
    level: null,
    lookup: key.id,
    createdAt: Date.now(),
    lastUsedAt: null,
  };
  await insertCredential(server.db.knex, stored);
  return { id: row.id, credentialId: key.id, device };
}
