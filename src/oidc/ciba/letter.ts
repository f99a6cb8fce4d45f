/**
 * The mail that a request of CIBA brings its user. It says who asks and where that is answered, and nothing of what the client
 * wrote: that stands on the page, behind the sign-in, and no words of a client's go to anybody in our name.
 */
import { sayPlainly } from '../../delivery/letter.ts';
import type { Tell } from '../../delivery/outbox.ts';
import { say } from '../../languages/messages.ts';
import { aboutClient } from '../../realms/home.ts';
import { issuerOf } from '../../realms/issuer.ts';
import type { ClientRow } from '../../store/clients.ts';
import type { UserRow } from '../../store/users.ts';
import { ASKED_ELSEWHERE, ROUTES } from '../names.ts';
import type { RealmRoom } from '../room.ts';

/** @param asked.seconds how long the request waits */
export function cibaLetter(room: RealmRoom, user: UserRow, asked: { client: ClientRow; handle: string; seconds: number }): Promise<Tell> {
  const { realm } = room.context;
  const application = aboutClient(asked.client).name;
  const href = `${issuerOf(room.origin, realm.name)}${ROUTES.code_verification}?${ASKED_ELSEWHERE}=${asked.handle}`;
  const letter = {
    subject: sayPlainly('approval.request.mail.subject', { realm: realm.displayName }),
    parts: [
      { kind: 'text' as const, words: sayPlainly('approval.request.mail.said', { application, realm: realm.displayName, account: user.username }) },
      { kind: 'link' as const, words: say('approval.request.mail.link'), href },
      { kind: 'text' as const, words: say('approval.request.mail.valid', { valid: asked.seconds }) },
      { kind: 'text' as const, words: say('approval.request.mail.notYou') },
    ],
  };
  return room.writeTo(user, letter, room.now());
}
