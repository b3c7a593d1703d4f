import type { Batch, Ref } from '../../../guest/hands/batch.js';
import { SYS } from '../../../guest/hands/syscalls.js';
import { check } from '../../linux/os.js';
import { together } from '../../together.js';
import type { Tracee } from '../../trace/tracee.js';
import { processKind } from '../kind.js';

/** Something small that only the task itself can ask for and set: a number. */
interface Attribute {
  readonly name: string;
  /** What it is when nobody has set it; what is so is not saved. */
  readonly atFirst: number;
  get(b: Batch): Ref;
  set(b: Batch, value: number): readonly Ref[];
}

/** Of a pair of prctl(2) operations. What a kernel or a processor does not have answers an error, and is as at first. */
const byPrctl = (name: string, get: number, set: number, atFirst = 0): Attribute => ({
  name,
  atFirst,
  get: (b) => b.call(SYS.prctl, get, 0, 0, 0, 0),
  set: (b, value) => [b.call(SYS.prctl, set, value, 0, 0, 0)],
});

/** personality(2): asked for with a value that none is. */
const ASK_PERSONALITY = 0xffffffff;
/** Nanoseconds: what the first processes of a system have. */
const USUAL_SLACK = 50_000;

const MCE_KILL_DEFAULT = 2;

/** Of each thread. */
const OF_THREADS: readonly Attribute[] = [
  byPrctl('timer slack', 30, 29, USUAL_SLACK),
  byPrctl('being needed for I/O (PR_SET_IO_FLUSHER)', 58, 57),
  byPrctl('tagged addresses', 56, 55),
  byPrctl('vectors (PR_RISCV_V_SET_CONTROL)', 70, 69),
  {
    // PR_MCE_KILL_GET; to set it has an operation of its own, PR_MCE_KILL with PR_MCE_KILL_SET.
    name: 'what a failure of memory does (PR_MCE_KILL)',
    atFirst: MCE_KILL_DEFAULT,
    get: (b) => b.call(SYS.prctl, 34, 0, 0, 0, 0),
    set: (b, value) => [b.call(SYS.prctl, 33, 1, value, 0, 0)],
  },
  {
    name: 'personality',
    atFirst: 0,
    get: (b) => b.call(SYS.personality, ASK_PERSONALITY),
    set: (b, value) => [b.call(SYS.personality, value)],
  },
];

/** membarrier(2): which kinds of it the process has registered for, as the commands that do. */
const MEMBARRIER_GET_REGISTRATIONS = 1 << 9;
/** MEMBARRIER_CMD_REGISTER_: GLOBAL_EXPEDITED, PRIVATE_EXPEDITED, PRIVATE_EXPEDITED_SYNC_CORE, PRIVATE_EXPEDITED_RSEQ. */
const REGISTRATIONS = [1 << 2, 1 << 4, 1 << 6, 1 << 8];

/** Of the process as a whole. */
const OF_PROCESS: readonly Attribute[] = [
  byPrctl('huge pages (PR_SET_THP_DISABLE)', 42, 41),
  byPrctl('merging of memory (PR_SET_MEMORY_MERGE)', 68, 67),
  {
    name: 'membarrier registrations',
    atFirst: 0,
    get: (b) => b.call(SYS.membarrier, MEMBARRIER_GET_REGISTRATIONS, 0, 0),
    set: (b, value) =>
      REGISTRATIONS.filter((command) => (value & command) !== 0).map((command) =>
        b.call(SYS.membarrier, command, 0, 0),
      ),
  },
  // What keeps memory from being both written and executed comes when all memory is there.
  byPrctl('memory that is not written and executed (PR_SET_MDWE)', 66, 65),
];

/** Values that are not as at first, by the place in the list of attributes. */
type Values = readonly (readonly [index: number, value: number])[];

interface AttributeState {
  readonly process: Values;
  readonly threads: readonly (readonly [tid: number, values: Values])[];
}

/** What prctl(2) and its kin say of processes and threads. */
export const attributes = processKind<AttributeState>({
  name: 'attributes',
  keeps:
    'timer slack, personality, membarrier registrations, what prctl sets of huge pages, merged memory, I/O, tagged addresses, failures of memory and memory that may not be written and executed',
  stage: 'last',
  async checkpoint({ context, frozen, leader }) {
    const [process, ...threads] = await together([
      ask(leader, OF_PROCESS),
      ...frozen.threads.map(async ({ tracee }): Promise<readonly [number, Values]> => {
        return [context.threadIds.get(tracee.tid) ?? -1, await ask(tracee, OF_THREADS)];
      }),
    ]);
    return { process, threads: threads.filter(([, values]) => values.length > 0) };
  },
  async restore({ leader, threads }, state) {
    await together([
      ...state.threads.map(([tid, values]) => {
        const tracee = threads.get(tid);
        return tracee === undefined ? undefined : tell(tracee, OF_THREADS, values);
      }),
      tell(leader, OF_PROCESS, state.process),
    ]);
  },
});

async function ask(tracee: Tracee, attributes: readonly Attribute[]): Promise<Values> {
  const b = tracee.batch();
  const refs = attributes.map((a) => a.get(b));
  const r = await b.run();
  return attributes.flatMap(({ atFirst }, i) => {
    const ref = refs[i];
    const value = ref === undefined ? -1 : r.value(ref);
    return value < 0 || value === atFirst ? [] : [[i, value] as const];
  });
}

async function tell(tracee: Tracee, attributes: readonly Attribute[], values: Values): Promise<void> {
  if (values.length === 0) return;
  const b = tracee.batch();
  const told = values.flatMap(([i, value]) => {
    const attribute = attributes[i];
    return attribute === undefined ? [] : [{ attribute, refs: attribute.set(b, value) }];
  });
  const r = await b.run();
  for (const { attribute, refs } of told) for (const ref of refs) check(r.value(ref), `setting ${attribute.name}`);
}
