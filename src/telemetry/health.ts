/**
 * What an orchestrator asks. Live: this process answers, restarting it would not help. Ready: it can do its work, send
 * it requests. The shape of the answers is Keycloak's, so that probes need no change. Reasons go to the log, not out.
 */

export interface Health {
  /** The HTTP status. */
  status: 200 | 503;
  body: { status: 'UP' | 'DOWN'; checks: { name: string; status: 'UP' | 'DOWN' }[] };
}

/** A probe gives up after a second or more; the answer has to be there before. */
const LIMIT_MS = 900;

/** It answers, therefore it lives. */
export const liveness = (): Health => ({ status: 200, body: { status: 'UP', checks: [] } });

/**
 * Asks everything that the work depends on, all at once, each within the limit.
 * @param checks by name; a check fails by rejecting, or by taking longer than the limit
 * @param options.onFailure is told why, for the log
 */
export async function readiness(
  checks: Readonly<Record<string, () => Promise<unknown>>>,
  options: { limitMs?: number; onFailure?: (name: string, error: unknown) => void } = {},
): Promise<Health> {
  const answers = await Promise.all(
    Object.entries(checks).map(async ([name, check]) => {
      try {
        await within(options.limitMs ?? LIMIT_MS, check);
        return { name, status: 'UP' as const };
      } catch (error) {
        options.onFailure?.(name, error);
        return { name, status: 'DOWN' as const };
      }
    }),
  );
  const up = answers.every((answer) => answer.status === 'UP');
  return { status: up ? 200 : 503, body: { status: up ? 'UP' : 'DOWN', checks: answers } };
}

/**
 * A check that a probe asks again while it still hangs: everybody waits for the one that is under way, so that a
 * database in trouble is not given more to do every second.
 */
export function shared(check: () => Promise<unknown>): () => Promise<unknown> {
  let underWay: Promise<unknown> | undefined;
  return () => {
    underWay ??= check().finally(() => {
      underWay = undefined;
    });
    return underWay;
  };
}

async function within(limitMs: number, check: () => Promise<unknown>): Promise<void> {
  const { promise: late, reject } = Promise.withResolvers<never>();
  const timer = setTimeout(() => reject(new Error(`no answer within ${limitMs} ms`)), limitMs);
  try {
    await Promise.race([check(), late]);
  } finally {
    clearTimeout(timer);
  }
}
