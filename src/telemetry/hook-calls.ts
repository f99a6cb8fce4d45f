/** Calls of the hooks of custom factors, for the metrics: how long each took, and whether it failed. */

export interface HookCall {
  factor: string;
  hook: string;
  ms: number;
  fault?: unknown;
}

type Listener = (call: HookCall) => void;
const listeners = new Set<Listener>();

/** Tells `listener` of every call in this process; answers how to stop it. */
export function onHookCall(listener: Listener): () => void {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

export function hookCalled(call: HookCall): void {
  for (const listener of listeners) listener(call);
}
