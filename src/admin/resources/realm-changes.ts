/**
 * A realm, changed as a whole: its name for people, whether it is switched on, its settings, its policy's names of levels
 * and the account that it sends mail by, in one transaction.
 */
import type { AuditEvent, PolicyChange } from '../../audit/event.ts';
import { conflict } from '../../errors.ts';
import type { PolicyDocument } from '../../policy/document.ts';
import type { RealmSettings } from '../../realms/settings.ts';
import { insertPolicy, policyInForce } from '../../store/policies.ts';
import { type RealmRow, updateRealm } from '../../store/realms.ts';
import type { Transaction } from '../../store/rows.ts';
import { audit, plainText, validated } from './context.ts';
import type { PlannedAccount } from './delivery.ts';
import { checkedPolicy, type PolicyOperator, policyDifferences } from './policy.ts';
import { settingDifferences } from './realm-settings.ts';

export interface RealmChange {
  displayName: string;
  enabled: boolean;
  settings: RealmSettings;
  /** The realm's own names of levels; undefined for those that there are. */
  acr?: PolicyDocument['acr'] | undefined;
  /** Undefined when it stays. */
  mail?: PlannedAccount | undefined;
}

/**
 * Changes a realm. What is the same as before is no change.
 * @returns the realm as it is now
 * @throws AppError 400 naming the field, 409 when somebody else changed the realm in this moment
 */
export async function changeRealm(operator: PolicyOperator, realm: RealmRow, change: RealmChange): Promise<RealmRow> {
  const displayName = validated(plainText(200), change.displayName);
  const settings = change.mail ? { ...change.settings, channels: { ...change.settings.channels, mail: change.mail.source } } : change.settings;
  const changes = [...namedChanges(realm, { displayName, enabled: change.enabled }), ...settingDifferences(realm.settings, settings)];
  const policy = await plannedLevels(operator, realm, change.acr);
  if (changes.length === 0 && !policy && !change.mail) return realm;

  const { db, now } = operator;
  const next: RealmRow = { ...realm, displayName, enabled: change.enabled, settings, version: realm.version + 1, updatedAt: now };
  await db.transaction(async (trx) => {
    if (!(await updateRealm(trx, next, realm.version)))
      throw conflict(`Somebody else has changed realm "${realm.name}" in this moment. Look at it, and try again.`);
    const tell = (event: AuditEvent): Promise<void> => audit(operator, { realmId: realm.id }, event, trx);
    await change.mail?.within(trx);
    if (change.mail) await tell(change.mail.event);
    if (policy) await tell(await policy(trx));
    if (changes.length > 0) await tell({ type: 'realm.updated', details: { changes } });
    await db.changes.announce(`realm:${realm.id}`, trx);
  });
  return next;
}

function namedChanges(realm: RealmRow, next: { displayName: string; enabled: boolean }): PolicyChange[] {
  return (['displayName', 'enabled'] as const).flatMap((at) => (realm[at] === next[at] ? [] : [{ at, from: realm[at], to: next[at] }]));
}

/** The policy with other names of levels; what is awaited within the transaction is the transaction. */
async function plannedLevels(
  operator: PolicyOperator,
  realm: RealmRow,
  acr: PolicyDocument['acr'] | undefined,
): Promise<((trx: Transaction) => Promise<AuditEvent>) | undefined> {
  if (acr === undefined) return undefined;
  const before = await policyInForce(operator.db.knex, realm.id);
  const document = checkedPolicy(operator, realm, { ...before.document, acr });
  const changes = policyDifferences(before.document, document);
  if (changes.length === 0) return undefined;
  return async (trx) => {
    const version = before.version + 1;
    const row = { realmId: realm.id, version, document, actor: operator.actor, createdAt: operator.now };
    if ((await policyInForce(trx, realm.id)).version !== before.version || !(await insertPolicy(trx, row)))
      throw conflict(`Somebody else has changed the policy of realm "${realm.name}" in this moment. Look at it, and try again.`);
    return { type: 'policy.changed', details: { version, changes } };
  };
}
