/** What the tests of security keys and passkeys share: the options that a page holds, and a challenge that is spent once. */
import type { PublicKeyCredentialCreationOptionsJSON, PublicKeyCredentialRequestOptionsJSON } from '@simplewebauthn/server';

/** `cx.once` without a store: true for the first caller of a value, after a turn of the event loop in which others may come. */
export function onceOnly(): (value: string) => Promise<boolean> {
  const seen = new Set<string>();
  return async (value) => {
    await new Promise((resolve) => setImmediate(resolve));
    if (seen.has(value)) return false;
    seen.add(value);
    return true;
  };
}

/** The options on the page of an enrolment. */
export function creationOptions(page: { model: Record<string, unknown> } | undefined): PublicKeyCredentialCreationOptionsJSON {
  const options: unknown = page?.model.options;
  if (!isCreation(options)) throw new Error('There are no options to make a key by.');
  return options;
}

/** The options on the page of a challenge, or on the first page. */
export function requestOptions(page: { model: Record<string, unknown> } | undefined): PublicKeyCredentialRequestOptionsJSON {
  const options: unknown = page?.model.options;
  if (!isRequest(options)) throw new Error('There are no options to sign by.');
  return options;
}

const isObject = (value: unknown): value is object => typeof value === 'object' && value !== null;
const isCreation = (value: unknown): value is PublicKeyCredentialCreationOptionsJSON => isObject(value) && 'challenge' in value && 'user' in value;
const isRequest = (value: unknown): value is PublicKeyCredentialRequestOptionsJSON => isObject(value) && 'challenge' in value && 'rpId' in value;
