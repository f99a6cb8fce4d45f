/**
 * An authenticator and its browser in software, for tests without either: it answers the options that a page holds, and
 * says whatever a test wants of its origin, its flags, its counter and its model.
 */
import { createHash, generateKeyPairSync, type KeyObject, randomBytes, sign } from 'node:crypto';
import type { PublicKeyCredentialCreationOptionsJSON, PublicKeyCredentialRequestOptionsJSON } from '@simplewebauthn/server';
import { isoCBOR } from '@simplewebauthn/server/helpers';

type Cbor = Parameters<typeof isoCBOR.encode>[0];
export type Algorithm = 'EdDSA' | 'ES256' | 'ES384' | 'RS256';

export interface Traits {
  /** What the browser says. */
  origin: string;
  crossOrigin?: boolean;
  topOrigin?: string;
  /** What the authenticator believes; the options' own by default. */
  rpId?: string;
  challenge?: string;
  /** `webauthn.create` or `webauthn.get`, as it should be by default. */
  type?: string;
  algorithm: Algorithm;
  /** User present, user verified, backup eligible, backed up. */
  up: boolean;
  uv: boolean;
  be: boolean;
  bs: boolean;
  /** Absent: it has none and always says zero. */
  counts: boolean;
  aaguid: string;
  attestation: 'none' | 'self' | Statement;
  /** Whether it says whose key it is. */
  tellsUser: boolean;
  transports: string[];
}

/** A maker's key, and the certificates that vouch for it, the key's own first. */
export interface Statement {
  key: KeyObject;
  /** DER. */
  chain: Buffer[];
  /** `packed` by default. */
  format?: string;
}

export interface Key {
  id: string;
  rpId: string;
  handle: string;
  algorithm: Algorithm;
  privateKey: KeyObject;
  publicKey: KeyObject;
}

/** Numbers of the COSE registry (RFC 9053, RFC 8812). */
const COSE = { EdDSA: -8, ES256: -7, ES384: -35, RS256: -257 } as const;

export class Authenticator {
  readonly traits: Traits;
  readonly keys: Key[] = [];
  /** What it says next, where it counts. */
  counter = 1;

  constructor(traits: Partial<Traits> & { origin: string }) {
    this.traits = {
      algorithm: 'ES256',
      up: true,
      uv: true,
      be: false,
      bs: false,
      counts: false,
      aaguid: '00000000-0000-0000-0000-000000000000',
      attestation: 'none',
      tellsUser: true,
      transports: ['internal'],
      ...traits,
    };
  }

  /** Makes a key; the answer is what goes into the form field `response`. */
  create(options: PublicKeyCredentialCreationOptionsJSON, some: Partial<Traits> & { id?: string } = {}): string {
    const traits = { ...this.traits, ...some };
    const { publicKey, privateKey } = keyPair(traits.algorithm);
    const id = some.id === undefined ? randomBytes(32) : Buffer.from(some.id, 'base64url');
    const rpId = traits.rpId ?? options.rp.id ?? '';
    this.keys.push({ id: id.toString('base64url'), rpId, handle: options.user.id, algorithm: traits.algorithm, privateKey, publicKey });
    const length = Buffer.alloc(2);
    length.writeUInt16BE(id.length);
    const attested = Buffer.concat([Buffer.from(traits.aaguid.replaceAll('-', ''), 'hex'), length, id, cosePublicKey(traits.algorithm, publicKey)]);
    const authData = this.#authenticatorData(rpId, traits, attested);
    const clientData = clientDataOf('webauthn.create', options.challenge, traits);
    const statement = statementOf(traits, privateKey, Buffer.concat([authData, sha256(clientData)]));
    return JSON.stringify({
      id: id.toString('base64url'),
      rawId: id.toString('base64url'),
      type: 'public-key',
      response: {
        clientDataJSON: clientData.toString('base64url'),
        attestationObject: encode(new Map<string, Cbor>([...statement, ['authData', new Uint8Array(authData)]])).toString('base64url'),
        transports: traits.transports,
      },
      clientExtensionResults: {},
      authenticatorAttachment: 'platform',
    });
  }

  /** Signs a challenge with one of the keys that may answer it, the newest of them. */
  get(options: PublicKeyCredentialRequestOptionsJSON, some: Partial<Traits> & { key?: Key } = {}): string {
    const traits = { ...this.traits, ...some };
    const allowed = options.allowCredentials ?? [];
    const key = some.key ?? this.keys.findLast(({ id }) => allowed.length === 0 || allowed.some((one) => one.id === id));
    if (!key) throw new Error('The authenticator has no key for that.');
    const authData = this.#authenticatorData(traits.rpId ?? key.rpId, traits);
    const clientData = clientDataOf('webauthn.get', options.challenge, traits);
    const signature = signed(key.algorithm, key.privateKey, Buffer.concat([authData, sha256(clientData)]));
    return JSON.stringify({
      id: key.id,
      rawId: key.id,
      type: 'public-key',
      response: {
        clientDataJSON: clientData.toString('base64url'),
        authenticatorData: authData.toString('base64url'),
        signature: signature.toString('base64url'),
        ...(traits.tellsUser ? { userHandle: key.handle } : {}),
      },
      clientExtensionResults: {},
      authenticatorAttachment: 'platform',
    });
  }

  /** In COSE, as a relying party keeps it. */
  publicKeyOf({ algorithm, publicKey }: Key): Buffer {
    return cosePublicKey(algorithm, publicKey);
  }

  /** A key that no maker has. */
  maker(): KeyObject {
    return keyPair('ES256').privateKey;
  }

  /** WebAuthn section 6.1. */
  #authenticatorData(rpId: string, { up, uv, be, bs, counts }: Traits, attested?: Buffer): Buffer {
    const flags = Number(up) | (Number(uv) << 2) | (Number(be) << 3) | (Number(bs) << 4) | (Number(attested !== undefined) << 6);
    const counter = Buffer.alloc(4);
    if (counts) {
      counter.writeUInt32BE(this.counter);
      this.counter += 1;
    }
    return Buffer.concat([sha256(rpId), Buffer.from([flags]), counter, attested ?? Buffer.alloc(0)]);
  }
}

const sha256 = (data: string | Buffer): Buffer => createHash('sha256').update(data).digest();
const encode = (value: Cbor): Buffer => Buffer.from(isoCBOR.encode(value));

function keyPair(algorithm: Algorithm): { publicKey: KeyObject; privateKey: KeyObject } {
  if (algorithm === 'EdDSA') return generateKeyPairSync('ed25519');
  if (algorithm === 'RS256') return generateKeyPairSync('rsa', { modulusLength: 2048 });
  return generateKeyPairSync('ec', { namedCurve: algorithm === 'ES256' ? 'P-256' : 'P-384' });
}

function signed(algorithm: Algorithm, key: KeyObject, data: Buffer): Buffer {
  return sign(algorithm === 'EdDSA' ? null : algorithm === 'ES384' ? 'sha384' : 'sha256', data, key);
}

/** RFC 9052 section 7, with the numbers of RFC 9053 section 7. */
function cosePublicKey(algorithm: Algorithm, key: KeyObject): Buffer {
  const { x = '', y = '', n = '', e = '' } = key.export({ format: 'jwk' });
  const bytes = (text: string): Cbor => new Uint8Array(Buffer.from(text, 'base64url'));
  const common: [number, Cbor][] = [[3, COSE[algorithm]]];
  if (algorithm === 'EdDSA') return encode(new Map<number, Cbor>([[1, 1], ...common, [-1, 6], [-2, bytes(x)]]));
  if (algorithm === 'RS256') return encode(new Map<number, Cbor>([[1, 3], ...common, [-1, bytes(n)], [-2, bytes(e)]]));
  return encode(new Map<number, Cbor>([[1, 2], ...common, [-1, algorithm === 'ES256' ? 1 : 2], [-2, bytes(x)], [-3, bytes(y)]]));
}

function clientDataOf(type: string, challenge: string, traits: Traits): Buffer {
  const { origin, crossOrigin = false, topOrigin } = traits;
  const client = { type: traits.type ?? type, challenge: traits.challenge ?? challenge, origin, crossOrigin, ...(topOrigin ? { topOrigin } : {}) };
  return Buffer.from(JSON.stringify(client));
}

/** `none`, or `packed` (WebAuthn section 8.2), signed by the new key itself or by the maker's. */
function statementOf({ attestation, algorithm }: Traits, key: KeyObject, data: Buffer): [string, Cbor][] {
  const entries = (format: string, statement: Map<string, Cbor>): [string, Cbor][] => [
    ['fmt', format],
    ['attStmt', statement],
  ];
  if (attestation === 'none') return entries('none', new Map());
  const [signer, alg]: [KeyObject, Algorithm] = attestation === 'self' ? [key, algorithm] : [attestation.key, 'ES256'];
  const statement = new Map<string, Cbor>([
    ['alg', COSE[alg]],
    ['sig', new Uint8Array(signed(alg, signer, data))],
  ]);
  if (attestation === 'self') return entries('packed', statement);
  statement.set(
    'x5c',
    attestation.chain.map((certificate) => new Uint8Array(certificate)),
  );
  return entries(attestation.format ?? 'packed', statement);
}
