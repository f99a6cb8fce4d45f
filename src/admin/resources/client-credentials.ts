/** Keys of clients as they are brought along and shown: one certificate, one public key, or a set. */
import { badInput } from '../../errors.ts';
import { KEYS, parseCertificate, parseKeySet, parsePublicKey, UnusableKey } from '../../realms/client-credentials.ts';
import type { ClientRow } from '../../store/clients.ts';
import type { RealmRow } from '../../store/realms.ts';
import { changeClient } from './client-changes.ts';
import type { ClientFields } from './client-input.ts';
import type { Operator } from './context.ts';

/** Keycloak's names of what is brought along; `none` takes away what there was. */
export type GivenCredential = { format: 'Certificate PEM' | 'Public Key PEM' | 'JSON Web Key Set'; text: string } | { format: 'none' };

type Attributes = NonNullable<ClientFields['attributes']>;

/** What keys of another kind leave behind: a client has keys in one place. */
const NONE: Attributes = { [KEYS.useUrl]: null, [KEYS.useSet]: null, [KEYS.certificate]: null, [KEYS.publicKey]: null, [KEYS.kid]: null };

/**
 * The attributes that say so; they take the place of whatever keys there were.
 * @throws AppError 400 on `file`
 */
export function attributesOf(given: GivenCredential): Attributes {
  try {
    switch (given.format) {
      case 'none':
        return NONE;
      case 'Certificate PEM':
        return { ...NONE, [KEYS.certificate]: parseCertificate(given.text).raw.toString('base64') };
      case 'Public Key PEM':
        return { ...NONE, [KEYS.publicKey]: parsePublicKey(given.text).export({ format: 'der', type: 'spki' }).toString('base64') };
      case 'JSON Web Key Set':
        parseKeySet(given.text);
        return { ...NONE, [KEYS.useSet]: 'true', [KEYS.set]: given.text };
    }
  } catch (error) {
    if (error instanceof UnusableKey) throw badInput('file', `file: ${error.message}`);
    throw error;
  }
}

/** Gives a client keys in the place of those it had. */
export const setCredential = (
  operator: Operator,
  realm: RealmRow,
  client: Pick<ClientRow, 'id'>,
  given: GivenCredential,
  options: { limited?: boolean } = {},
): Promise<ClientRow> => changeClient(operator, realm, client.id, { attributes: attributesOf(given) }, options);

/** Keycloak's CertificateRepresentation of what is stored. */
export function shownCredential({ attributes }: Pick<ClientRow, 'attributes'>): {
  certificate?: string;
  publicKey?: string;
  kid?: string;
  jwks?: string;
} {
  const { [KEYS.certificate]: certificate, [KEYS.publicKey]: publicKey, [KEYS.kid]: kid, [KEYS.set]: jwks } = attributes;
  return {
    ...(certificate === undefined ? {} : { certificate }),
    ...(publicKey === undefined ? {} : { publicKey }),
    ...(kid === undefined ? {} : { kid }),
    ...(jwks === undefined || attributes[KEYS.useSet] !== 'true' ? {} : { jwks }),
  };
}
