/** Who is told by a signal that something can be done with an open file (fcntl(2), F_SETOWN_EX, F_SETSIG, O_ASYNC): any kind of file may have it. */
import { SYS } from '../../guest/hands/syscalls.js';
import type { CheckpointContext, OpenFile, RebornProcess, SavedFile } from '../kinds/kind.js';
import { askAll } from '../linux/ask-all.js';
import { F, O } from '../linux/flags.js';
import { check } from '../linux/os.js';
import { together } from '../together.js';

const GETOWNER_UIDS = 17;
const SETSIG = 10;
const GETSIG = 11;
/** `struct f_owner_ex`: type i32 (0 a thread, 1 a process, 2 a process group), id i32. */
const OF_GROUP = 2;

/** Ids are those of the domain. */
export interface FileOwner {
  readonly type: number;
  readonly id: number;
  /** 0: SIGIO, without information. */
  readonly signal: number;
  /** Real and effective user of who said so: in their name the signal is sent. */
  readonly uids: readonly [number, number];
  readonly async: boolean;
  /** All status flags. */
  readonly flags: number;
}

/** Owners by the files' ids, of those that have one. */
export async function ownersOf(
  { hands, views, threadIds }: CheckpointContext,
  files: readonly OpenFile[],
): Promise<Map<string, FileOwner>> {
  const found = await askAll(hands, files, 1, (b, { held }) => {
    const out = b.out(8);
    const n = b.call(SYS.fcntl, held, F.GETOWN_EX, out);
    // What is opened for its path alone has no owner.
    return (r) => (r.value(n) < 0 ? [0, 0] : [r.view(out).getInt32(0, true), r.view(out).getInt32(4, true)]);
  });
  const owned = files.flatMap((file, i) => {
    const [type = 0, id = 0] = found[i] ?? [];
    return id > 0 || (file.view.info.flags & O.ASYNC) !== 0 ? [{ file, type, id }] : [];
  });
  const more = await askAll(hands, owned, 2, (b, { file }) => {
    const out = b.out(8);
    const signal = b.call(SYS.fcntl, file.held, GETSIG, 0);
    const uids = b.call(SYS.fcntl, file.held, GETOWNER_UIDS, out);
    return (r) => {
      check(r.value(uids), `asking who owns ${file.view.link}`);
      const ids = r.view(out);
      return {
        signal: Math.max(0, r.value(signal)),
        uids: [ids.getUint32(0, true), ids.getUint32(4, true)] as const,
      };
    };
  });
  const groups = new Map(views.map((v) => [v.status.nsPgid[0], v.status.nsPgid.at(-1)]));
  return new Map(
    owned.flatMap(({ file, type, id }, i) => {
      const { signal, uids } = more[i] ?? { signal: 0, uids: [0, 0] as const };
      const own = id === 0 ? 0 : type === OF_GROUP ? groups.get(id) : threadIds.get(id);
      // It has ended, or is none of the domain's: nobody is told then.
      const flags = file.view.info.flags & ~O.CLOEXEC;
      return [[file.id, { type, id: own ?? 0, signal, uids, async: (flags & O.ASYNC) !== 0, flags }] as const];
    }),
  );
}

/**
 * Says again who is told. By the first who has the file: only there its number is the one that the signal brings along.
 * `process`: its user of that id.
 */
export async function restoreOwners(
  files: readonly SavedFile[],
  process: (pid: number) => RebornProcess,
): Promise<void> {
  await together(
    files.map(async ({ owner, users: [user] }) => {
      if (owner === undefined || user === undefined) return;
      const b = process(user.pid).leader.batch();
      const struct = b.bytes(new Uint8Array(new Int32Array([owner.type, owner.id]).buffer));
      const [real, effective] = owner.uids;
      const another = real !== 0 || effective !== 0;
      if (another) b.call(SYS.setresuid, real, effective, 0);
      const refs = owner.id === 0 ? [] : [b.call(SYS.fcntl, user.fd, F.SETOWN_EX, struct)];
      if (another) refs.push(b.call(SYS.setresuid, 0, 0, 0));
      if (owner.signal !== 0) refs.push(b.call(SYS.fcntl, user.fd, SETSIG, owner.signal));
      if (owner.async) {
        // A file that was opened with the flag has it, but tells nobody.
        refs.push(b.call(SYS.fcntl, user.fd, F.SETFL, owner.flags & ~O.ASYNC));
        refs.push(b.call(SYS.fcntl, user.fd, F.SETFL, owner.flags));
      }
      const r = await b.run();
      for (const ref of refs) check(r.value(ref), `saying who owns descriptor ${user.fd} of process ${user.pid}`);
    }),
  );
}
