/** The custom factors of a realm, made from its settings: modules of the installation that it uses, and webhooks of its own. */
import type { RealmSettings } from '../../realms/settings.ts';
import type { Factor } from '../factor.ts';
import { customFactor } from './custom.ts';
import { HookFault, type Hooks } from './hooks.ts';
import type { LoadedModule } from './modules.ts';
import type { Report } from './running.ts';
import { type Send, webhookHooks } from './webhook.ts';

export interface CustomFactorDeps {
  modules: readonly LoadedModule[];
  /** The guarded client. */
  send: Send;
  /** The secrets of a webhook that are accepted now, the newest first. */
  secretsOf(realmId: string, factor: string): Promise<readonly string[]>;
  report: Report;
}

/**
 * A module that the realm uses and that is not loaded any more still is a factor of its users, who cannot answer it: to
 * leave it out would let them in with less than they have.
 */
export function customFactorsOf({ customFactors }: Pick<RealmSettings, 'customFactors'>, deps: CustomFactorDeps): Factor[] {
  const { modules, send, report } = deps;
  return customFactors.map((entry) => {
    if (entry.source === 'webhook') {
      const hooks = webhookHooks({ ...entry, send, secrets: (realmId) => deps.secretsOf(realmId, entry.id) });
      return customFactor({ ...entry, hooks, report });
    }
    const module = modules.find((one) => one.id === entry.id);
    if (!module) return customFactor({ ...entry, hooks: NOT_LOADED, report });
    return customFactor({ ...entry, kind: module.kind, level: module.level === 'aal1' ? 'aal1' : entry.level, hooks: module.hooks, report });
  });
}

const notLoaded = async (): Promise<never> => {
  throw new HookFault('The module is not loaded: CARDEA_FACTOR_MODULES does not name it.');
};
const NOT_LOADED: Hooks = { init: notLoaded, check: notLoaded };
