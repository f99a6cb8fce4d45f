/** What a browser answers (WebAuthn Level 3 section 5.1.8), as JSON in the form field `response`. */
import { z } from 'zod';
import type { Form } from '../factor.ts';

/** 1,023 bytes, the longest that a credential id may be (WebAuthn section 4). */
const MAX_ID = 1_364;

/** How long a value may be, the form says: its body is bounded. */
const bytes = z
  .string()
  .min(1)
  .regex(/^[\w-]+$/);
const id = bytes.max(MAX_ID);

const registration = z.object({
  id,
  rawId: id,
  type: z.literal('public-key'),
  response: z.object({
    clientDataJSON: bytes,
    attestationObject: bytes,
    transports: z
      .array(z.string().regex(/^[a-z-]{1,20}$/))
      .max(10)
      .catch([])
      .default([]),
  }),
});

const assertion = z.object({
  id,
  rawId: id,
  type: z.literal('public-key'),
  response: z.object({
    clientDataJSON: bytes,
    authenticatorData: bytes,
    signature: bytes,
    userHandle: bytes.nullish().transform((handle) => handle ?? undefined),
  }),
});

export type Registration = z.infer<typeof registration>;
export type Assertion = z.infer<typeof assertion>;

export const registrationIn = (input: Form): Registration | undefined => read(registration, input.response);
export const assertionIn = (input: Form): Assertion | undefined => read(assertion, input.response);

function read<Schema extends z.ZodType>(schema: Schema, text: unknown): z.output<Schema> | undefined {
  if (typeof text !== 'string') return undefined;
  try {
    return schema.safeParse(JSON.parse(text)).data;
  } catch {
    return undefined;
  }
}
