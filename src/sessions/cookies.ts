/** What a browser's Cookie header says, as far as no library is asked for one cookie by its name. */

/**
 * The names of the cookies that a browser sent. By splitting alone: whoever writes the header may make it as long as Node takes
 * it, and a pattern that looks for a name before its `=` looks through a long word once for each of its letters.
 */
export const cookieNames = (header: string | undefined): string[] => (header ?? '').split(';').map((cookie) => cookie.split('=', 1)[0]?.trim() ?? '');
