/** What a scope lets an application see, in words for its user. */
import { inEnglish, say, sayOr, type Words } from '../languages/messages.ts';

/** A description that is still the one that we gave the scope has a text in every language; one that an administrator wrote stays as it is. */
export function scopeWords(name: string, description: string): Words {
  if (name === 'openid') return say('login.scope.openid');
  const ours = sayOr(`login.scope.${name}`, description);
  return inEnglish(ours) === description ? ours : description;
}
