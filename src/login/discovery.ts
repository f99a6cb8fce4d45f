/**
 * A sign-in that begins with no name: a passkey says whose it is. Its challenge is made with the first page, so that a
 * browser can offer passkeys while a name is typed.
 */
import { record } from '../audit/record.ts';
import type { Factor } from '../factors/factor.ts';
import { openCredentials } from '../factors/held.ts';
import { say } from '../languages/messages.ts';
import { credentialByLookup, touchCredential } from '../store/credentials.ts';
import { userById } from '../store/users.ts';
import { fieldsOf, type LoginForm } from './form.ts';
import type { Login, LoginRequest } from './room.ts';
import { auditOrigin, contextOf, type Outcome, proofOf, renew, requireFactor, rulesOf, throttleOf, wrong } from './steps.ts';

/** What the first page keeps: which factor, and its challenge. */
export interface Discovery {
  factor: string;
  state: unknown;
}

function discoveryOf(value: unknown): Discovery | undefined {
  if (typeof value !== 'object' || value === null || !('factor' in value) || typeof value.factor !== 'string') return undefined;
  return { factor: value.factor, state: 'state' in value ? value.state : null };
}

/** The challenge for the first page; null where the realm has no such factor. */
export async function beginDiscovery(request: LoginRequest): Promise<Discovery | null> {
  const { factors, realm } = request;
  for (const factor of factors.in(realm.realm.settings).values()) {
    const begun = await factor.discover?.begin(contextOf(request, { id: request.asked.cid }, undefined));
    if (begun) return { factor: factor.id, state: begun.state };
  }
  return null;
}

/** What the first page needs of it. */
export async function discoveryModel(request: LoginRequest, login: Login): Promise<Record<string, unknown> | null> {
  const discovery = discoveryOf(login.state.discovery);
  if (!discovery) return null;
  const { discover } = requireFactor(request, discovery.factor);
  return (await discover?.show(contextOf(request, login.row, undefined), discovery.state)) ?? null;
}

/** Another challenge for a first page that stood open for long; undefined when it is still good. */
export async function rediscover(request: LoginRequest, login: Login): Promise<Outcome | undefined> {
  const discovery = login.state.at === 'identify' || login.state.at === 'password' ? discoveryOf(login.state.discovery) : undefined;
  if (!discovery) return undefined;
  const factor = requireFactor(request, discovery.factor);
  const isStale = factor.discover?.isStale?.(contextOf(request, login.row, undefined), discovery.state) ?? false;
  return isStale ? { ...(await anotherChallenge(request, login, factor)), shown: {} } : undefined;
}

/** Somebody shows a passkey in place of a name and a password. */
export async function discoveryStep(request: LoginRequest, login: Login, form: LoginForm): Promise<Outcome | undefined> {
  const { db, keyring, realm, at } = request;
  const realmId = realm.realm.id;
  const discovery = discoveryOf(login.state.discovery);
  if (!discovery) return undefined;
  const factor = requireFactor(request, discovery.factor);
  const fields = fieldsOf(form);
  const lookup = factor.discover?.lookup(fields);
  if (lookup === undefined) return anew(request, login, factor);

  const row = await credentialByLookup(db.knex, realmId, factor.id, lookup);
  const owner = row && (await userById(db.knex, realmId, row.userId));
  // Where somebody in particular is expected, the passkey of another is one that is wrong.
  const user = owner?.id === (login.state.userId ?? owner?.id) ? owner : undefined;
  const counted = await throttleOf(request).factor(factor.id, user?.id ?? lookup, login.row.id, at);
  const cx = contextOf(request, login.row, user);
  const verdict = await counted.comparing(async () => {
    const held = row && user ? await openCredentials(keyring, factor, [row], row.id) : [];
    return factor.verify(cx, discovery.state, fields, held);
  });
  if (!verdict.ok || !user?.enabled || !row) {
    await counted.failed();
    const reason = user && !user.enabled ? 'disabled' : 'credentials';
    const origin = auditOrigin(request, login, user?.id);
    await record(db.knex, origin, { type: 'login.failed', details: { reason } });
    if (!verdict.ok && verdict.reason === 'cloned' && row)
      await record(db.knex, origin, { type: 'mfa.clone_suspected', details: { factor: factor.id, credential: row.id } });
    // What was answered first is on its way, and must not find another challenge.
    if (!verdict.ok && verdict.reason === 'replayed') return wrong(null, say('login.signIn.passkeyWrong'));
    return anew(request, login, factor);
  }
  await counted.succeeded();
  if (verdict.renewed !== undefined) await renew(request, [row], row.id, verdict.renewed);
  return {
    event: { type: 'proved', userId: user.id, proof: proofOf(factor, verdict, at), remember: form.remember !== undefined },
    rules: await rulesOf(request, login, user.id),
    renew: true,
    audit: { type: 'mfa.challenge.ok', details: { factor: factor.id, credential: row.id } },
    subject: user.id,
    within: (trx) => touchCredential(trx, row, at),
  };
}

/** The same for a passkey that is not known, one that is wrong and one of a disabled user; each challenge is answered once. */
async function anew(request: LoginRequest, login: Login, factor: Factor): Promise<Outcome> {
  const said = wrong(null, say('login.signIn.passkeyWrong'));
  return { ...(await anotherChallenge(request, login, factor)), ...('errors' in said ? { shown: said } : {}) };
}

async function anotherChallenge(request: LoginRequest, login: Login, factor: Factor): Promise<Extract<Outcome, { event: object }>> {
  const begun = await factor.discover?.begin(contextOf(request, login.row, undefined));
  const rules = await rulesOf(request, login, login.state.userId);
  const discovery: Discovery | null = begun ? { factor: factor.id, state: begun.state } : null;
  return { event: { type: 'rediscovered', discovery }, rules, renew: false };
}
