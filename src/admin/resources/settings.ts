/** Changes of a realm's settings: read, changed and written only if nobody else did meanwhile, and recorded in the same transaction. */
import type { AuditEvent } from '../../audit/event.ts';
import { conflict } from '../../errors.ts';
import { type RealmSettings, realmSettings } from '../../realms/settings.ts';
import { type RealmRow, updateRealmSettings } from '../../store/realms.ts';
import type { Transaction } from '../../store/rows.ts';
import { audit, type Operator, validated } from './context.ts';

export interface SettingsChange {
  /** Instead of what is there now. */
  settings: Partial<RealmSettings>;
  event: AuditEvent;
  /** What else changes with it; whatever has to be sealed or hashed was before. */
  within?: (trx: Transaction) => Promise<void>;
}

/**
 * @param realm as the operator has read it
 * @returns the realm as it is now
 * @throws AppError 409 when the realm was changed since it was read
 */
export async function changeSettings(operator: Operator, realm: RealmRow, change: SettingsChange): Promise<RealmRow> {
  const { db, now } = operator;
  const settings = validated(realmSettings, { ...realm.settings, ...change.settings });
  await db.transaction(async (trx) => {
    if (!(await updateRealmSettings(trx, realm, settings, now)))
      throw conflict(`Realm "${realm.name}" was changed by somebody else in this moment. Look at it again.`);
    await change.within?.(trx);
    await audit(operator, { realmId: realm.id }, change.event, trx);
    await db.changes.announce(`realm:${realm.id}`, trx);
  });
  return { ...realm, settings, version: realm.version + 1, updatedAt: now };
}
