/** Something that the guest writes to, seen from its reader on the main thread. */
export interface GuestOutput {
  /** Called with what the guest has written; the array is the callee's. */
  onData: (bytes: Uint8Array) => void;
  /**
   * The reader has no room: the guest is made to wait as its kind of device can, and at most a few KiB
   * that were on their way still come.
   */
  hold(): void;
  /** The reader has room again. */
  letGo(): void;
}
