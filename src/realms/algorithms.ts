/**
 * What a realm signs with, by the names of RFC 7518 and RFC 8037: a key of each is made with the realm. `EdDSA` is Ed25519
 * here, under the name that Keycloak and today's libraries write; `Ed25519` (RFC 9864) means the same and is not written.
 */
export const ALGORITHMS = ['RS256', 'ES256', 'EdDSA'] as const;
export type Algorithm = (typeof ALGORITHMS)[number];

/** The one of that name; undefined for no name, and for one that is not known here. */
export const knownAlgorithm = (name: string | undefined): Algorithm | undefined => ALGORITHMS.find((algorithm) => algorithm === name);
