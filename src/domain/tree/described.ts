import type { Described } from '../kinds/kind.js';

/** What is kept of the process tree, which no kind but this folder takes care of. */
export const tree: Described = {
  name: 'the process tree',
  keeps:
    'parents, sessions, process groups (also of a leader that is gone), children that have ended and were not asked about',
  refuses: 'a session whose leader has ended, an orphan in a session that is no child of the first process',
};
