/** Which events somebody wants to hear of: types, the beginnings of several (`mfa.*`), or all of them (`*`). */

/** As types are written; a star may stand for all that follows a dot. */
export const PATTERN = /^(?:\*|[a-z]+(?:[._-][a-z]+)*(?:\.\*)?)$/;

export const wants = (patterns: readonly string[], type: string): boolean =>
  patterns.some((pattern) => pattern === '*' || pattern === type || (pattern.endsWith('.*') && type.startsWith(pattern.slice(0, -1))));
