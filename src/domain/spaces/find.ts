import { SYS } from '../../guest/hands/syscalls.js';
import { unsupported } from '../errors.js';
import type { LookContext } from '../kinds/kind.js';
import { askAll } from '../linux/ask-all.js';
import { AT_FDCWD, O } from '../linux/flags.js';
import { closeAll } from '../linux/making.js';
import { check, readLinks } from '../linux/os.js';
import { SORTS } from './sorts.js';
import { sortOf } from './space.js';

/** A namespace as it was found. */
export interface Found {
  readonly link: string;
  /** A path of the hands that leads to it. */
  readonly at: string;
  /** Where it was found, in words. */
  readonly where: string;
}

/** As `/proc/PID/fd` shows a descriptor of a namespace. */
export const SPACE_LINK = /^(mnt|net|ipc|uts|pid|user|cgroup|time):\[\d+\]$/;
/** `ioctl_ns(2)`: a descriptor of the user namespace that a namespace belongs to. */
const NS_GET_USERNS = 0xb701;
const MOST_SPACES = 250;

/**
 * The namespaces that processes of the domain are in or have a descriptor of, beside those that it was made with. Nothing
 * is asked for it. Throws `unsupported`.
 */
export function findSpaces({ anchor, views }: Pick<LookContext, 'anchor' | 'views'>): Found[] {
  const own = new Set(Object.values(anchor.namespaces));
  const out = new Map<string, Found>();
  const note = (link: string, at: string, where: string): void => {
    if (!own.has(link) && !out.has(link) && SORTS.some((s) => s.name === sortOf(link)))
      out.set(link, { link, at, where });
  };
  for (const { hostPid, pid, namespaces } of views)
    for (const { name } of SORTS) note(namespaces[name] ?? '', `/proc/${hostPid}/ns/${name}`, `process ${pid}`);
  for (const { hostPid, pid, descriptors } of views)
    for (const { fd, link } of descriptors)
      if (SPACE_LINK.test(link)) note(link, `/proc/${hostPid}/fd/${fd}`, `descriptor ${fd} of process ${pid}`);
  if (out.size > MOST_SPACES) throw unsupported(`more than ${MOST_SPACES} namespaces`, 'the domain');
  return [...out.values()];
}

/**
 * Opens namespaces; answers descriptors of the hands, in order. `hold`: notes them. Throws `unsupported` for one that
 * belongs to another user namespace than the domain's.
 */
export async function holdSpaces(
  { hands, anchor, hold }: Pick<LookContext, 'hands' | 'anchor'> & { readonly hold: (fd: number) => void },
  found: readonly Found[],
): Promise<number[]> {
  const opened = await askAll(hands, found, 2, (b, { at }) => {
    const fd = b.call(SYS.openat, AT_FDCWD, b.str(at), O.RDONLY | O.CLOEXEC, 0);
    const owner = b.call(SYS.ioctl, fd, NS_GET_USERNS, 0);
    return (r) => ({ fd: r.value(fd), owner: r.value(owner) });
  });
  for (const { fd } of opened) if (fd >= 0) hold(fd);
  const owners = opened.map((o) => o.owner);
  try {
    opened.forEach(({ fd, owner }, i) => {
      check(fd, `opening a namespace of ${found[i]?.where ?? ''}`);
      check(owner, `asking whose a namespace of ${found[i]?.where ?? ''} is`);
    });
    const links = await readLinks(
      hands,
      owners.map((fd) => `/proc/self/fd/${fd}`),
    );
    const other = found.find((_, i) => links[i] !== anchor.namespaces['user']);
    if (other !== undefined) throw unsupported('a namespace that belongs to a user namespace of its own', other.where);
  } finally {
    await closeAll(hands, owners);
  }
  return opened.map((o) => o.fd);
}
