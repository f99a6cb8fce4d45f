/** What the forms of the sign-in pages send, and what of it is shown again when something about it is wrong. */
import type Koa from 'koa';
import { z } from 'zod';
import { AppError } from '../errors.ts';
import { readForm } from '../http/input.ts';

/**
 * Field names that scripts and password managers rely on (experience.md). How long a value may be, its step says: the body
 * is bounded, and what else was typed is still there to be shown again.
 */
const loginForm = z.object({
  version: z.string().optional(),
  /** The button that was pressed; one that is none of ours was not. */
  do: z.enum(['cancel', 'another', 'switch', 'allow', 'deny']).optional().catch(undefined),
  username: z.string().optional(),
  password: z.string().optional(),
  remember: z.string().optional(),
  factor: z.string().optional(),
  credential: z.string().optional(),
  code: z.string().optional(),
  label: z.string().optional(),
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

/** What was typed and may be shown again; never a password or a code. */
export const retyped = (form: LoginForm) => ({
  ...(form.username === undefined ? {} : { username: form.username.slice(0, 255), remember: form.remember !== undefined }),
  ...(form.label === undefined ? {} : { label: form.label.slice(0, 200) }),
});
