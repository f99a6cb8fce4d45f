/**
 * Loads the modules of custom factors that the installation names: once, at start. They run within the server and with all
 * of its rights, so only who runs the installation can name one; a realm chooses whether it uses it.
 */
import { resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { z } from 'zod';
import { cannotStart } from '../../errors.ts';
import { amrName, customLevel, factorText, SLUG } from '../../realms/custom-factor-settings.ts';
import type { CustomFactor, HookContext, ModuleContext } from './hooks.ts';
import type { CustomTerms } from './running.ts';

/** A custom factor as its module describes it, with everything filled in that may be left out; its id is `custom-<id>`. */
export type LoadedModule = Omit<CustomTerms, 'everyone' | 'report'>;

export interface ModuleLog {
  info(details: object, line: string): void;
}

const MAX_LOG_LINE = 500;
const STRENGTH = 'A second step of your organisation.';

/** What a module exports, and nothing else: a hook whose name is mistyped would silently be replaced by its default. */
const exported = z.strictObject({
  id: z.string().regex(SLUG, 'must be up to 40 lower-case letters, digits and hyphens, beginning with a letter'),
  kind: z.enum(['knowledge', 'possession', 'inherence']),
  amr: z.union([amrName.transform((name) => [name]), z.array(amrName).min(1).max(5)]),
  level: customLevel.default('aal2'),
  name: factorText(60).optional(),
  strength: factorText(200).default(STRENGTH),
  initMFA: z.custom<NonNullable<CustomFactor['initMFA']>>((value) => typeof value === 'function', 'must be a function').optional(),
  checkMFA: z.custom<NonNullable<CustomFactor['checkMFA']>>((value) => typeof value === 'function', 'must be a function').optional(),
});

/**
 * @param names paths, relative to the working directory (beginning with `.` or `/`), or names of packages that are installed beside Cardea
 * @param log where the lines of modules go
 * @throws AppError `cannot_start` that names the module and says what to change
 */
export async function loadFactorModules(names: readonly string[], log: ModuleLog = { info: () => undefined }): Promise<LoadedModule[]> {
  const loaded = new Map<string, LoadedModule>();
  for (const name of names) {
    const module = moduleOf(name, await imported(name), log);
    if (loaded.has(module.id)) throw wrong(name, `exports the id ${module.id.replace(/^custom-/, '')}, and so does another module`);
    loaded.set(module.id, module);
  }
  return [...loaded.values()];
}

async function imported(name: string): Promise<unknown> {
  const specifier = /^[./]/.test(name) ? pathToFileURL(resolve(name)).href : name;
  try {
    const module: unknown = await import(specifier);
    return module;
  } catch (cause) {
    throw wrong(name, `cannot be loaded: ${cause instanceof Error ? cause.message : String(cause)}`, cause);
  }
}

function moduleOf(name: string, module: unknown, log: ModuleLog): LoadedModule {
  const value = typeof module === 'object' && module !== null && 'default' in module ? module.default : { ...Object(module) };
  const result = exported.safeParse(value);
  if (!result.success) {
    const [issue] = result.error.issues;
    throw wrong(name, `is no custom factor: ${issue?.path.map(String).join('.') || 'what it exports'}: ${issue?.message ?? 'not valid'}`);
  }
  const { id, initMFA, checkMFA, ...rest } = result.data;
  const factor = `custom-${id}`;
  const told = (context: HookContext): ModuleContext => ({ ...context, log: (line) => log.info({ factor }, String(line).slice(0, MAX_LOG_LINE)) });
  return {
    ...rest,
    id: factor,
    name: rest.name ?? id,
    hooks: {
      ...(initMFA ? { init: async (context) => initMFA(told(context)) } : {}),
      ...(checkMFA ? { check: async (context, input, state) => checkMFA(told(context), input, state) } : {}),
    },
  };
}

const wrong = (name: string, what: string, cause?: unknown) => cannotStart(`CARDEA_FACTOR_MODULES names ${name}, which ${what}.`, cause);
