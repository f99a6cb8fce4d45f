/**
 * What a gate asks for a path. Pure.
 *
 * The first rule that fits holds, for each reading of the path (gate-paths.ts); where the readings differ, what either
 * asks is asked.
 */
import { type Level, strongest } from './assurance.ts';
import type { GateRule } from './gate-document.ts';
import { foldPath, type GatePath } from './gate-paths.ts';

/** What somebody has to have shown, and to be. */
export interface GateNeed {
  access: GateRule['access'];
  /** Null where being signed in is enough. */
  level: Level | null;
  /** All of these hold, each by any of its names. */
  conditions: readonly { roles: readonly string[] | null; groups: readonly string[] | null }[];
}

const SIGNED_IN: GateRule = { path: '/**', access: 'signed-in' };
const STRICTNESS = { public: 0, 'signed-in': 1, denied: 2 } as const;

export function gateNeed(rules: readonly GateRule[], path: GatePath): GateNeed {
  const plain = rules.find((rule) => fits(rule.path, path.plain)) ?? SIGNED_IN;
  const folded = rules.find((rule) => fits(foldPattern(rule.path), path.folded)) ?? SIGNED_IN;
  const both = plain === folded ? [plain] : [plain, folded];
  const access = both.reduce<GateRule['access']>((most, rule) => (STRICTNESS[rule.access] > STRICTNESS[most] ? rule.access : most), 'public');
  const levels = both.flatMap(({ level }) => level ?? []);
  return {
    access,
    level: levels.reduce<Level | null>((most, level) => (most === null ? level : strongest(most, level)), null),
    conditions: both
      .filter(({ roles, groups }) => roles !== undefined || groups !== undefined)
      .map(({ roles = null, groups = null }) => ({ roles, groups })),
  };
}

/** Whether somebody has what the conditions name. */
export function isAllowed({ conditions }: GateNeed, user: { roles: readonly string[]; groups: readonly string[] }): boolean {
  const any = (wanted: readonly string[] | null, held: readonly string[]): boolean => wanted === null || wanted.some((one) => held.includes(one));
  return conditions.every(({ roles, groups }) => any(roles, user.roles) && any(groups, user.groups));
}

/** Roles that any rule names. */
export const rolesOfRules = (rules: readonly GateRule[]): string[] => [...new Set(rules.flatMap(({ roles }) => roles ?? []))];

const BELOW = '/**';

function fits(pattern: string, path: string): boolean {
  if (pattern.endsWith(BELOW)) {
    const top = pattern.slice(0, -BELOW.length);
    return path === top || path.startsWith(`${top}/`);
  }
  // Most programs serve the same with and without the slash at the end.
  return path.replace(/(?<=.)\/$/, '') === pattern.replace(/(?<=.)\/$/, '');
}

const foldPattern = (pattern: string): string =>
  pattern.endsWith(BELOW) ? `${foldPath(pattern.slice(0, -BELOW.length))}${BELOW}` : foldPath(pattern);
