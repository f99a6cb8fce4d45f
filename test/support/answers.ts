/**
 * Every answer of the REST API that a test sees is the documented one: its status is named, its body fits the schema and
 * holds nothing besides. `startCardea` switches it on, so that all suites check it; what is wrong fails the test file.
 */
import { Readable } from 'node:stream';
import { isDeepStrictEqual } from 'node:util';
import type { Answer, Operation } from '../../src/admin/rest/operation.ts';
import { operations } from '../../src/admin/rest/operations.ts';
import { atEnd } from './cleanup.ts';

const wrong = new Set<string>();
let watching = false;

/** How many answers were looked at, by operation. */
export const answersSeen = new Map<string, number>();

/** Looks at what every operation answers in this process, from now on. */
export function checkAnswers(): void {
  if (watching) return;
  watching = true;
  for (const operation of operations) {
    const run = operation.run.bind(operation);
    operation.run = async (call, input) => {
      const answer = await run(call, input);
      answersSeen.set(operation.id, (answersSeen.get(operation.id) ?? 0) + 1);
      const fault = faultOf(operation, answer);
      if (fault !== undefined) wrong.add(`${operation.id}: ${fault}`);
      return answer;
    };
  }
  atEnd(() => {
    if (wrong.size > 0) throw new Error(`Answers that are not as the document has them:\n${[...wrong].join('\n')}`);
  });
}

/** What is wrong with an answer, in a few words. */
export function faultOf(operation: Pick<Operation, 'status' | 'also' | 'answer'>, answer: Answer): string | undefined {
  const status = answer.status ?? operation.status;
  if (status < 400 && ![operation.status, ...(operation.also ?? [])].some((one) => one === status)) return `status ${status} is not documented`;
  const { body, type } = answer;
  if (status === 204) return body === undefined ? undefined : 'a 204 has a body';
  if (type !== undefined || body instanceof Readable || Buffer.isBuffer(body)) return undefined;
  if (!operation.answer) return body === undefined ? undefined : 'there is a body, and no schema for it';
  const sent: unknown = body === undefined ? undefined : JSON.parse(JSON.stringify(body));
  const result = operation.answer.safeParse(sent);
  if (!result.success) {
    const [issue] = result.error.issues;
    return `${issue?.path.join('.') || 'the body'}: ${issue?.message}`;
  }
  const extra = undocumentedIn(sent, result.data, 'the body');
  return extra === undefined ? undefined : `${extra} is not in the schema`;
}

/** Where something was sent that the schema dropped. */
function undocumentedIn(sent: unknown, known: unknown, at: string): string | undefined {
  if (isDeepStrictEqual(sent, known)) return undefined;
  if (typeof sent !== 'object' || sent === null || typeof known !== 'object' || known === null) return at;
  const kept = new Map(Object.entries(known));
  for (const [key, value] of Object.entries(sent)) {
    const inner = kept.has(key) ? undocumentedIn(value, kept.get(key), `${at}.${key}`) : `${at}.${key}`;
    if (inner !== undefined) return inner;
  }
  return undefined;
}
