/**
 * Ctrl-A and a letter are for us, everything else is for the guest, as in QEMU's
 * `-nographic`. Ctrl-A twice sends one Ctrl-A.
 */
const CTRL_A = 0x01;

export interface EscapeKeys {
  /** What is typed, without what is for us. */
  readonly onData: (bytes: Uint8Array) => void;
  /** The letter after Ctrl-A, in lower case. */
  readonly onKey: (letter: string) => void;
}

/** A function to be fed with what is typed, however it is cut into pieces. */
export function escapeKeys({ onData, onKey }: EscapeKeys): (bytes: Uint8Array) => void {
  let escaped = false;
  return (bytes) => {
    let start = 0;
    const pass = (end: number): void => {
      if (end > start) onData(bytes.subarray(start, end));
    };
    for (let i = 0; i < bytes.length; i++) {
      const byte = bytes[i];
      if (!escaped) {
        if (byte !== CTRL_A) continue;
        pass(i);
        escaped = true;
      } else {
        escaped = false;
        // The second Ctrl-A is the one that is sent.
        if (byte !== CTRL_A) onKey(String.fromCharCode(byte).toLowerCase());
        else onData(Uint8Array.of(CTRL_A));
      }
      start = i + 1;
    }
    if (!escaped) pass(bytes.length);
  };
}
