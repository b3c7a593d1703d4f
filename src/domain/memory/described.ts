import type { Described } from '../kinds/kind.js';

/** What is kept of memory, which no kind but this folder takes care of. */
export const memory: Described = {
  name: 'memory',
  keeps:
    'private mappings, also those that nobody may touch; written pages of private file mappings; pages that are shared since a fork; shared memory, and what may be done with it later; stacks that grow, stack and heap bounds; names, advice, locks, seals, droppable memory; the vDSO of the kernel before, moved or not',
  refuses:
    'mappings of perf events, BPF, sockets and devices; userfaultfd; secret memory; huge pages that were set aside; guard regions; memory that two processes share (CLONE_VM)',
};
