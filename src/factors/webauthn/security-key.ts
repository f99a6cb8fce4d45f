/** A security key: asked after the password, and touched. Its PIN or a finger is asked for as the realm wants it. */
import { webauthnFactor } from './webauthn.ts';

export const securityKey = webauthnFactor({
  id: 'security-key',
  name: 'Security key',
  strength: 'A small device that you plug in or hold against your phone. A fake page cannot use it.',
  // Whether it also asked for a PIN or a finger, nobody is told for certain: beside a password it adds that one has it.
  kinds: ['possession'],
  terms: ({ webauthn: { securityKey: settings } }) => ({ ...settings, discoverable: false }),
});
