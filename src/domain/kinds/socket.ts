import type { CheckpointContext, FileKind, LookContext, OpenFile } from './kind.js';
import { socketKind } from './socket-options.js';
import { tcp } from './inet/tcp.js';
import { unix } from './unix/unix.js';

const AF_UNIX = 1;

/** Kinds of sockets: what one of them has saved, it restores (registry.ts lists them too). */
export const socketKinds: readonly FileKind[] = [tcp, unix];

const known = new WeakMap<OpenFile, Promise<FileKind>>();

/** Which kind takes care of a socket: all look alike in /proc, the socket itself says. It is asked once. */
function kindOfSocket(context: LookContext | CheckpointContext, file: OpenFile): Promise<FileKind> {
  const kind =
    known.get(file) ?? socketKind(context.hands, file.held).then(({ domain }) => (domain === AF_UNIX ? unix : tcp));
  known.set(file, kind);
  return kind;
}

/** Sockets of every sort, as long as nobody has asked of which. */
export const socket: FileKind = {
  name: 'socket',
  keeps: 'what the kind of its family keeps',
  independent: true,
  matches: (view) => view.link.startsWith('socket:['),
  inspect: async (context, file) => (await kindOfSocket(context, file)).inspect?.(context, file),
  carries: async (context, file) => (await (await kindOfSocket(context, file)).carries?.(context, file)) ?? [],
  checkpoint: async (context, file) => (await kindOfSocket(context, file)).checkpoint(context, file),
  restore: () => Promise.reject(new Error('a socket is restored by its own kind')),
};
