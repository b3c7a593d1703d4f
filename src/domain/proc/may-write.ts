import type { Hands } from '../../guest/hands/hands.js';
import { SYS } from '../../guest/hands/syscalls.js';
import { askAll } from '../linux/ask-all.js';
import { AT_FDCWD, AT_SYMLINK_NOFOLLOW, PROT } from '../linux/flags.js';
import { isFound, parseStat } from '../linux/os.js';
import { throughVma } from './deleted.js';
import type { Vma } from './maps.js';

/** Of a link in `/proc/PID/map_files`: the mapped file was opened for writing. */
const S_IWUSR = 0o200;

const isOpen = (v: Vma): boolean => v.shared && v.path !== '' && (v.prot & PROT.WRITE) === 0;

/**
 * The mappings of processes, and of shared ones that cannot be written now whether they may be: a page of a file opened
 * for reading and writing can be made writable later, one of a file opened for reading only cannot.
 */
export async function tellMayWrite(
  hands: Hands,
  processes: readonly { readonly hostPid: number; readonly vmas: readonly Vma[] }[],
): Promise<readonly (readonly Vma[])[]> {
  const asked = processes.flatMap(({ hostPid, vmas }) => vmas.filter(isOpen).map((vma) => ({ hostPid, vma })));
  if (asked.length === 0) return processes.map((p) => p.vmas);
  const answers = await askAll(hands, asked, 1, (b, { hostPid, vma }) => {
    const path = throughVma({ hostPid }, vma);
    const stat = b.out(128);
    const n = b.call(SYS.newfstatat, AT_FDCWD, b.str(path), stat, AT_SYMLINK_NOFOLLOW);
    // What is gone since the mappings were read is found out by others.
    return (r) => isFound(r.value(n), `looking at ${path}`) && (parseStat(r.view(stat)).mode & S_IWUSR) !== 0;
  });
  const may = new Map(asked.map(({ vma }, i) => [vma, answers[i] ?? false]));
  return processes.map(({ vmas }) =>
    vmas.map((v) => {
      const mayWrite = may.get(v);
      return mayWrite === undefined ? v : { ...v, mayWrite };
    }),
  );
}
