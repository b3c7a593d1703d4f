import { credentials } from './credentials.js';
import { epoll } from './epoll.js';
import { eventfd } from './eventfd.js';
import type { FileKind, ProcessKind } from './kind.js';
import { memoryFile } from './memory-file.js';
import { pathFile } from './path-file.js';
import { pipe } from './pipe.js';
import { signalfd } from './signalfd.js';
import { signals } from './signals.js';
import { surroundings } from './surroundings.js';
import { socket } from './socket.js';
import { threads } from './threads.js';
import { timerfd } from './timerfd.js';
import { timers } from './timers.js';

/** Kinds of open files. The first that matches is asked. */
export const fileKinds: readonly FileKind[] = [pipe, eventfd, timerfd, signalfd, epoll, socket, memoryFile, pathFile];

/** Kinds of what a process has, in the order they are asked. */
export const processKinds: readonly ProcessKind[] = [timers, signals, threads, surroundings, credentials];
