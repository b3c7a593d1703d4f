import type { Hands } from '../../guest/hands/hands.js';
import type { Anchor } from '../tree/anchor.js';
import type { FrozenProcess } from '../freeze/frozen-thread.js';
import type { Advice } from '../memory/advice.js';
import type { FrameMover } from '../memory/mover.js';
import type { MemoryObject } from '../memory/objects.js';
import type { DescriptorView, ProcessView } from '../proc/survey.js';
import type { Tracee } from '../trace/tracee.js';
import type { Undo } from '../undo.js';

/**
 * A kind of resource that a domain's processes have. There are two sorts: what belongs to a process or a
 * thread ({@link ProcessKind}), and open files, which several processes may share ({@link FileKind}). A
 * new kind is a new file, and a line in its list (registry.ts).
 */

/** What a look at a domain offers to a kind. */
export interface LookContext {
  readonly hands: Hands;
  readonly anchor: Anchor;
  readonly views: readonly ProcessView[];
}

/** What the source of a checkpoint offers to a kind. */
export interface CheckpointContext extends LookContext {
  /** What the checkpoint changes and must be put back if the domain goes on here. */
  readonly undo: Undo;
  /** Ids of threads in the domain, by their ids in the hands' PID namespace. */
  readonly threadIds: ReadonlyMap<number, number>;
  /** Memory objects to be moved with the domain (shared anonymous memory, memfds, files in memory). */
  readonly objects: Map<string, MemoryObject>;
}

/** What a restoration offers to a kind. */
export interface RestoreContext {
  readonly hands: Hands;
  readonly anchor: Anchor;
  readonly undo: Undo;
  readonly mover: FrameMover;
  /** Descriptors of the hands for memory objects already made, by key. */
  readonly objectFds: Map<string, number>;
  /** Descriptors of the hands for open files already made, by the file's id. */
  readonly fileFds: Map<string, number>;
  /** Both ends of pipes already made, by inode of the original; descriptors of the hands. */
  readonly pipes: Map<string, { read: number; write: number }>;
  /** What processes have told the kernel about their mappings, by their ids in the domain. */
  readonly advice: ReadonlyMap<number, readonly Advice[]>;
  /** Paths of files whose contents have come along already. */
  readonly carried: Set<string>;
  readonly counters: { bytesCopied: number };
}

/** A frozen process under checkpoint. */
export interface CheckpointProcess {
  readonly context: CheckpointContext;
  readonly view: ProcessView;
  readonly frozen: FrozenProcess;
  /** Can be told to make system calls. */
  readonly leader: Tracee;
}

/** A process under restoration. */
export interface RebornProcess {
  readonly context: RestoreContext;
  /** Its id in the domain. */
  readonly pid: number;
  readonly leader: Tracee;
  /** By id in the domain, the leader among them. */
  readonly threads: ReadonlyMap<number, Tracee>;
}

/**
 * When a part of a process's state is put into its checkpoint state:
 * - `early`: before its memory is there; nothing later depends on the restoration state it ends.
 * - `late`: the memory is there, with its contents.
 * - `last`: takes rights away that everything else needed.
 *
 * Parts of a stage are restored at the same time. A part that takes rights away asks something of the hands first, so
 * that the calls of those before it are on their way.
 */
export type Stage = 'early' | 'late' | 'last';

/** A part of a checkpoint: plain data, with the way to make it anew. */
export interface SavedPart {
  readonly kind: string;
  readonly stage: Stage;
  readonly data: unknown;
  restore(process: RebornProcess): Promise<void>;
}

export interface ProcessKind {
  readonly name: string;
  /** Its checkpoint stops something that could change what other kinds see: it comes before theirs. */
  readonly stops?: boolean;
  /** Refuses what cannot be moved, while the domain still runs. Throws `unsupported`. */
  describe?(view: ProcessView): void;
  checkpoint(process: CheckpointProcess): Promise<SavedPart>;
}

/** Makes a process kind of a typed pair of functions. */
export function processKind<S>(definition: {
  name: string;
  stops?: boolean;
  stage: Stage;
  describe?: (view: ProcessView) => void;
  checkpoint: (process: CheckpointProcess) => Promise<S>;
  restore: (process: RebornProcess, state: S) => Promise<void>;
}): ProcessKind {
  const { name, stage, stops = false, describe, checkpoint, restore } = definition;
  return {
    name,
    stops,
    ...(describe === undefined ? {} : { describe }),
    async checkpoint(process) {
      const data = await checkpoint(process);
      return { kind: name, stage, data, restore: (reborn) => restore(reborn, data) };
    },
  };
}

/** One open file description, with everybody who has a descriptor of it. */
export interface OpenFile {
  readonly id: string;
  readonly view: DescriptorView;
  /** A descriptor of the source's hands for the very same description. */
  readonly held: number;
  readonly users: readonly { readonly pid: number; readonly fd: number; readonly cloexec: boolean }[];
}

/** A saved open file. */
export interface SavedFile {
  readonly kind: string;
  readonly id: string;
  readonly users: OpenFile['users'];
  readonly data: unknown;
  /** Files by id that must be made before. */
  readonly after: readonly string[];
  /** Files with the same one are made one after the other; others may be made at the same time. */
  readonly queue: string | undefined;
  /** Makes it anew; answers a descriptor of the destination's hands. */
  restore(context: RestoreContext): Promise<number>;
  /** What can only be done once the processes have their descriptors; in the name of its first user. */
  connect?(user: RebornProcess, fd: number): Promise<void>;
  /** What makes the restoration visible outside: done when nothing can fail any more, just before all goes on. */
  activate?(hands: Hands, fd: number): Promise<void>;
}

export interface FileKind {
  readonly name: string;
  /** Several of them can be worked on at the same time, with others' work between any two calls. */
  readonly independent?: boolean;
  matches(view: DescriptorView): boolean;
  /** Refuses what cannot be moved, while the domain still runs. Throws `unsupported`. */
  describe?(view: DescriptorView, process: ProcessView): void;
  /** As describe, for what only the file itself can tell; the domain may still run. Throws `unsupported`. */
  inspect?(context: LookContext, file: OpenFile): Promise<void>;
  checkpoint(context: CheckpointContext, file: OpenFile): Promise<SavedFile>;
}

/** Makes a file kind of a typed set of functions. */
export function fileKind<S>(definition: {
  name: string;
  independent?: boolean;
  /** What a file that is not independent has to do with: those with the same are made one after the other. Default: its kind. */
  queue?: (state: S) => string;
  matches: (view: DescriptorView) => boolean;
  describe?: (view: DescriptorView, process: ProcessView) => void;
  inspect?: (context: LookContext, file: OpenFile) => Promise<void>;
  checkpoint: (context: CheckpointContext, file: OpenFile) => Promise<S>;
  after?: (state: S) => readonly string[];
  restore: (
    context: RestoreContext,
    state: S,
    file: { readonly id: string; readonly users: OpenFile['users'] },
  ) => Promise<number>;
  /** `held`: the destination's hands' descriptor of it. */
  connect?: (user: RebornProcess, fd: number, state: S, held: number) => Promise<void>;
  activate?: (hands: Hands, fd: number, state: S) => Promise<void>;
}): FileKind {
  const { name, matches, describe, inspect, checkpoint, after, restore, connect, activate } = definition;
  const { independent = false, queue = () => '' } = definition;
  return {
    name,
    independent,
    matches,
    ...(describe === undefined ? {} : { describe }),
    ...(inspect === undefined ? {} : { inspect }),
    async checkpoint(context, file) {
      const data = await checkpoint(context, file);
      return {
        kind: name,
        id: file.id,
        users: file.users,
        data,
        after: after?.(data) ?? [],
        queue: independent ? undefined : `${name} ${queue(data)}`,
        restore: (c) => restore(c, data, file),
        ...(connect === undefined
          ? {}
          : {
              connect: (user: RebornProcess, fd: number) =>
                connect(user, fd, data, user.context.fileFds.get(file.id) ?? -1),
            }),
        ...(activate === undefined ? {} : { activate: (hands, fd) => activate(hands, fd, data) }),
      };
    },
  };
}
