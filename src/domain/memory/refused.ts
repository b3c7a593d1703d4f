import { unsupported } from '../errors.js';
import { isIoUring } from './layout.js';
import type { ProcessView } from '../proc/survey.js';
import type { Vma } from '../proc/maps.js';

/** The name of what a mapping cannot be made of anew, or undefined. */
function refusedName({ path }: Vma): string | undefined {
  // Its kind knows what it is.
  if (isIoUring({ path })) return undefined;
  if (path.startsWith('anon_inode:')) return path.slice('anon_inode:'.length);
  if (path.startsWith('socket:')) return 'a mapping of a socket';
  if (path === '/secretmem') return 'secret memory (memfd_secret)';
  if (path === '/anon_hugepage') return 'huge pages that were set aside (hugetlbfs)';
  const device = path.startsWith('/dev/') && path !== '/dev/zero' && !path.startsWith('/dev/shm/');
  return device ? `a mapping of the device ${path}` : undefined;
}

/** Refuses mappings of what is neither memory nor a file. Throws `unsupported`. */
export function refuseMappings(view: ProcessView): void {
  for (const vma of view.vmas) {
    const name = refusedName(vma);
    if (name !== undefined) throw unsupported(name, `a mapping of process ${view.pid}`);
  }
}
