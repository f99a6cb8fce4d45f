/** A realm as commands print it. */
import { issuerOf } from '../realms/issuer.ts';
import type { RealmRow } from '../store/realms.ts';
import { isoTime } from './output.ts';

export const documentOf = (row: RealmRow, origin: string) => ({
  id: row.id,
  name: row.name,
  displayName: row.displayName,
  enabled: row.enabled,
  issuer: issuerOf(origin, row.name),
  createdAt: isoTime(row.createdAt),
});
