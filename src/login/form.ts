/** What the forms of the sign-in pages send, and what of it is shown again when something about it is wrong. */
import type Koa from 'koa';
import { z } from 'zod';
import { AppError } from '../errors.ts';
import type { Form } from '../factors/factor.ts';
import { readForm } from '../http/input.ts';
import { newPasswordFields } from '../http/new-password.ts';

/** The buttons of these pages; one that is none of ours was not pressed. */
const BUTTONS = ['cancel', 'another', 'switch', 'allow', 'deny', 'resend', 'resync', 'skip', 'never', 'accept', 'change'] as const;

/**
 * Field names that scripts and password managers rely on (experience.md), and what factors ask for besides. How long a
 * value may be, its step says: the body is bounded, and what else was typed is still there to be shown again.
 */
export const loginForm = z.object({
  version: z.string().optional(),
  do: z.enum(BUTTONS).optional().catch(undefined),
  username: z.string().optional(),
  password: z.string().optional(),
  remember: z.string().optional(),
  factor: z.string().optional(),
  credential: z.string().optional(),
  code: z.string().optional(),
  /** The code after that one: a counter is found again by two. */
  next_code: z.string().optional(),
  label: z.string().optional(),
  remember_device: z.string().optional(),
  /** What a browser's WebAuthn made, as JSON. */
  response: z.string().optional(),
  /** This browser can make passkeys. */
  webauthn: z.string().optional(),
  /** A telephone number, the serial number of a token, a box to tick: what an enrolment asks for. */
  number: z.string().optional(),
  serial: z.string().optional(),
  confirm: z.string().optional(),
  /** Of the profile, by Keycloak's names. */
  firstName: z.string().optional(),
  lastName: z.string().optional(),
  email: z.string().optional(),
  ...newPasswordFields,
});
export type LoginForm = z.infer<typeof loginForm>;

export interface Posted {
  /** Empty when it could not be read. */
  form: LoginForm;
  /** Why not: too large, of another type, a field that is there twice. */
  problem: AppError | undefined;
}

/** Reads a form; what is wrong with it is for the page that is due to say, so that the sign-in goes on where it was. */
export async function readPosted(ctx: Koa.Context): Promise<Posted> {
  try {
    return { form: await readForm(ctx, loginForm), problem: undefined };
  } catch (error) {
    if (!(error instanceof AppError)) throw error;
    return { form: {}, problem: error };
  }
}

/** Its fields as a factor is handed them. */
export const fieldsOf = (form: LoginForm): Form =>
  Object.fromEntries(Object.entries(form).filter((entry): entry is [string, string] => typeof entry[1] === 'string'));

/** Whether it answers what a factor asked. */
export const hasAnswer = ({ code, response, number, serial, confirm }: LoginForm): boolean =>
  [code, response, number, serial, confirm].some((value) => value !== undefined);

/** What was typed and may be shown again; never a password or a code. */
export const retyped = (form: LoginForm) => ({
  ...(form.username === undefined ? {} : { username: form.username.slice(0, 255), remember: form.remember !== undefined }),
  ...(form.label === undefined ? {} : { label: form.label.slice(0, 200) }),
  ...(form.number === undefined ? {} : { number: form.number.slice(0, 64) }),
  ...(form.serial === undefined ? {} : { serial: form.serial.slice(0, 64) }),
  ...(form.firstName === undefined && form.lastName === undefined && form.email === undefined
    ? {}
    : {
        profile: {
          firstName: form.firstName?.slice(0, 300) ?? '',
          lastName: form.lastName?.slice(0, 300) ?? '',
          email: form.email?.slice(0, 300) ?? '',
        },
      }),
  // Two codes in a row were typed: what is wrong is said on their page.
  ...(form.next_code === undefined ? {} : { resyncing: true }),
});
