/**
 * An OS instance's physical memory as a device sees it.
 *
 * What a guest puts into a queue is untrusted: every address goes through
 * `offsetOf`, which knows only the memory of that instance's partition.
 */
export interface DmaSpace {
  /** Views of the whole shared memory. */
  readonly bytes: Uint8Array;
  readonly view: DataView;
  /**
   * Byte offset in shared memory of guest-physical address `address`, or -1 if no
   * memory of the instance is there. Valid up to the end of that 4 KiB page; the
   * next page may lie anywhere. Look up again for each use: a mapping may change.
   *
   * With `write` the caller is about to store there: a copy-on-write page gets its
   * own frame first, and a page that may not be written answers -1.
   */
  offsetOf(address: number, write?: boolean): number;
  /** To be called after a device has written `length` bytes at `offset`, within one page: drops code translated from there. */
  written(offset: number, length: number): void;
}

/** An interrupt line of a device, level-triggered. Callable from any thread. */
export interface InterruptLine {
  set(level: boolean): void;
}

/** A range of guest-physical addresses that reach a device's registers. */
export interface MmioRegion {
  readonly base: number;
  readonly size: number;
  /** `size` is 1, 2 or 4 bytes; an access of 8 arrives as two of 4. Unknown registers read as 0. */
  read(offset: number, size: number): number;
  write(offset: number, size: number, value: number): void;
}
