import type { Hands } from '../../../guest/hands/hands.js';
import { SYS } from '../../../guest/hands/syscalls.js';
import { DomainError } from '../../errors.js';
import { askAll } from '../../linux/ask-all.js';
import { check } from '../../linux/os.js';
import { processKind } from '../kind.js';

/** `struct sched_attr` (sched_setattr(2)): size u32, policy u32, flags u64, nice i32, priority u32, then what SCHED_DEADLINE and clamps need. */
const SCHED_ATTR_SIZE = 56;
const SCHED_NORMAL = 0;
/** Both clamps are told. */
const SCHED_FLAG_UTIL_CLAMP = 0x60;
const ALL_UTILIZATION = 1024;
/** Bytes of a set of processors: as many as Debian's kernels can have. */
const CPU_BYTES = 64;
const IOPRIO_WHO_PROCESS = 1;

interface ThreadScheduling {
  readonly tid: number;
  readonly attributes: Uint8Array;
  /** Processors that it may run on, as bits; absent: all there are. */
  readonly affinity?: Uint8Array;
  readonly ioPriority: number;
}

/** How each thread is scheduled. Threads that are as all are at first are not saved. */
export const scheduling = processKind<readonly ThreadScheduling[]>({
  name: 'scheduling',
  keeps:
    'policy, priority and niceness of each thread, reset on fork, deadlines, clamps, processors it may run on, I/O priority',
  stage: 'last',
  async checkpoint({ context: { hands }, view }) {
    const all = await askAll(hands, view.threads, 3, (b, { hostTid, tid }) => {
      const attributes = b.out(SCHED_ATTR_SIZE);
      const cpus = b.out(CPU_BYTES);
      const got = b.call(SYS.sched_getattr, hostTid, attributes, SCHED_ATTR_SIZE, 0);
      const where = b.call(SYS.sched_getaffinity, hostTid, CPU_BYTES, cpus);
      const io = b.call(SYS.ioprio_get, IOPRIO_WHO_PROCESS, hostTid);
      return (r) => {
        check(r.value(got), `asking how thread ${tid} is scheduled`);
        const bytes = check(r.value(where), `asking where thread ${tid} may run`);
        check(r.value(io), `asking for the I/O priority of thread ${tid}`);
        return { tid, attributes: r.bytes(attributes), cpus: r.bytes(cpus, bytes), ioPriority: r.value(io) };
      };
    });
    const widest = Math.max(0, ...all.map(({ cpus }) => count(cpus)));
    const present = widest === 1 || all.some(({ cpus }) => count(cpus) < widest) ? await cpusOf(hands) : widest;
    return all
      .filter(({ attributes, cpus, ioPriority }) => !isUsual(attributes) || count(cpus) < present || ioPriority !== 0)
      .map(({ tid, attributes, cpus, ioPriority }) => ({
        tid,
        attributes,
        ioPriority,
        ...(count(cpus) < present && { affinity: cpus }),
      }));
  },
  async restore({ context: { hands }, threads }, states) {
    const known = states.flatMap((s) => {
      const tracee = threads.get(s.tid);
      return tracee === undefined ? [] : [{ ...s, hostTid: tracee.tid }];
    });
    await askAll(hands, known, 3, (b, { tid, hostTid, attributes, affinity, ioPriority }) => {
      const refs = [
        ...(affinity === undefined ? [] : [b.call(SYS.sched_setaffinity, hostTid, affinity.length, b.bytes(affinity))]),
        ...(ioPriority === 0 ? [] : [b.call(SYS.ioprio_set, IOPRIO_WHO_PROCESS, hostTid, ioPriority)]),
        b.call(SYS.sched_setattr, hostTid, b.bytes(toSet(attributes, 0)), 0),
      ];
      // Not every kernel has clamps.
      if (isClamped(fieldsOf(attributes)))
        b.call(SYS.sched_setattr, hostTid, b.bytes(toSet(attributes, SCHED_FLAG_UTIL_CLAMP)), 0);
      return (r) => {
        for (const ref of refs) check(r.value(ref), `scheduling thread ${tid} as it was`);
      };
    });
  },
});

const fieldsOf = (attributes: Uint8Array): DataView =>
  new DataView(attributes.buffer, attributes.byteOffset, attributes.length);

function isUsual(attributes: Uint8Array): boolean {
  const fields = fieldsOf(attributes);
  return (
    fields.getUint32(4, true) === SCHED_NORMAL &&
    fields.getBigUint64(8, true) === 0n &&
    fields.getInt32(16, true) === 0 &&
    !isClamped(fields)
  );
}

/** A kernel without clamps answers 0 for both. Who has a real-time priority has the highest at least, if nobody says otherwise. */
function isClamped(fields: DataView): boolean {
  const [least, most] = [fields.getUint32(48, true), fields.getUint32(52, true)];
  const realTime = fields.getUint32(20, true) !== 0;
  return (least !== 0 && !(realTime && least === ALL_UTILIZATION)) || (most !== 0 && most !== ALL_UTILIZATION);
}

/** What was answered, as it is to be set. `more`: flags. */
function toSet(attributes: Uint8Array, more: number): Uint8Array {
  const out = attributes.slice();
  const fields = fieldsOf(out);
  const flags = fields.getBigUint64(8, true);
  fields.setUint32(0, SCHED_ATTR_SIZE, true);
  fields.setBigUint64(8, flags | BigInt(more), true);
  return out;
}

function count(bits: Uint8Array): number {
  let n = 0;
  for (let byte of bits) for (; byte !== 0; byte &= byte - 1) n++;
  return n;
}

/** How many processors the OS instance has: the first process, which nothing restricts, may run on all of them. */
async function cpusOf(hands: Hands): Promise<number> {
  const b = hands.batch();
  const cpus = b.out(CPU_BYTES);
  const n = b.call(SYS.sched_getaffinity, 1, CPU_BYTES, cpus);
  const r = await b.run();
  const bytes = check(r.value(n), 'asking for the processors that there are');
  if (bytes > CPU_BYTES) throw new DomainError('guest', 'more processors than there can be');
  return count(r.bytes(cpus, bytes));
}
