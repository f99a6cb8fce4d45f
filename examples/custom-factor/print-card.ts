/** Prints the grid card of a user: `GRID_CARD_KEY=… npx node examples/custom-factor/print-card.ts USER-ID` (`npx cardea user list --json` has the ids). */
import { COLUMNS, characterAt, ROWS } from './grid-card.ts';

const [, , userId] = process.argv;
if (!userId) throw new Error('Whose card? Give the id of a user.');

console.log(`   ${[...COLUMNS].join(' ')}`);
for (const row of ROWS) console.log(`${row}  ${[...COLUMNS].map((column) => characterAt(userId, `${column}${row}`)).join(' ')}`);
