import { DomainError } from '../errors.js';
import { filesOfProcesses, ofProcesses, sharedByProcesses } from './process/kinds.js';
import { carriedFiles } from './carried-files.js';
import { aio } from './aio.js';
import { credentials } from './credentials.js';
import { epoll } from './epoll.js';
import { eventfd } from './eventfd.js';
import { hostname } from './hostname.js';
import { jobs } from './jobs.js';
import { inotify, unreadEvents } from './inotify.js';
import type { DomainKind, FileKind, ProcessKind } from './kind.js';
import { locksToCome } from './locks-to-come.js';
import { memoryFile } from './memory-file.js';
import { mounts } from './mounts.js';
import { parentDeath } from './parent-death.js';
import { network } from './network/network.js';
import { queueDescriptor } from './mqueue/descriptor.js';
import { queues } from './mqueue/queues.js';
import { ownRoot } from './own-root.js';
import { pathFile } from './path-file.js';
import { pipe } from './pipe.js';
import { recordLocks } from './record-locks.js';
import { signalfd } from './signalfd.js';
import { signals } from './signals.js';
import { sysv } from './sysv/sysv.js';
import { semaphoreAdjustments, semaphoreUsers } from './sysv/users.js';
import { surroundings } from './surroundings.js';
import { orphans } from './inet/orphans.js';
import { socket, socketKinds } from './socket.js';
import { threads } from './threads.js';
import { timerfd } from './timerfd.js';
import { writtenFiles } from './written-files.js';
import { rootDirectory, workingDirectory } from './working-directory.js';
import { timers } from './timers.js';

/** Kinds of open files. The first that matches is asked. */
export const fileKinds: readonly FileKind[] = [
  pipe,
  eventfd,
  timerfd,
  signalfd,
  epoll,
  inotify,
  socket,
  ...socketKinds,
  memoryFile,
  ...filesOfProcesses,
  queueDescriptor,
  pathFile,
];

/** Kinds of what a process has, in the order they are asked. */
export const processKinds: readonly ProcessKind[] = [
  jobs,
  timers,
  signals,
  threads,
  workingDirectory,
  recordLocks,
  rootDirectory,
  surroundings,
  ...ofProcesses,
  credentials,
  parentDeath,
  semaphoreAdjustments,
  semaphoreUsers,
  locksToCome,
  aio,
];

/** Kinds of what the domain has as a whole. */
export const domainKinds: readonly DomainKind[] = [
  hostname,
  network,
  ownRoot,
  mounts,
  writtenFiles,
  sysv,
  unreadEvents,
  queues,
  carriedFiles,
  ...sharedByProcesses,
  orphans,
];

/** The kind that saved something. Throws `state`. */
export function kindNamed<K extends { readonly name: string }>(kinds: readonly K[], name: string): K {
  const kind = kinds.find((k) => k.name === name);
  if (kind === undefined) throw new DomainError('state', `nothing is known of ${name}`);
  return kind;
}
