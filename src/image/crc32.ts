/** CRC-32 of IEEE 802.3 (reflected, polynomial 0xEDB88320), as .xz uses it. */
const table = Uint32Array.from({ length: 256 }, (_, n) => {
  let c = n;
  for (let bit = 0; bit < 8; bit++) c = (c & 1) !== 0 ? (c >>> 1) ^ 0xedb88320 : c >>> 1;
  return c;
});

export function crc32(data: Uint8Array): number {
  let c = 0xffffffff;
  for (const byte of data) c = (c >>> 8) ^ table[(c ^ byte) & 0xff];
  return (c ^ 0xffffffff) >>> 0;
}
