import type { Batch, Ref } from '../../../guest/hands/batch.js';
import type { Hands } from '../../../guest/hands/hands.js';
import { SYS } from '../../../guest/hands/syscalls.js';
import { unsupported } from '../../errors.js';
import { askAll } from '../../linux/ask-all.js';
import { PTRACE } from '../../linux/flags.js';
import { check } from '../../linux/os.js';
import type { ThreadView } from '../../proc/survey.js';
import { together } from '../../together.js';
import { processKind } from '../kind.js';

/** Operations of seccomp(2). */
const SET_MODE_STRICT = 0;
const SET_MODE_FILTER = 1;
const FLAG_TSYNC = 1;
const FLAG_LOG = 2;
/** What `/proc/PID/status` says of a thread in strict mode, and of one with filters. */
const STRICT = 1;
const FILTERED = 2;
/** `struct sock_filter` (seccomp(2)): code u16, jt u8, jf u8, k u32. */
const INSTRUCTION = 8;
/** The kernel takes no longer ones (BPF_MAXINSNS). */
const MOST_INSTRUCTIONS = 4096;
/** Nor more of them for a thread (MAX_INSNS_PER_PATH), of which each filter costs four beside its own. */
const MOST_OF_THREAD = 32768;
const MOST_FILTERS = Math.floor(MOST_OF_THREAD / 5);
/** Filters of all threads of a process together that are read while it stands still. */
const MOST_OF_PROCESS = 50_000;

const TOO_MANY = 'very many seccomp filters';

interface Filter {
  readonly instructions: Uint8Array;
  readonly flags: number;
}

interface SeccompState {
  /** Ids of threads in strict mode. */
  readonly strict: readonly number[];
  /** The filters of each thread that has some, the oldest first. */
  readonly filtered: readonly (readonly [tid: number, filters: readonly Filter[]])[];
}

/**
 * What threads may not ask of the kernel. Nothing of it holds for a thread while the hands trace it
 * (PTRACE_O_SUSPEND_SECCOMP), so that its runner can make the calls it is told.
 */
export const seccomp = processKind<SeccompState>({
  name: 'seccomp',
  keeps: 'strict mode and filters of each thread, with their flags',
  refuses: 'a descriptor by which another process answers for a filter; very many filters',
  stage: 'last',
  describe({ pid, threads }) {
    const counts = threads.map((t) => t.status.seccompFilters);
    if (counts.some((n) => n > MOST_FILTERS) || counts.reduce((a, b) => a + b, 0) > MOST_OF_PROCESS)
      throw unsupported(TOO_MANY, `process ${pid}`);
  },
  async checkpoint({ context: { hands }, view }) {
    const filtered = view.threads.filter((t) => t.status.seccomp === FILTERED);
    return {
      strict: view.threads.filter((t) => t.status.seccomp === STRICT).map((t) => t.tid),
      filtered: await together(
        filtered.map(async (t): Promise<readonly [number, Filter[]]> => [t.tid, await filtersOf(hands, t)]),
      ),
    };
  },
  async restore({ leader, threads }, { strict, filtered }) {
    // What all have they have from one: another that is added for all is refused where they have the same, but not in common.
    const lists = [...threads.keys()].map((tid) => filtered.find(([id]) => id === tid)?.[1] ?? []);
    const common = lists.length === 0 ? 0 : Math.min(...lists.map((list) => sameStart(lists[0] ?? [], list)));
    const install = async (tracee: typeof leader, filters: readonly Filter[], flags: number): Promise<void> => {
      if (filters.length === 0) return;
      const b = tracee.batch();
      const refs = filters.map((f) => addFilter(b, f, flags));
      const r = await b.run();
      for (const ref of refs) check(r.value(ref), `installing a filter of thread ${tracee.tid}`);
    };
    // All is asked for before anything is waited for: whoever takes rights away meanwhile comes after it.
    await together([
      install(leader, (lists[0] ?? []).slice(0, common), FLAG_TSYNC),
      ...filtered.map(([tid, filters]) => {
        const tracee = threads.get(tid);
        return tracee === undefined ? undefined : install(tracee, filters.slice(common), 0);
      }),
      ...strict.map(async (tid) => {
        const set = await threads.get(tid)?.syscall(SYS.seccomp, SET_MODE_STRICT, 0, 0);
        check(set ?? 0, `making thread ${tid} strict`);
      }),
    ]);
  },
});

async function filtersOf(hands: Hands, { hostTid, status }: ThreadView): Promise<Filter[]> {
  const indices = Array.from({ length: status.seccompFilters }, (_, i) => i);
  const lengths = await askAll(hands, indices, 1, (b, i) => {
    const n = b.call(SYS.ptrace, PTRACE.SECCOMP_GET_FILTER, hostTid, i, 0);
    return (r) => Math.min(MOST_INSTRUCTIONS, check(r.value(n), `looking at a filter of thread ${hostTid}`));
  });
  if (lengths.reduce((a, b) => a + b, 0) > MOST_OF_THREAD) throw unsupported(TOO_MANY, `thread ${hostTid}`);
  return together(
    lengths.map(async (length, i) => {
      const b = hands.batch();
      const out = b.out(INSTRUCTION * length);
      // struct seccomp_metadata: filter_off u64, flags u64
      const metadata = b.inout(new Uint8Array(new BigUint64Array([BigInt(i), 0n]).buffer));
      const got = b.call(SYS.ptrace, PTRACE.SECCOMP_GET_FILTER, hostTid, i, out);
      const told = b.call(SYS.ptrace, PTRACE.SECCOMP_GET_METADATA, hostTid, 16, metadata);
      const r = await b.run();
      check(r.value(got), `reading a filter of thread ${hostTid}`);
      check(r.value(told), `asking for the flags of a filter of thread ${hostTid}`);
      return { instructions: r.bytes(out), flags: Number(r.view(metadata).getBigUint64(8, true)) & FLAG_LOG };
    }),
  );
}

/** `struct sock_fprog`: length u16, pointer to the instructions at 8. */
function addFilter(b: Batch, { instructions, flags }: Filter, more: number): Ref {
  const program = new Uint8Array(16);
  new DataView(program.buffer).setUint16(0, instructions.length / INSTRUCTION, true);
  const buf = b.bytes(program);
  b.pointer(buf, 8, b.bytes(instructions));
  return b.call(SYS.seccomp, SET_MODE_FILTER, flags | more, buf);
}

/** How many filters two lists begin with in common. */
function sameStart(one: readonly Filter[], other: readonly Filter[]): number {
  let n = 0;
  while (n < one.length && n < other.length && isSame(one[n], other[n])) n++;
  return n;
}

function isSame(one: Filter | undefined, other: Filter | undefined): boolean {
  if (one === undefined || other === undefined || one.flags !== other.flags) return false;
  const { instructions: a } = one;
  const { instructions: b } = other;
  return a.length === b.length && a.every((byte, i) => byte === b[i]);
}
