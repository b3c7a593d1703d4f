/** Small helpers for bytes and text. */

const encoder = new TextEncoder();
const decoder = new TextDecoder();

export const toBytes = (data: Uint8Array | string): Uint8Array =>
  typeof data === 'string' ? encoder.encode(data) : data;
export const toText = (data: Uint8Array): string => decoder.decode(data);

export function concatBytes(parts: readonly Uint8Array[]): Uint8Array {
  const out = new Uint8Array(parts.reduce((n, p) => n + p.length, 0));
  let at = 0;
  for (const part of parts) {
    out.set(part, at);
    at += part.length;
  }
  return out;
}

/** SHA-256 as 64 hexadecimal digits. */
export async function sha256(data: Uint8Array | string): Promise<string> {
  // A copy only where the view is of shared memory, which digest refuses; ours never are.
  const digest = await crypto.subtle.digest('SHA-256', toBytes(data) as Uint8Array<ArrayBuffer>);
  return Array.from(new Uint8Array(digest), (b) => b.toString(16).padStart(2, '0')).join('');
}

/** Index of `needle` in `data` at or after `from`, or -1. */
export function indexOfBytes(data: Uint8Array, needle: Uint8Array, from = 0): number {
  const last = data.length - needle.length;
  const first = needle[0];
  for (let i = data.indexOf(first, from); i >= 0 && i <= last; i = data.indexOf(first, i + 1)) {
    let n = 1;
    while (n < needle.length && data[i + n] === needle[n]) n++;
    if (n === needle.length) return i;
  }
  return -1;
}
