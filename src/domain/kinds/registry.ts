import { DomainError } from '../errors.js';
import { filesOfProcesses, ofProcesses, sharedByProcesses } from './process/kinds.js';
import { carriedFiles } from './files/carried-files.js';
import { awaitedFifos } from './files/awaited-fifos.js';
import { aio } from './events/aio.js';
import { credentials } from './process/credentials.js';
import { epoll } from './events/epoll.js';
import { eventfd } from './events/eventfd.js';
import { ioUring } from './io-uring/io-uring.js';
import { ringMappings } from './io-uring/mappings.js';
import { ringsReady } from './io-uring/prepared.js';
import { hostEnds } from './host-ends.js';
import { hostname } from './hostname.js';
import { jobs } from './process/jobs.js';
import { fanotify } from './files/fanotify.js';
import { inotify } from './files/inotify.js';
import { unreadEvents } from './files/unread-events.js';
import type { DomainKind, FileKind, ProcessKind } from './kind.js';
import { locksToCome } from './process/locks-to-come.js';
import { memoryFile } from './files/memory-file.js';
import { mounts } from './files/mounts.js';
import { parentDeath } from './process/parent-death.js';
import { network } from './network/network.js';
import { queueDescriptor } from './mqueue/descriptor.js';
import { queues } from './mqueue/queues.js';
import { ownRoot } from './files/own-root.js';
import { pathFile } from './files/path-file.js';
import { pipe } from './files/pipe.js';
import { recordLocks } from './files/record-locks.js';
import { signalfd } from './events/signalfd.js';
import { signals } from './process/signals.js';
import { sysv } from './sysv/sysv.js';
import { semaphoreAdjustments, semaphoreUsers } from './sysv/users.js';
import { surroundings } from './process/surroundings.js';
import { orphans } from './sockets/inet/orphans.js';
import { socket, socketKinds } from './sockets/socket.js';
import { threads } from './process/threads.js';
import { timerfd } from './events/timerfd.js';
import { writtenFiles } from './files/written-files.js';
import { rootDirectory, workingDirectory } from './process/working-directory.js';
import { timers } from './process/timers.js';

/** Kinds of open files. The first that matches is asked. */
export const fileKinds: readonly FileKind[] = [
  pipe,
  eventfd,
  timerfd,
  signalfd,
  epoll,
  ioUring,
  inotify,
  fanotify,
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
  ringMappings,
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
  awaitedFifos,
  ringsReady,
  ...sharedByProcesses,
  orphans,
  hostEnds,
];

/** The kind that saved something. Throws `state`. */
export function kindNamed<K extends { readonly name: string }>(kinds: readonly K[], name: string): K {
  const kind = kinds.find((k) => k.name === name);
  if (kind === undefined) throw new DomainError('state', `nothing is known of ${name}`);
  return kind;
}
