import type { Hands } from '../guest/hands/hands.js';
import { SYS } from '../guest/hands/syscalls.js';
import { DomainError, unsupported } from '../domain/errors.js';
import { AT_FDCWD, O } from '../domain/linux/flags.js';
import { check, statPath, type Stat } from '../domain/linux/os.js';
import type { ProcessView } from '../domain/proc/survey.js';
import { together } from '../domain/together.js';
import { isEmpty } from '../domain/files/folder-position.js';
import { S_IF, typeOf } from '../domain/files/inode.js';
import { isKernelFile } from '../domain/files/kernel-files.js';
import { isFanotify, isInotify } from '../domain/files/events.js';
import { marksOf } from '../domain/files/marks.js';
import { watchesOf } from '../domain/files/watches.js';
import { wasCarried } from '../domain/files/living.js';
import { carriedPaths, isOrdinary } from '../domain/memory/carried.js';
import { refusing, refusingLater, type OnRefusal } from '../domain/refusals.js';
import { isIoUring, isObject } from '../domain/memory/layout.js';

const CHUNK = 0x80000;
const WATCHES = 'watches';
/** Where programs write: what they have made there and only read now goes along too. */
const WRITABLE = /^\/(tmp|var|run|home|root|srv|mnt|dev\/shm)\//;
/** Bytes of such a file at most. */
const MOST_CARRIED = 256 * 2 ** 20;

/** What has been read of an OS instance's files: by path, what the file was then, and the digest of its contents. */
const known = new WeakMap<Hands, Map<string, { readonly file: string; readonly digest: string }>>();

/**
 * Throws `mismatch` if a file that the domain maps or reads, but does not write, is missing in the destination, or
 * holds something else there; or has `tell` told of each. Answers those that go along, as they lie where programs write and
 * the destination lacks them. `brought`: comes along with its file system. `root`: of the domain, in both instances. Each
 * file is read once in each OS instance, as long as it does not change.
 */
export async function compareFiles(
  from: Hands,
  to: Hands,
  views: readonly ProcessView[],
  brought: (path: string) => boolean,
  root: string,
  tell?: OnRefusal,
): Promise<Set<string>> {
  const lacking = new Set<string>();
  const programs = new Set(views.map((v) => v.exe));
  const carried = carriedPaths(views, brought);
  const uses = usedFiles(views);
  await refusingLater(tell, async () => {
    for (const path of await watchedPaths(from, views)) if (!uses.has(path)) uses.set(path, WATCHES);
  });
  for (const path of uses.keys())
    if (path.includes('\ufffd') && !brought(path))
      refusing(tell, () => {
        throw unsupported('a file name that is not UTF-8', path);
      });
  const used = [...uses].filter(([path]) => !carried.has(path) && !brought(path));
  const stats = await together(
    used.map(async ([path, use]) => {
      const [here, there] = await together([statPath(from, root + path), statPath(to, root + path)]);
      return { path, use, here, there };
    }),
  );
  for (const { path, use, here, there } of stats) {
    if (here === undefined) continue;
    // Folders are made for the files that go along.
    if (there === undefined && [...carried].some((c) => c.startsWith(`${path}/`))) continue;
    const type = typeOf(here);
    // Nodes are made where they are missing, and folders in which there is nothing; not for a watch alone.
    if (
      there === undefined &&
      use !== WATCHES &&
      type !== S_IF.REG &&
      (type !== S_IF.DIR || (await isEmpty(from, root + path)))
    )
      continue;
    if (there !== undefined && isKernelFile(path)) continue;
    const refuse = (how: string): void =>
      refusing(tell, () => {
        throw mismatch(path, use, `${how} in ${to.name}`);
      });
    // A program is executed before anything has gone along.
    const regular = type === S_IF.REG;
    const writable = regular && WRITABLE.test(path) && !programs.has(path);
    if (there === undefined && writable && here.size <= MOST_CARRIED) {
      lacking.add(path);
      continue;
    }
    if (there === undefined) {
      refuse('is missing');
      continue;
    }
    const alike = type === typeOf(there) && (!regular || here.size === there.size);
    if (alike && !regular) continue;
    if (!alike || (await digestOf(from, root + path, here)) !== (await digestOf(to, root + path, there))) {
      if (writable && wasCarried(to, path)) lacking.add(path);
      else refuse('is another');
    }
  }
  return lacking;
}

function mismatch(path: string, use: string, how: string): DomainError {
  return new DomainError('mismatch', `${path}, which the domain ${use}, ${how}`, { resource: path });
}

/** What inotify and fanotify watch for the domain. */
async function watchedPaths(hands: Hands, views: readonly ProcessView[]): Promise<string[]> {
  const watches = await together(
    views.flatMap(({ hostPid, descriptors }) => [
      ...descriptors.filter(isInotify).map((d) => watchesOf(hands, d, hostPid)),
      ...descriptors.filter(isFanotify).map((d) => marksOf(hands, d, hostPid)),
    ]),
  );
  return watches.flat().flatMap((w) => (w.ghost === undefined ? [w.path] : []));
}

/** Paths of files and folders that must be there, with what the domain does with them. */
function usedFiles(views: readonly ProcessView[]): Map<string, string> {
  const out = new Map<string, string>();
  for (const view of views) {
    if (!view.gone.cwd) out.set(view.cwd, 'is in');
    if (!view.gone.root) out.set(view.root, 'has as its root');
    for (const d of view.descriptors) {
      // Every process has the same files in /proc, and the domain's cgroup is made for it.
      const ofKernel = isKernelFile(d.link) && !/^\/(proc\/\d+|sys\/fs\/cgroup)(\/|$)/.test(d.link);
      if (isOrdinary(d) || ofKernel) out.set(d.link, 'has open');
    }
    for (const v of view.vmas) if (v.ino !== 0 && !isObject(v) && !isIoUring(v)) out.set(v.path, 'maps');
  }
  return out;
}

/** A digest of a regular file's contents; of its pieces' digests, as no more than one piece is ever held. */
async function digestOf(hands: Hands, path: string, stat: Stat): Promise<string> {
  const files = known.get(hands) ?? new Map<string, { file: string; digest: string }>();
  known.set(hands, files);
  const file = [stat.dev, stat.ino, stat.size, stat.mtime, stat.ctime].join(' ');
  const before = files.get(path);
  if (before?.file === file) return before.digest;
  const open = hands.batch();
  const opened = open.call(SYS.openat, AT_FDCWD, open.str(path), O.RDONLY | O.NOATIME | O.CLOEXEC, 0);
  const fd = check((await open.run()).value(opened), `opening ${path}`);
  const digests: Uint8Array[] = [];
  try {
    for (let at = 0; at < stat.size;) {
      const b = hands.batch();
      const buf = b.out(Math.min(CHUNK, stat.size - at));
      const got = b.call(SYS.pread64, fd, buf, buf.length, at);
      const r = await b.run();
      const length = check(r.value(got), `reading ${path}`);
      if (length === 0) break;
      digests.push(await sha256(r.bytes(buf, length)));
      at += length;
    }
  } finally {
    await hands.syscall(SYS.close, fd);
  }
  const all = new Uint8Array(32 * digests.length);
  digests.forEach((d, i) => all.set(d, 32 * i));
  const digest = String(await sha256(all));
  files.set(path, { file, digest });
  return digest;
}

async function sha256(bytes: Uint8Array): Promise<Uint8Array> {
  return new Uint8Array(await crypto.subtle.digest('SHA-256', bytes as Uint8Array<ArrayBuffer>));
}
