/** Attempts to tell webhooks, for the metrics: how each ended and how long it took, and how many messages were dropped. */

export type WebhookCall = { result: 'delivered' | 'again' | 'failed'; ms: number } | { result: 'dropped'; count: number };

type Listener = (call: WebhookCall) => void;
const listeners = new Set<Listener>();

/** Tells `listener` of every attempt in this process; answers how to stop it. */
export function onWebhookCall(listener: Listener): () => void {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

export function webhookCalled(call: WebhookCall): void {
  for (const listener of listeners) listener(call);
}
