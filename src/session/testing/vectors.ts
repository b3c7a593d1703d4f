/** The published test vectors: what goes in, and the file of what must come out. */
import type { Session } from '../types.js';

/** The file, from the project's root. */
export const VECTORS_FILE = 'docs/session-vectors.json';

/** One vector: everything that determines a seal, and the seal. */
export interface Vector {
  readonly about: string;
  /** Hexadecimal: 32 bytes. */
  readonly key: string;
  /** Hexadecimal: 4 bytes. */
  readonly keyId: string;
  /** Hexadecimal: 24 bytes. */
  readonly nonce: string;
  readonly purpose: string;
  readonly audience: string;
  readonly session: Session;
  /** Hexadecimal: what the seal hides. */
  readonly plaintext: string;
  readonly seal: string;
}
