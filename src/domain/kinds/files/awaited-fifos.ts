import { ECALL } from '../../../guest/hands/code.js';
import type { Hands } from '../../../guest/hands/hands.js';
import { SYS } from '../../../guest/hands/syscalls.js';
import { unsupportedNow } from '../../errors.js';
import { lookAtInode, S_IF, typeOf, type Inode } from '../../files/inode.js';
import { foldersOf, putFolders, type Folder } from '../../files/living.js';
import { makeMissing } from '../../files/node.js';
import type { FrozenThread } from '../../freeze/frozen-thread.js';
import { askAll } from '../../linux/ask-all.js';
import { AT_FDCWD, O } from '../../linux/flags.js';
import { whileOpen } from '../../linux/making.js';
import { readLinks } from '../../linux/os.js';
import { together } from '../../together.js';
import { PC, REG } from '../../trace/tracee.js';
import { domainKind, type CheckpointContext, type RestoreContext } from '../kind.js';

const PAGE = 4096;
const utf8 = new TextDecoder();

interface Opener {
  readonly hostPid: number;
  readonly thread: FrozenThread;
}

interface Awaited {
  readonly path: string;
  readonly inode: Inode;
}

interface AwaitedFifos {
  readonly folders: readonly Folder[];
  readonly fifos: readonly Awaited[];
}

/**
 * FIFOs that nobody has open but that a thread waits to open, until somebody opens the other end: it begins its open(2) anew in the
 * destination, and must find the FIFO there.
 */
export const awaitedFifos = domainKind<AwaitedFifos>({
  name: 'FIFOs that are being opened',
  keeps: 'that a thread waits for somebody to open the other end of a FIFO',
  refuses:
    'such a FIFO where its name is a symbolic link or leads elsewhere for others (seen when the domain stands still)',
  async checkpoint(context) {
    const { hands } = context;
    // What was stopped in the middle of an open(2) waits for something.
    const openers = [...context.frozen.values()].flatMap(({ hostPid, threads }) =>
      threads.filter((t) => Number(t.regs[REG.a7]) === SYS.openat).map((thread) => ({ hostPid, thread })),
    );
    if (openers.length === 0) return { folders: [], fifos: [] };
    const names = await namesOf(hands, openers);
    const found = await together(names.map((name) => (name === undefined ? undefined : find(context, name))));
    const fifos = found.filter((f) => f !== undefined);
    const folders = await foldersOf(
      hands,
      rootOf(context),
      fifos.map((f) => f.path),
    );
    return { folders, fifos };
  },
  async restore(context, { folders, fifos }) {
    if (fifos.length === 0) return;
    const root = rootOf(context);
    await putFolders(context.hands, root, folders);
    await together(fifos.map(({ path, inode }) => makeMissing(context.hands, root + path, inode)));
  },
});

const rootOf = ({ anchor }: CheckpointContext | RestoreContext): string => `/proc/${anchor.pid}/root`;

/** What each is opening, as a path of the hands; nothing for one that is not in the middle of a call. */
function namesOf(hands: Hands, openers: readonly Opener[]): Promise<(string | undefined)[]> {
  return askAll(hands, openers, 3, (b, { hostPid, thread: { tracee, regs } }) => {
    const [pc, at] = [Number(regs[PC] ?? 0n), Number(regs[REG.a1] ?? 0n)];
    // What a process has not mapped cannot be read: a name ends before that.
    const inPage = PAGE - (at % PAGE);
    const [code, start, rest] = [b.out(4), b.out(inPage), b.out(PAGE)];
    b.call(SYS.process_vm_readv, tracee.tid, b.iovec(code), 1, b.iovec([pc, 4]), 1, 0);
    const n = b.call(SYS.process_vm_readv, tracee.tid, b.iovec(start), 1, b.iovec([at, inPage]), 1, 0);
    const m = b.call(SYS.process_vm_readv, tracee.tid, b.iovec(rest), 1, b.iovec([at + inPage, PAGE]), 1, 0);
    return (r) => {
      if (r.view(code).getUint32(0, true) !== ECALL || r.value(n) <= 0) return undefined;
      const bytes = [...r.bytes(start), ...(r.value(m) > 0 ? r.bytes(rest) : [])];
      const end = bytes.indexOf(0);
      if (end <= 0) return undefined;
      const name = utf8.decode(new Uint8Array(bytes.slice(0, end)));
      const process = `/proc/${hostPid}`;
      if (name.startsWith('/')) return `${process}/root${name}`;
      const from = Number(BigInt.asIntN(32, regs[REG.a0] ?? 0n));
      return `${process}/${from === AT_FDCWD ? 'cwd' : `fd/${from}`}/${name}`;
    };
  });
}

/** Looks what is there, without opening it; nothing if it is no FIFO, or comes along with its file system. */
async function find(context: CheckpointContext, name: string): Promise<Awaited | undefined> {
  const { hands, brought } = context;
  const b = hands.batch();
  const fd = b.must(SYS.openat, AT_FDCWD, b.str(name), O.PATH | O.NOFOLLOW | O.CLOEXEC, 0);
  const held = (await b.run()).value(fd);
  if (held < 0) return undefined;
  return whileOpen(hands, held, async () => {
    const inode = await lookAtInode(hands, held, name);
    if (typeOf(inode) === S_IF.LNK)
      // It may only be about to begin, of anything.
      throw unsupportedNow('an open(2) that waits, by a symbolic link', name);
    if (typeOf(inode) !== S_IF.FIFO) return undefined;
    const [path = ''] = await readLinks(hands, [`/proc/self/fd/${held}`]);
    if (brought(path)) return undefined;
    const c = hands.batch();
    const there = c.must(SYS.openat, AT_FDCWD, c.str(rootOf(context) + path), O.PATH | O.NOFOLLOW | O.CLOEXEC, 0);
    const other = (await c.run()).value(there);
    if (other < 0) throw unsupportedNow('an open(2) that waits, of a FIFO without a name', path);
    const { key } = await whileOpen(hands, other, () => lookAtInode(hands, other, path));
    if (key !== inode.key) throw unsupportedNow('an open(2) that waits, of a FIFO whose name leads elsewhere', path);
    return { path, inode };
  });
}
