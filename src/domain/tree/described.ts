import type { Described } from '../kinds/kind.js';

/** What is kept of the process tree, which no kind but this folder takes care of. */
export const tree: Described = {
  name: 'the process tree',
  keeps:
    'parents, sessions and process groups, also of leaders that are gone or zombies; orphans; exit signals; tables of descriptors and working directories that processes share (CLONE_FILES, CLONE_FS); children that have ended and were not asked about',
  refuses:
    'a parent in vfork that stays there, a first thread that has ended, a debugger of its own, namespaces of a process’s own, a child that ended with a core dump',
};
