/** Attempts to tell applications of the end of a session, for the metrics: how each ended and how long it took. */

export interface LogoutCall {
  result: 'delivered' | 'again' | 'failed';
  ms: number;
}

type Listener = (call: LogoutCall) => void;
const listeners = new Set<Listener>();

/** Tells `listener` of every attempt in this process; answers how to stop it. */
export function onLogoutCall(listener: Listener): () => void {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

export function logoutCalled(call: LogoutCall): void {
  for (const listener of listeners) listener(call);
}
