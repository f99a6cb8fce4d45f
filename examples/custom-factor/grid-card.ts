/**
 * A custom factor as a module: a card with a grid of characters, as banks once sent them. The server asks for three of its
 * fields, others each time.
 *
 *     CARDEA_FACTOR_MODULES=./examples/custom-factor/grid-card.ts GRID_CARD_KEY=… npm start
 *
 * A card is not stored anywhere: it is derived from a key of the company and the user, so that whoever has the key can
 * print it (print-card.ts).
 */
import { createHmac, randomInt, timingSafeEqual } from 'node:crypto';
import type { CustomFactor } from '../../src/factors/custom/hooks.ts';

export const COLUMNS = 'ABCDEFGH';
export const ROWS = '12345678';
/** With five tries a sign-in, three of 31 characters are guessed once in 6,000 sign-ins; after ten failures comes a pause. */
const FIELDS = 3;
/** Without those that are read for one another. */
const CHARACTERS = 'ABCDEFGHJKMNPQRSTUVWXYZ23456789';

const key = process.env.GRID_CARD_KEY ?? '';
// Whoever starts the server hears of it, instead of the first user.
if (key.length < 32) throw new Error('GRID_CARD_KEY must have 32 characters or more; make one by: openssl rand -base64 32');

/** What stands in a field of a user's card. */
export function characterAt(userId: string, field: string): string {
  const number = createHmac('sha256', key).update(`${userId} ${field}`).digest().readUInt32BE(0);
  return CHARACTERS.charAt(number % CHARACTERS.length);
}

const gridCard: CustomFactor = {
  id: 'grid-card',
  kind: 'possession',
  amr: 'grid',
  name: 'Grid card',
  strength: 'The card from your welcome letter. A fake page can ask for a few of its fields, but not for all of them.',

  initMFA() {
    const fields = new Set<string>();
    while (fields.size < FIELDS) fields.add(`${COLUMNS.charAt(randomInt(COLUMNS.length))}${ROWS.charAt(randomInt(ROWS.length))}`);
    const asked = [...fields];
    return { message: `Type the characters in the fields ${asked.join(', ')} of your card.`, label: asked.join(' '), state: asked };
  },

  checkMFA({ user }, input, state) {
    if (!Array.isArray(state)) return false;
    const right = state.map((field) => characterAt(user.id, String(field))).join('');
    const typed = input.replaceAll(/[\s-]/g, '').toUpperCase();
    return /^[A-Z2-9]{3}$/.test(typed) && timingSafeEqual(Buffer.from(typed), Buffer.from(right));
  },
};

export default gridCard;
