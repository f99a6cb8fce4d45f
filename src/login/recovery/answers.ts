/** What is said where a recovery cannot go on, with the way to begin again here. */
import { languageOf } from '../../http/language.ts';
import { type MessageKey, say } from '../../languages/messages.ts';
import { isOffered, type RecoveryRequest, realmModel } from './room.ts';

/** Of neither can anything be learnt about the link, or about anybody. */
const TOLD = {
  /** Opened in another browser than the one that asked. */
  browser: { status: 403, title: 'recovery.browser.title', message: 'recovery.browser.message' },
  /** Used, too old, or not the newest. */
  link: { status: 410, title: 'recovery.link.title', message: 'recovery.link.message' },
} as const satisfies Record<string, { status: number; title: MessageKey; message: MessageKey }>;

export type Told = keyof typeof TOLD;

export async function explain(request: RecoveryRequest, what: Told): Promise<void> {
  const { status, title, message } = TOLD[what];
  const link = isOffered(request, request.realm) ? { href: addressOf(request, null), label: say('recovery.again') } : null;
  const model = { realm: realmModel(request), title: say(title), message: say(message), hint: null, reference: null, link };
  await request.render(request.ctx, 'message', model, status);
}

/** The page where it begins. */
export const addressOf = (request: RecoveryRequest, login: string | null): string => `${request.base}/reset-credentials${queryOf(request, login)}`;

export const queryOf = ({ ctx }: RecoveryRequest, login: string | null): string =>
  `?${new URLSearchParams({ ...(login === null ? {} : { login }), ui_locales: languageOf(ctx) })}`;
