/**
 * Custom factors: what authors write, and what is believed of it. A custom factor is two hooks, and each may be left out:
 *
 *     initMFA   begins a challenge        left out: the server makes a code and mails it
 *     checkMFA  says whether an answer is right        left out: the server compares that code
 *
 * The hooks are functions of a module that the installation names (modules.ts), or an HTTPS service that a realm names
 * (webhook.ts). custom.ts puts either on the contract of factors; whatever a hook answers goes through the schemas here,
 * and what does not fit is a fault of the hook, never an accepted answer.
 *
 * The types of this file are the ones that authors of modules import.
 */
import { z } from 'zod';
import type { Kind } from '../../policy/assurance.ts';

/** What a module exports, as its default or by name. */
export interface CustomFactor {
  /** Lower-case letters, digits and hyphens; the factor's id is `custom-<id>`. */
  id: string;
  /** What an answer shows: something that the user knows, has or is. */
  kind: Kind;
  /** What the tokens say of it (RFC 8176, or a name of your own). A realm may allow fewer. */
  amr: string | readonly string[];
  /** The most that it is good for; `aal2` when left out. A realm may allow less. */
  level?: CustomLevel;
  /** What pages call it, and one sentence on how strong it is. */
  name?: string;
  strength?: string;
  initMFA?(context: ModuleContext): Challenge | undefined | Promise<Challenge | undefined>;
  /** @param state what initMFA left in its challenge; null without */
  checkMFA?(context: ModuleContext, input: string, state: Json): Checked | Promise<Checked>;
}

/** What the hooks of a module are told. */
export interface ModuleContext extends HookContext {
  /** A line for the server's log. Never a code, and no more about a person than it takes. */
  log(line: string): void;
}

export type CustomLevel = 'aal1' | 'aal2';

/** What both hooks are told. A copy: nothing that a hook changes in it reaches anybody. */
export interface HookContext {
  /** Whether somebody signs in, or adds this factor to their account. */
  purpose: 'sign-in' | 'enrol';
  /** Of this challenge and no other; the same in both hooks. */
  challenge: string;
  realm: { id: string; name: string; displayName: string };
  user: { id: string; username: string; email: string | null; emailVerified: boolean };
  /** Of the page that the user sees, such as `de`; null where that is not known. */
  language: string | null;
  /** Milliseconds since the epoch. */
  now: number;
  /** What checkMFA asked to keep when the user enrolled; null without. */
  kept: Json;
}

export type Json = string | number | boolean | null | readonly Json[] | { readonly [key: string]: Json };

/** What initMFA may answer; nothing means that there is nothing to send, to show or to remember. */
export interface Challenge {
  /** What to do, in plain text: where to look, what to type. */
  message?: string;
  /** Of the input, such as "PIN of your badge". */
  label?: string;
  /** Which keys a phone shows. */
  inputmode?: 'text' | 'numeric';
  /** A code that the server compares: 6 to 32 ASCII letters and digits. Capitals, spaces and hyphens make no difference. */
  code?: string;
  /** Has the server send that code: by mail to the user's address, or by text message to this number (E.164). */
  deliver?: 'mail' | { sms: string };
  /** Handed to checkMFA; sealed, and never sent to the browser. */
  state?: Json;
  /** This user cannot be asked, for want of a device or a number: the sign-in goes on with another factor. */
  unavailable?: boolean;
}

/** What checkMFA may answer. */
export type Checked =
  | boolean
  | {
      ok: boolean;
      /** Why not; `wrong` when left out. */
      reason?: 'wrong' | 'expired' | 'replayed';
      /** Less than the factor is good for in general. More than the realm allows is a fault. */
      level?: CustomLevel;
      /** Some of what the realm allows. Anything else is a fault. */
      amr?: readonly string[];
      /** At enrolment: what both hooks find in `context.kept` from then on. Sealed with the credential. */
      keep?: Json;
    };

/** The hooks of a factor, wherever they run. What they answer has not been looked at. */
export interface Hooks {
  init?(context: HookContext, signal: AbortSignal): Promise<unknown>;
  check?(context: HookContext, input: string, state: Json, signal: AbortSignal): Promise<unknown>;
}

/** A hook did not do its part; the message is for the log and holds nothing of its answer. */
export class HookFault extends Error {
  constructor(message: string, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause });
    this.name = 'HookFault';
  }
}

const MAX_STATE_BYTES = 8 * 1024;
const json = z
  .json()
  .refine((value) => Buffer.byteLength(JSON.stringify(value)) <= MAX_STATE_BYTES, `must have ${MAX_STATE_BYTES} bytes of JSON at most`);
/** What people read: no control characters, and none that turn the writing around. */
const shown = (most: number) =>
  z
    .string()
    .trim()
    .max(most)
    .refine((text) => !/[\p{Cc}\p{Zl}\p{Zp}\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]/u.test(text), 'must be one line of plain text');

const challenge = z.strictObject({
  message: shown(500).optional(),
  label: shown(100).optional(),
  inputmode: z.enum(['text', 'numeric']).optional(),
  code: z
    .string()
    .regex(/^[0-9A-Za-z]{6,32}$/)
    .optional(),
  deliver: z.union([z.literal('mail'), z.strictObject({ sms: z.string().regex(/^\+[1-9]\d{6,14}$/) })]).optional(),
  state: json.optional(),
  unavailable: z.boolean().optional(),
});

const checked = z.union([
  z.boolean().transform((ok) => ({ ok })),
  z.strictObject({
    ok: z.boolean(),
    reason: z.enum(['wrong', 'expired', 'replayed']).optional(),
    level: z.string().optional(),
    amr: z.array(z.string()).optional(),
    keep: json.optional(),
  }),
]);
type AnyChecked = { ok: boolean; reason?: 'wrong' | 'expired' | 'replayed'; level?: string; amr?: string[]; keep?: Json };

/** @throws HookFault when it is not a challenge */
export function parseChallenge(answer: unknown): Challenge {
  const result = challenge.safeParse(answer ?? {});
  if (!result.success) throw new HookFault(`initMFA answered what is no challenge (${issueOf(result.error)}).`);
  if (result.data.deliver !== undefined && result.data.code === undefined)
    throw new HookFault('initMFA wants something delivered and gives no code.');
  return result.data;
}

/** @throws HookFault when it is no verdict */
export function parseChecked(answer: unknown): AnyChecked {
  const result = checked.safeParse(answer);
  if (!result.success) throw new HookFault(`checkMFA answered what is no verdict (${issueOf(result.error)}).`);
  return result.data;
}

/** Where it is wrong and how, without what stands there: it may be a code. */
function issueOf(error: z.ZodError): string {
  const [issue] = error.issues;
  return `${issue?.path.map(String).join('.') || 'the whole'}: ${issue?.code ?? 'invalid'}`;
}
