/**
 * Which factors a realm uses: those of the product, switched off and on; modules of the installation, taken up and dropped;
 * and webhooks of its own, with their secrets.
 */
import { z } from 'zod';
import { randomToken } from '../../crypto/codes.ts';
import { AppError, badInput, conflict, notFound } from '../../errors.ts';
import type { LoadedModule } from '../../factors/custom/modules.ts';
import { builtIn } from '../../factors/index.ts';
import { sealedWebhookSecrets, webhookSecretsIn } from '../../factors/webhook-secrets.ts';
import type { Kind, Level } from '../../policy/assurance.ts';
import { type CustomFactorEntry, factorTerms, SLUG, webhookEntry } from '../../realms/custom-factor-settings.ts';
import type { RealmSettings } from '../../realms/settings.ts';
import { deleteAllOfFactor } from '../../store/credentials.ts';
import { deleteFactorWebhook, type FactorWebhookRow, factorWebhook, insertFactorWebhook, replaceFactorWebhook } from '../../store/factor-webhooks.ts';
import type { RealmRow } from '../../store/realms.ts';
import { audit, type Operator, validated } from './context.ts';
import { updateRealmSettings } from './realm-settings.ts';

/** A second factor as a realm stands to it. */
export interface ListedFactor {
  id: string;
  source: 'built-in' | 'module' | 'webhook';
  name: string;
  /** `on`: used. `off`: switched off. `unused`: a module that the realm has not taken up. `missing`: one that is not loaded any more. */
  state: 'on' | 'off' | 'unused' | 'missing';
  kinds: readonly Kind[];
  level: Level;
  /** Null for those of the product, which say it themselves. */
  amr: readonly string[] | null;
  everyone: boolean;
  url: string | null;
}

/** @param modules those that the installation has loaded */
export function listFactors({ settings }: RealmRow, modules: readonly LoadedModule[]): ListedFactor[] {
  const off = (id: string): 'on' | 'off' => (settings.disabledFactors.includes(id) ? 'off' : 'on');
  const loaded = (id: string): boolean => modules.some((module) => module.id === id);
  const products = builtIn
    .filter(({ role }) => role === 'second')
    .map((factor): ListedFactor => {
      const { id, name, kinds } = factor;
      return { id, source: 'built-in', name, state: off(id), kinds, level: factor.levelIn(settings), amr: null, everyone: false, url: null };
    });
  const customs = settings.customFactors.map((entry): ListedFactor => {
    const { id, source, name, kind, level, amr, everyone } = entry;
    const state = source === 'module' && !loaded(id) ? 'missing' : off(id);
    return { id, source, name, state, kinds: [kind], level, amr, everyone, url: entry.source === 'webhook' ? entry.url : null };
  });
  const unused = modules
    .filter(({ id }) => !settings.customFactors.some((entry) => entry.id === id))
    .map(({ id, name, kind, level, amr }): ListedFactor => {
      return { id, source: 'module', name, state: 'unused', kinds: [kind], level, amr, everyone: false, url: null };
    });
  return [...products, ...customs, ...unused];
}

const newWebhook = webhookEntry.omit({ source: true, id: true }).extend({
  slug: z.string().regex(SLUG, 'must be up to 40 lower-case letters, digits and hyphens, beginning with a letter'),
  strength: webhookEntry.shape.strength.default('A second step of your organisation.'),
  kind: webhookEntry.shape.kind.default('possession'),
  level: webhookEntry.shape.level.default('aal2'),
  events: webhookEntry.shape.events.default(['init', 'check']),
});
export type NewWebhook = z.input<typeof newWebhook>;

/**
 * Adds a webhook as a factor of the realm. Its secret is answered here and never again.
 * @param requireFetchable refuses an address that the server would not call; it throws an AppError
 */
export async function addWebhook(
  operator: Operator,
  realm: RealmRow,
  input: NewWebhook,
  requireFetchable: (url: string) => void,
): Promise<{ factor: CustomFactorEntry; secret: string }> {
  const { slug, ...asked } = validated(newWebhook, input);
  try {
    requireFetchable(asked.url);
  } catch (error) {
    throw error instanceof AppError ? badInput('url', error.message) : error;
  }
  const id = `webhook-${slug}`;
  if (entryOf(realm, id)) throw conflict(`Realm "${realm.name}" has a factor "${id}" already.`, 'slug');
  const factor: CustomFactorEntry = { source: 'webhook', id, ...asked };
  const secret = randomToken(32);
  const row = { realmId: realm.id, id };
  const secrets = await sealedWebhookSecrets(operator.keyring, row, [secret]);
  await updateRealmSettings(operator, realm, withEntry(realm.settings, factor), {
    event: { type: 'factor.added', details: { factor: id, host: new URL(asked.url).host } },
    within: (trx) => insertFactorWebhook(trx, { ...row, secrets, updatedAt: operator.now }),
  });
  return { factor, secret };
}

/**
 * A new secret for a webhook. The one before it is accepted beside it, until it is finished or there is another new one;
 * requests are signed with both.
 */
export async function rotateWebhookSecret(operator: Operator, realm: RealmRow, id: string): Promise<{ secret: string }> {
  const { row, secrets } = await requireWebhook(operator, realm, id);
  const secret = randomToken(32);
  await replaceSecrets(operator, row, [secret, ...secrets.slice(0, 1)]);
  return { secret };
}

/** The end of a rotation: only the newest secret is accepted. 409 when there is no other. */
export async function finishSecretRotation(operator: Operator, realm: RealmRow, id: string): Promise<void> {
  const { row, secrets } = await requireWebhook(operator, realm, id);
  if (secrets.length < 2) throw conflict(`Webhook "${id}" has one secret only. Make a new one first.`);
  await replaceSecrets(operator, row, secrets.slice(0, 1));
}

const changes = factorTerms.extend({ everyone: z.boolean() }).partial();
export type FactorTerms = z.input<typeof changes>;

/**
 * Has the realm use a factor: one that was switched off, or a module of the installation.
 * @param terms of a custom factor: what it may claim, and who has it; what is not given stays as it is, or as the module says
 * @throws AppError 404 for what is no factor here, 400 for terms that are more than the module gives, or for a factor of the product
 */
export async function enableFactor(
  operator: Operator,
  realm: RealmRow,
  request: { id: string; terms?: FactorTerms; modules: readonly LoadedModule[] },
): Promise<RealmRow> {
  const { id, modules } = request;
  const terms = validated(changes, request.terms ?? {});
  const { settings } = realm;
  const enabled = { disabledFactors: settings.disabledFactors.filter((other) => other !== id) };
  const along = { event: { type: 'factor.enabled', details: { factor: id } } } as const;
  if (isProduct(id)) {
    if (Object.values(terms).some((term) => term !== undefined))
      throw badInput('factor', `What "${id}" is worth is said by the settings of the realm.`);
    return (await updateRealmSettings(operator, realm, enabled, along)).realm;
  }
  const module = modules.find((one) => one.id === id);
  const before = entryOf(realm, id) ?? (module && entryFor(module));
  if (!before) throw noFactor(realm, id);
  const { amr = before.amr, level = before.level, everyone = before.everyone } = terms;
  const entry: CustomFactorEntry = { ...before, amr, level, everyone };
  if (module) requireWithin(module, entry);
  return (await updateRealmSettings(operator, realm, { ...enabled, ...withEntry(settings, entry) }, along)).realm;
}

/** Nobody is asked for the factor any more, and nobody can add one; what users have of it stays. */
export async function disableFactor(operator: Operator, realm: RealmRow, id: string): Promise<RealmRow> {
  if (!isProduct(id) && !entryOf(realm, id)) throw noFactor(realm, id);
  const patch = { disabledFactors: [...new Set([...realm.settings.disabledFactors, id])] };
  return (await updateRealmSettings(operator, realm, patch, { event: { type: 'factor.disabled', details: { factor: id } } })).realm;
}

/** Takes a custom factor away for good, with everything that users have of it. */
export async function removeFactor(operator: Operator, realm: RealmRow, id: string): Promise<RealmRow> {
  if (isProduct(id)) throw badInput('factor', `"${id}" is part of the product. It can be switched off.`);
  const entry = entryOf(realm, id);
  if (!entry) throw noFactor(realm, id);
  const { customFactors, disabledFactors } = realm.settings;
  const patch = { customFactors: customFactors.filter((other) => other !== entry), disabledFactors: disabledFactors.filter((other) => other !== id) };
  const changed = await updateRealmSettings(operator, realm, patch, {
    event: { type: 'factor.removed', details: { factor: id } },
    within: async (trx) => {
      await deleteFactorWebhook(trx, realm.id, id);
      await deleteAllOfFactor(trx, realm.id, id);
    },
  });
  return changed.realm;
}

async function replaceSecrets(operator: Operator, row: FactorWebhookRow, secrets: readonly string[]): Promise<void> {
  const { db, keyring, now } = operator;
  const sealed = await sealedWebhookSecrets(keyring, row, secrets);
  await db.transaction(async (trx) => {
    if (!(await replaceFactorWebhook(trx, row, { secrets: sealed, updatedAt: now })))
      throw conflict(`The secret of "${row.id}" was changed by somebody else in this moment. Look at it again.`);
    await audit(operator, { realmId: row.realmId }, { type: 'factor.secret-rotated', details: { factor: row.id, accepted: secrets.length } }, trx);
  });
}

const isProduct = (id: string): boolean => builtIn.some((factor) => factor.id === id && factor.role === 'second');
const entryOf = ({ settings }: RealmRow, id: string): CustomFactorEntry | undefined => settings.customFactors.find((entry) => entry.id === id);

async function requireWebhook(operator: Operator, realm: RealmRow, id: string): Promise<{ row: FactorWebhookRow; secrets: string[] }> {
  const row = entryOf(realm, id) && (await factorWebhook(operator.db.knex, realm.id, id));
  if (!row) throw notFound(`Realm "${realm.name}" has no webhook "${id}".`);
  return { row, secrets: await webhookSecretsIn(operator.keyring, row) };
}

const withEntry = ({ customFactors }: RealmSettings, entry: CustomFactorEntry): Pick<RealmSettings, 'customFactors'> => ({
  customFactors: customFactors.some(({ id }) => id === entry.id)
    ? customFactors.map((other) => (other.id === entry.id ? entry : other))
    : [...customFactors, entry],
});

const entryFor = ({ id, name, strength, kind, amr, level }: LoadedModule): CustomFactorEntry => ({
  source: 'module',
  id,
  name,
  strength,
  kind,
  amr: [...amr],
  level,
  everyone: false,
});

/** What a realm allows is not more than the module gives. */
function requireWithin(module: LoadedModule, entry: CustomFactorEntry): void {
  const foreign = entry.amr.filter((name) => !module.amr.includes(name));
  if (foreign.length > 0) throw badInput('amr', `The module claims ${module.amr.join(', ')}; it cannot be allowed ${foreign.join(', ')}.`);
  if (module.level === 'aal1' && entry.level !== 'aal1') throw badInput('level', 'The module is worth aal1 at most.');
}

const noFactor = (realm: RealmRow, id: string) => notFound(`There is no factor "${id}" for realm "${realm.name}".`);
