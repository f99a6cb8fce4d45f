/**
 * A sign-in method is removed because the application asked for it (`kc_action=delete_credential:ID`), by the user who was
 * told which one it is. What the policy asks for stays, as in the account console.
 */
import { record } from '../audit/record.ts';
import { conflict } from '../errors.ts';
import { nameOf } from '../factors/names.ts';
import { say, type Words } from '../languages/messages.ts';
import { wishOf } from '../policy/wish.ts';
import { removeCredential } from '../sessions/credential-changes.ts';
import { isEnoughLeftOf } from '../sessions/enough.ts';
import { type CredentialRow, credentialsOf } from '../store/credentials.ts';
import type { LoginForm } from './form.ts';
import { REMOVE_METHOD } from './required.ts';
import type { Login, LoginRequest } from './room.ts';
import { auditOrigin, type Outcome, requireFactor, rulesOf, signingIn } from './steps.ts';
import { requireStillProved } from './still-proved.ts';

const iso = (at: number): string => new Date(at).toISOString();

export async function removeMethodPage(request: LoginRequest, login: Login): Promise<{ view: string; model: object }> {
  const { user, known } = await signingIn(request, login);
  const row = heldOf(request, known.credentials);
  return { view: 'login/remove-method', model: { username: user.username, method: row ? modelOf(request, row) : null } };
}

/** The button `accept`. */
export async function removeMethodStep(request: LoginRequest, login: Login, form: LoginForm): Promise<Outcome | undefined> {
  if (form.do !== 'accept') return undefined;
  const { user, known } = await signingIn(request, login);
  const row = heldOf(request, known.credentials);
  if (!row) throw conflict(say('account.methods.gone'));
  const { at, factors, realm } = request;
  const origin = auditOrigin(request, login, user.id);
  const tell = await request.tell(user, { kind: 'methodRemoved', method: nameIn(request, row), label: row.label }, at);
  const left = { ...known, credentials: known.credentials.filter((other) => other !== row) };
  return {
    event: { type: 'answered', action: REMOVE_METHOD, removed: [row.id] },
    rules: await rulesOf(request, login, user.id, left),
    renew: true,
    subject: user.id,
    within: async (trx) => {
      // Two removals at once would each see the other method still there.
      await requireStillProved(trx, request, login, user);
      const held = await credentialsOf(trx, user.realmId, user.id);
      const stays = !isEnoughLeftOf(
        factors,
        realm,
        known,
        held.filter(({ id }) => id !== row.id),
        at,
      );
      if (stays) throw conflict(say('account.stays.message', { realm: realm.realm.displayName }));
      if (!(await removeCredential(trx, row, origin))) throw conflict(say('login.stepDone'));
      await record(trx, origin, { type: 'mfa.factor.removed', details: { factor: row.factor, credential: row.id } });
      await tell(trx);
    },
  };
}

const nameIn = (request: LoginRequest, row: CredentialRow): Words => nameOf(requireFactor(request, row.factor));

const modelOf = (request: LoginRequest, row: CredentialRow) => ({
  ...{ name: nameIn(request, row), label: row.label },
  ...{ createdAt: iso(row.createdAt), lastUsedAt: row.lastUsedAt === null ? null : iso(row.lastUsedAt) },
});

/** The method that is asked about; undefined when it is gone by now. */
function heldOf({ asked, factors, realm }: LoginRequest, held: readonly CredentialRow[]): CredentialRow | undefined {
  const removes = wishOf(asked.params.kc_action)?.removes;
  return held.find(({ id, factor }) => id === removes && factors.in(realm.realm.settings).get(factor)?.role === 'second');
}
