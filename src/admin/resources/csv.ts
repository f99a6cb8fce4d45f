/** Comma-separated values (RFC 4180) that a spreadsheet does not take for formulas. */

/** One line with its end. */
export const csvLine = (cells: readonly unknown[]): string => `${cells.map(cell).join(',')}\r\n`;

/** What begins like a formula would be one in a spreadsheet, and a browser's name is chosen by whoever visits: an apostrophe goes before it. */
function cell(value: unknown): string {
  if (value === null || value === undefined) return '';
  if (typeof value === 'number') return String(value);
  const text = String(value);
  const inert = /^[=+\-@\t\r]/.test(text) ? `'${text}` : text;
  return /[",\r\n]/.test(inert) ? `"${inert.replaceAll('"', '""')}"` : inert;
}
