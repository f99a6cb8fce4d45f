/**
 * The metrics, as Prometheus reads them: what the audit records is counted (counted.ts), and how long things take and how
 * much waits is measured. Loaded only where metrics are asked for.
 *
 *     events ─ onRecorded ─► counters        requests, hooks, waiting for a hash ─► histograms
 *     users, passwords ─ asked when somebody reads ─► gauges
 */
import type { Middleware } from 'koa';
import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client';
import { onRecorded } from '../audit/record.ts';
import type { Coverage } from '../store/coverage.ts';
import { COUNTERS, type CounterName, countedAs, factorLabel } from './counted.ts';
import { onHookCall } from './hook-calls.ts';
import { onLogoutCall } from './logout-calls.ts';
import { routeClass } from './route-class.ts';
import { onWebhookCall } from './webhook-calls.ts';

const PREFIX = 'cardea_';
/** Users are counted at most this often, and for no more than a hundredth of the time. */
const COVERAGE_EVERY_MS = 60_000;
const COVERAGE_SHARE = 100;

/** A person thinks and types; a security key takes a touch. */
const SECONDS_OF_A_PERSON = [1, 2, 5, 10, 20, 30, 60, 120, 300];
const SECONDS_OF_A_REQUEST = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10];

export interface MetricsSources {
  passwords: {
    /** Hashes that are computed, and those that wait. */
    readonly load: { running: number; waiting: number };
    onWait(listener: (ms: number) => void): void;
  };
  /** Counts users; expensive. */
  coverage(): Promise<Coverage>;
  onFault(error: unknown): void;
}

export interface Metrics {
  /** The text format of Prometheus, and its content type. */
  text(): Promise<{ type: string; body: string }>;
  /** Measures requests. */
  middleware: Middleware;
  /** Stops listening. */
  close(): void;
}

export function createMetrics(sources: MetricsSources): Metrics {
  const registry = new Registry();
  collectDefaultMetrics({ register: registry, prefix: PREFIX });
  const stops = [countEvents([registry]), measureHooks([registry]), measureWebhooks([registry]), measureLogouts([registry])];
  measurePasswords([registry], sources);
  showCoverage([registry], sources);
  return {
    text: async () => ({ type: registry.contentType, body: await registry.metrics() }),
    middleware: measureRequests([registry]),
    close: () => {
      for (const stop of stops) stop();
    },
  };
}

function countEvents(registers: Registry[]): () => void {
  const counters = new Map<string, Counter>();
  for (const [name, { help, labels }] of Object.entries(COUNTERS))
    counters.set(name, new Counter({ name: `${PREFIX}${name}`, help, labelNames: [...labels], registers }));
  const count = (name: CounterName, labels: Readonly<Record<string, string>>): void => counters.get(name)?.inc(labels);
  const seconds = new Histogram({
    name: `${PREFIX}challenge_seconds`,
    help: 'From the question for a factor to the right answer',
    labelNames: ['factor'],
    buckets: SECONDS_OF_A_PERSON,
    registers,
  });
  return onRecorded((event) => {
    const counted = countedAs(event);
    if (counted) count(counted.counter, counted.labels);
    if (event.type === 'mfa.challenge.ok' && event.details.ms !== undefined)
      seconds.observe({ factor: factorLabel(event.details.factor) }, event.details.ms / 1000);
  });
}

function measurePasswords(registers: Registry[], { passwords }: MetricsSources): void {
  new Gauge({
    name: `${PREFIX}password_hashes`,
    help: 'Hashes of passwords that are computed, and those that wait for their turn',
    labelNames: ['state'],
    registers,
    collect() {
      this.set({ state: 'running' }, passwords.load.running);
      this.set({ state: 'waiting' }, passwords.load.waiting);
    },
  });
  const waits = new Histogram({
    name: `${PREFIX}password_hash_wait_seconds`,
    help: 'How long a hash of a password waited for its turn',
    buckets: SECONDS_OF_A_REQUEST,
    registers,
  });
  passwords.onWait((ms) => waits.observe(ms / 1000));
}

function measureHooks(registers: Registry[]): () => void {
  const seconds = new Histogram({
    name: `${PREFIX}hook_seconds`,
    help: 'Calls of hooks of custom factors',
    labelNames: ['kind', 'hook', 'result'],
    buckets: SECONDS_OF_A_REQUEST,
    registers,
  });
  return onHookCall(({ factor, hook, ms, fault }) => {
    const kind = factor.startsWith('webhook-') ? 'webhook' : 'module';
    seconds.observe({ kind, hook, result: fault === undefined ? 'ok' : 'failed' }, ms / 1000);
  });
}

function measureWebhooks(registers: Registry[]): () => void {
  const messages = new Counter({
    name: `${PREFIX}webhook_messages_total`,
    help: 'Attempts to tell webhooks by how they ended, and messages that were dropped because too many waited',
    labelNames: ['result'],
    registers,
  });
  const seconds = new Histogram({
    name: `${PREFIX}webhook_seconds`,
    help: 'Attempts to tell webhooks',
    labelNames: ['result'],
    buckets: SECONDS_OF_A_REQUEST,
    registers,
  });
  return onWebhookCall((call) => {
    const { result } = call;
    messages.inc({ result }, result === 'dropped' ? call.count : 1);
    if (result !== 'dropped') seconds.observe({ result }, call.ms / 1000);
  });
}

function measureLogouts(registers: Registry[]): () => void {
  const seconds = new Histogram({
    name: `${PREFIX}backchannel_logout_seconds`,
    help: 'Attempts to tell applications of the end of a session, by how they ended',
    labelNames: ['result'],
    buckets: SECONDS_OF_A_REQUEST,
    registers,
  });
  return onLogoutCall(({ result, ms }) => seconds.observe({ result }, ms / 1000));
}

/** Whoever reads gets the newest count that there is; a newer one is begun beside, never waited for but the first time. */
function showCoverage(registers: Registry[], { coverage, onFault }: MetricsSources): void {
  let counting: Promise<void> | undefined;
  let dueAt = 0;
  let newest: Coverage | undefined;
  const count = async (): Promise<void> => {
    const begun = performance.now();
    try {
      newest = await coverage();
    } catch (error) {
      onFault(error);
    }
    const took = performance.now() - begun;
    dueAt = performance.now() + Math.max(COVERAGE_EVERY_MS, took * COVERAGE_SHARE);
    counting = undefined;
  };
  new Gauge({
    name: `${PREFIX}users`,
    help: 'Users who can sign in, by the best factor that they have',
    labelNames: ['coverage'],
    registers,
    async collect() {
      if (performance.now() >= dueAt) counting ??= count();
      if (!newest) await counting;
      for (const [name, users] of Object.entries(newest ?? {})) this.set({ coverage: name }, users);
    },
  });
}

function measureRequests(registers: Registry[]): Middleware {
  const seconds = new Histogram({
    name: `${PREFIX}http_request_duration_seconds`,
    help: 'Requests, from the first byte to the end of the answer',
    labelNames: ['route', 'method', 'status'],
    buckets: SECONDS_OF_A_REQUEST,
    registers,
  });
  return async (ctx, next) => {
    const begun = performance.now();
    const route = routeClass(ctx.path);
    ctx.res.once('close', () => {
      const status = ctx.res.writableFinished ? `${Math.floor(ctx.res.statusCode / 100)}xx` : 'aborted';
      seconds.observe({ route, method: METHODS.has(ctx.method) ? ctx.method : 'other', status }, (performance.now() - begun) / 1000);
    });
    await next();
  };
}

/** Anybody can send any word as a method. */
const METHODS: ReadonlySet<string> = new Set(['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS']);
