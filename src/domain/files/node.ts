import type { Hands } from '../../guest/hands/hands.js';
import { SYS } from '../../guest/hands/syscalls.js';
import { AT_FDCWD, EEXIST } from '../linux/flags.js';
import { check } from '../linux/os.js';
import { dressInode, S_IF, S_IFMT, setTimes, typeOf, type Inode } from './inode.js';

/** Makes a folder, FIFO, device node, socket file or symbolic link where it is missing. `at`: a path of the hands. */
export async function makeMissing(hands: Hands, at: string, inode: Inode): Promise<void> {
  const b = hands.batch();
  const type = typeOf(inode);
  const made =
    type === S_IF.DIR
      ? b.call(SYS.mkdirat, AT_FDCWD, b.str(at), 0o700)
      : type === S_IF.LNK
        ? b.call(SYS.symlinkat, b.str(inode.target ?? ''), AT_FDCWD, b.str(at))
        : b.call(SYS.mknodat, AT_FDCWD, b.str(at), (inode.mode & S_IFMT) | 0o600, inode.rdev);
  const result = (await b.run()).value(made);
  if (result === -EEXIST) return;
  check(result, `making ${at}`);
  await dressInode(hands, at, inode);
  await setTimes(hands, at, inode, false);
}
