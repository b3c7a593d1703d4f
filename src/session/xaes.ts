/**
 * XAES-256-GCM (c2sp.org/XAES-256-GCM): AES-256-GCM under a key of its own for
 * every nonce. Here are the few bytes around the block cipher; the block cipher
 * and GCM are the platform's.
 *
 *   N  = 24 random bytes                       the seal's nonce
 *   L  = AES-256_K(0^128)                      once per key
 *   K1 = L doubled in GF(2^128)                once per key: CMAC's subkey
 *   Kx = AES-256_K(M1 ^ K1) || AES-256_K(M2 ^ K1)   the GCM key
 *   Mi = 00 || i || 'X' || 00 || N[0..12)
 *   Nx = N[12..24)                             the GCM nonce
 *
 * That is NIST SP 800-108r1's counter mode KDF over CMAC-AES256, of one block.
 */

/** Bytes of a key. */
export const KEY_SIZE = 32;
/** Bytes of a nonce; its first half makes the key, its second half is GCM's nonce. */
export const NONCE_SIZE = 24;
export const HALF_NONCE = 12;
/** Bytes of GCM's tag. */
export const TAG_SIZE = 16;
/** Bytes of the block cipher's block. */
export const BLOCK_SIZE = 16;

/**
 * CMAC's first subkey (NIST SP 800-38B, 6.1): L shifted left by one bit, with
 * the field's polynomial taken off when a bit falls out.
 *
 * @param l - AES-256_K(0^128), 16 bytes
 */
export function cmacSubkey(l: Uint8Array): Uint8Array {
  const k1 = new Uint8Array(BLOCK_SIZE);
  let carry = 0;
  for (let i = BLOCK_SIZE - 1; i >= 0; i--) {
    const byte = l[i];
    k1[i] = ((byte << 1) & 0xff) | carry;
    carry = byte >> 7;
  }
  // Both outcomes do the same work: the key's bit does not show in the time.
  k1[BLOCK_SIZE - 1] ^= carry * 0x87;
  return k1;
}

/**
 * Writes M1 ^ K1 and M2 ^ K1, the two blocks whose encryptions are the GCM key.
 *
 * @param k1 - CMAC's subkey, 16 bytes
 * @param nonce - holds N at `nonceAt`; only the first 12 bytes are read
 * @param blocks - 32 bytes at `at` are written
 */
export function keyBlocks(k1: Uint8Array, nonce: Uint8Array, nonceAt: number, blocks: Uint8Array, at: number): void {
  for (let i = 0; i < HALF_NONCE; i++) {
    const byte = k1[4 + i] ^ nonce[nonceAt + i];
    blocks[at + 4 + i] = byte;
    blocks[at + BLOCK_SIZE + 4 + i] = byte;
  }
  blocks[at] = blocks[at + BLOCK_SIZE] = k1[0];
  blocks[at + 1] = k1[1] ^ 1;
  blocks[at + BLOCK_SIZE + 1] = k1[1] ^ 2;
  blocks[at + 2] = blocks[at + BLOCK_SIZE + 2] = k1[2] ^ 0x58;
  blocks[at + 3] = blocks[at + BLOCK_SIZE + 3] = k1[3];
}
