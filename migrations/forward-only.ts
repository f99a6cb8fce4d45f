/** Migrations go forward only: an older release runs beside a newer one during an upgrade, so nothing is ever taken back. */
export async function forwardOnly(): Promise<never> {
  throw new Error('Migrations of Cardea go forward only. Restore a backup to return to an older schema.');
}
