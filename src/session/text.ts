/** Text and bytes with nothing but what every JavaScript platform has. */
import type { TextCodec } from './backend.js';
import { textLength } from './format.js';

const ALPHABET = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_';
const CHARACTERS = Uint8Array.from(ALPHABET, (c) => c.charCodeAt(0));
/** Value of an ASCII character, 255 where it has none. */
const VALUES = new Uint8Array(128).fill(255);
for (let i = 0; i < 64; i++) VALUES[CHARACTERS[i]] = i;

const encoder = new TextEncoder();
// A leading byte order mark belongs to the text: both back ends must read the same.
const decoder = new TextDecoder('utf-8', { ignoreBOM: true });
const latin1 = new TextDecoder('latin1');

function valueAt(text: string, at: number): number {
  const code = text.charCodeAt(at);
  return code < 128 ? VALUES[code] : 255;
}

/** RFC 4648, section 5, without padding. */
export function toBase64url(bytes: Uint8Array, start = 0, end = bytes.length): string {
  const out = new Uint8Array(textLength(end - start));
  let o = 0;
  let i = start;
  for (; i + 2 < end; i += 3) {
    const group = (bytes[i] << 16) | (bytes[i + 1] << 8) | bytes[i + 2];
    out[o++] = CHARACTERS[group >>> 18];
    out[o++] = CHARACTERS[(group >>> 12) & 63];
    out[o++] = CHARACTERS[(group >>> 6) & 63];
    out[o++] = CHARACTERS[group & 63];
  }
  if (i < end) {
    const group = (bytes[i] << 16) | (i + 1 < end ? bytes[i + 1] << 8 : 0);
    out[o++] = CHARACTERS[group >>> 18];
    out[o++] = CHARACTERS[(group >>> 12) & 63];
    if (i + 1 < end) out[o] = CHARACTERS[(group >>> 6) & 63];
  }
  return latin1.decode(out);
}

/** The inverse, of the canonical text only: -1 for any other. See `TextCodec`. */
export function fromBase64url(text: string, into: Uint8Array): number {
  const length = text.length;
  const rest = length & 3;
  if (rest === 1) return -1;
  const whole = length - rest;
  let o = 0;
  // An invalid character has the value 255: its upper bits outlive the OR.
  for (let i = 0; i < whole; i += 4) {
    const a = valueAt(text, i);
    const b = valueAt(text, i + 1);
    const c = valueAt(text, i + 2);
    const d = valueAt(text, i + 3);
    if ((a | b | c | d) > 63) return -1;
    into[o++] = (a << 2) | (b >>> 4);
    into[o++] = (b << 4) | (c >>> 2);
    into[o++] = (c << 6) | d;
  }
  if (rest === 0) return o;
  const a = valueAt(text, whole);
  const b = valueAt(text, whole + 1);
  const c = rest === 3 ? valueAt(text, whole + 2) : 0;
  const unused = rest === 3 ? c & 3 : b & 15;
  if ((a | b | c) > 63 || unused !== 0) return -1;
  into[o++] = (a << 2) | (b >>> 4);
  if (rest === 3) into[o++] = (b << 4) | (c >>> 2);
  return o;
}

/** The portable codec. */
export const portableText: TextCodec = {
  utf8Length(text) {
    let length = text.length;
    for (let i = 0; i < text.length; i++) {
      const code = text.charCodeAt(i);
      if (code < 0x80) continue;
      // A surrogate pair is two units and four bytes; a lone surrogate becomes U+FFFD, three bytes.
      length += code < 0x800 ? 1 : 2;
      if (code >= 0xd800 && code < 0xdc00) {
        const next = text.charCodeAt(i + 1);
        if (next >= 0xdc00 && next < 0xe000) i++;
      }
    }
    return length;
  },
  writeUtf8(text, into, at) {
    encoder.encodeInto(text, into.subarray(at));
  },
  readUtf8(bytes, start, end) {
    return decoder.decode(bytes.subarray(start, end));
  },
  toBase64url,
  fromBase64url,
};
