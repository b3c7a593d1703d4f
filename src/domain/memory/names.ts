import { SYS } from '../../guest/hands/syscalls.js';
import { PR } from '../linux/flags.js';
import type { Vma } from '../proc/maps.js';
import type { Tracee } from '../trace/tracee.js';

const PR_SET_VMA_ANON_NAME = 0;
/** How /proc shows memory that a program has given a name. */
const NAMED = /^\[anon(?:_shmem)?:(.*)\]$/;
const AT_ONCE = 150;

/** Gives anonymous memory the names that a program gave it (PR_SET_VMA), where the kernel has names. */
export async function nameMemory(tracee: Tracee, mappings: readonly Vma[]): Promise<void> {
  const named = mappings.flatMap(({ start, end, path }) => {
    const name = NAMED.exec(path)?.[1];
    return name === undefined ? [] : [{ start, end, name }];
  });
  for (let first = 0; first < named.length; first += AT_ONCE) {
    const b = tracee.batch();
    for (const { start, end, name } of named.slice(first, first + AT_ONCE))
      b.call(SYS.prctl, PR.SET_VMA, PR_SET_VMA_ANON_NAME, start, end - start, b.str(name));
    await b.run();
  }
}
