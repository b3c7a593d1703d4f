import type { Batch, Buf } from '../../guest/hands/batch.js';

/** Arguments of clone3 that the domains use. */
export interface CloneArgs {
  readonly flags: bigint;
  readonly exitSignal?: number;
  /** The id the child shall have in its own PID namespace. */
  readonly setTid?: number;
  /** Descriptor of the cgroup it is born into, with CLONE_INTO_CGROUP. */
  readonly cgroup?: number;
}

/** `struct clone_args` (clone(2)): 11 × u64; exit_signal at 32, set_tid and set_tid_size at 64, cgroup at 80. */
export function cloneArgs(b: Batch, args: CloneArgs): Buf {
  const bytes = new Uint8Array(88);
  const view = new DataView(bytes.buffer);
  view.setBigUint64(0, args.flags, true);
  view.setBigUint64(32, BigInt(args.exitSignal ?? 0), true);
  view.setBigUint64(72, args.setTid === undefined ? 0n : 1n, true);
  view.setBigUint64(80, BigInt(args.cgroup ?? 0), true);
  const buf = b.bytes(bytes);
  if (args.setTid !== undefined) b.pointer(buf, 64, b.bytes(new Uint8Array(new Int32Array([args.setTid]).buffer)));
  return buf;
}
