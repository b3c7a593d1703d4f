import type { Described } from '../kinds/kind.js';

/** What is kept of memory, which no kind but this folder takes care of. */
export const memory: Described = {
  name: 'memory',
  keeps:
    'private mappings, written pages of private file mappings, shared anonymous memory, stack and heap bounds, advice and locks, the vDSO of the kernel before',
  refuses: 'an unreadable mapping with contents',
};
