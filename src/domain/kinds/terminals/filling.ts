/**
 * How to write to a terminal that nobody reads so that it gets as full again as it was.
 *
 * The line discipline of the other side takes 4095 bytes. What it has no room for is in buffers (drivers/tty/tty_buffer.c): for a write
 * that does not fit into the last one a new one is made, as large as the write, up to 1792 bytes, in multiples of 256; it has room for
 * twice that. None is made any more when those that hold something are larger than 8 KiB together, but those of 256 bytes that
 * were emptied are used again. So what is written in other pieces than these needs more room than there is.
 */
export const LINE_DISCIPLINE = 4095;
const LIMIT = 8192;
const LARGEST = 1792;
/** Fits into a small buffer that was emptied, or into the last one, where there is room for no more. */
export const SMALLEST = 256;
/** In buffers that are made: the last may be as large as it likes when the limit is reached exactly. */
const MADE = LINE_DISCIPLINE + 2 * (LIMIT + LARGEST);

/** Where each write ends, for so many bytes. */
export function endsOfWrites(length: number): number[] {
  if (length <= LINE_DISCIPLINE) return [length];
  const ends: number[] = [];
  let at = 0;
  const write = (bytes: number): void => {
    at = Math.min(length, at + bytes);
    ends.push(at);
  };
  // The line discipline takes whole small buffers, which are then used again for what there is no room for otherwise.
  while (at < LINE_DISCIPLINE) write(at === 0 ? SMALLEST - 1 : SMALLEST);
  const made = Math.min(length, MADE);
  const last = Math.max(LINE_DISCIPLINE, made - 2 * LARGEST);
  while (at < made) {
    const end = at < last ? Math.min(last, at + 2 * LARGEST) : made;
    const half = Math.ceil((end - at) / 2 / SMALLEST) * SMALLEST;
    write(Math.min(half, end - at));
    if (at < end) write(end - at);
  }
  while (at < length) write(SMALLEST);
  return ends;
}
