import type { Hands } from '../../guest/hands/hands.js';
import type { Anchor } from '../tree/anchor.js';
import type { FileOwner } from '../checkpoint/file-owners.js';
import type { Actors } from '../restore/actors.js';
import type { FrozenProcess } from '../freeze/frozen-thread.js';
import type { Advice } from '../memory/advice.js';
import type { FlippedFiles } from '../memory/flipped-files.js';
import type { FrameMover } from '../memory/mover.js';
import type { MemoryObject } from '../memory/objects.js';
import type { MountSpace } from '../mounts/spaces.js';
import type { DescriptorView, ProcessView } from '../proc/survey.js';
import type { Tracee } from '../trace/tracee.js';
import type { Undo } from '../undo.js';

/**
 * A kind of resource that a domain has. There are three sorts: what belongs to a process or a thread
 * ({@link ProcessKind}), open files, which several processes may share ({@link FileKind}), and what all of the domain
 * shares, such as the contents of its namespaces ({@link DomainKind}). A new kind is a new file, and a line in its list
 * (registry.ts). What a kind saves is plain data: structured cloning keeps all of it.
 */

/** What a kind says of itself: docs/domains.md has a table of it, which is made from here. */
export interface Described {
  readonly name: string;
  /** What is the same after a move, in a few words. */
  readonly keeps: string;
  /** What is refused by name before anything is frozen; absent: nothing. */
  readonly refuses?: string;
}

/** What a look at a domain offers to a kind. */
export interface LookContext {
  readonly hands: Hands;
  readonly anchor: Anchor;
  readonly views: readonly ProcessView[];
  /** Mount namespaces that the domain has beside its own. */
  readonly mountSpaces: readonly MountSpace[];
  /** All open files, once they are held; those that nobody has but that wait in another file are among them. */
  readonly files: OpenFile[];
  /** Files by id that wait inside of others, by the descriptors of the hands that {@link FileKind.carries} has told. */
  readonly inside: Map<number, string>;
}

/** A look that leaves something open in the source until the move is over. */
export interface ForesightContext extends LookContext {
  /** Notes a descriptor of the hands that is closed then. */
  readonly hold: (fd: number) => void;
}

/** What the source of a checkpoint offers to a kind. */
export interface CheckpointContext extends ForesightContext {
  /** What was foreseen, by the kinds' names ({@link DomainKind.foresee}). */
  readonly foreseen: ReadonlyMap<string, unknown>;
  /** Whether a file comes along with all that it holds, because the file system is the domain's own ({@link DomainKind.brings}). */
  readonly brought: (path: string) => boolean;
  /** Files that go along, as the destination lacks them. */
  readonly lacking: ReadonlySet<string>;
  /** What the checkpoint changes and must be put back if the domain goes on here. */
  readonly undo: Undo;
  /** The processes, by their ids in the hands' PID namespace; each can be told to make calls by its leader. */
  readonly frozen: ReadonlyMap<number, FrozenProcess>;
  /** Ids of threads in the domain, by their ids in the hands' PID namespace. */
  readonly threadIds: ReadonlyMap<number, number>;
  /** Memory objects to be moved with the domain (shared anonymous memory, memfds, files in memory). */
  readonly objects: Map<string, MemoryObject>;
  /** First threads of the domain's processes, by the ids the processes have in it: can be told to make system calls. */
  readonly leaders: ReadonlyMap<number, Tracee>;
  /**
   * What calls answer that the stop has caught in their middle, and that are over by now: their threads do not make them again. By
   * the threads' ids in the hands' PID namespace.
   */
  readonly answers: Map<number, number>;
}

/** What a restoration offers to a kind. */
export interface RestoreContext {
  readonly hands: Hands;
  /** The hands of where the domain comes from, if it is still there: large contents are fetched from it. */
  readonly source?: Hands;
  /** What has been prepared, by the kinds' names ({@link DomainKind.prepare}). */
  readonly prepared: Map<string, unknown>;
  readonly anchor: Anchor;
  readonly undo: Undo;
  readonly mover: FrameMover;
  /** Files whose pages change places with those of the originals in the flip. */
  readonly flipped: FlippedFiles;
  /** Descriptors of the hands for memory objects already made, by key. */
  readonly objectFds: Map<string, number>;
  /** Descriptors of the hands for open files already made, by the file's id. */
  readonly fileFds: Map<string, number>;
  /** Both ends of pipes already made, by inode of the original; descriptors of the hands. */
  readonly pipes: Map<
    string,
    { readonly read: number; readonly write: number; filled: boolean; readonly taken: Set<number> }
  >;
  /** Who makes what remembers its maker. */
  readonly actors: Actors;
  /** What processes have told the kernel about their mappings, by their ids in the domain. */
  readonly advice: ReadonlyMap<number, readonly Advice[]>;
  readonly counters: { bytesCopied: number };
  /** All processes under restoration, by their ids in the domain. */
  readonly processes: ReadonlyMap<number, RebornProcess>;
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
  /** Gives the process a descriptor of what the hands have, for the time of its restoration; not in the stage `last`. */
  fetch(handsFd: number): Promise<number>;
}

/**
 * When a part of a process's state is put into its checkpoint state:
 * - `early`: before its memory is there; nothing later depends on the restoration state it ends.
 * - `late`: the memory is there, with its contents.
 * - `last`: takes rights away that everything else needed.
 * - `end`: what taking rights away would have undone.
 *
 * Parts of a stage are restored at the same time. A part that takes rights away asks something of the hands first, so
 * that the calls of those before it are on their way.
 */
export type Stage = 'early' | 'late' | 'last' | 'end';

/** A part of a checkpoint, as plain data: the kind of its name makes it anew. */
export interface SavedPart {
  readonly kind: string;
  readonly stage: Stage;
  readonly data: unknown;
}

export interface ProcessKind extends Described {
  /** Its checkpoint stops something that could change what other kinds see: it comes before theirs. */
  readonly stops?: boolean;
  /** Refuses what cannot be moved, while the domain still runs. Throws `unsupported`. */
  describe?(view: ProcessView): void;
  checkpoint(process: CheckpointProcess): Promise<SavedPart>;
  restore(process: RebornProcess, data: unknown): Promise<void>;
}

/** Makes a process kind of a typed pair of functions. `S` is plain data. */
export function processKind<S>(
  definition: Described & {
    stops?: boolean;
    stage: Stage;
    describe?: (view: ProcessView) => void;
    checkpoint: (process: CheckpointProcess) => Promise<S>;
    restore: (process: RebornProcess, state: S) => Promise<void>;
  },
): ProcessKind {
  const { name, keeps, refuses, stage, stops = false, describe, checkpoint, restore } = definition;
  return {
    name,
    keeps,
    ...(refuses === undefined ? {} : { refuses }),
    stops,
    ...(describe === undefined ? {} : { describe }),
    checkpoint: async (process) => ({ kind: name, stage, data: await checkpoint(process) }),
    restore: (process, data) => restore(process, data as S),
  };
}

/** What the domain has as a whole, such as what its namespaces hold; plain data. */
export interface SavedShare {
  readonly kind: string;
  readonly data: unknown;
}

/** A kind of what all of a domain's processes share, whoever of them made it. */
export interface DomainKind extends Described {
  /** Refuses what cannot be moved, while the domain still runs. Throws `unsupported`. */
  describe?(context: LookContext): Promise<void>;
  /**
   * What must be in the destination before anybody is born there, looked at while the domain runs; the same data as a
   * checkpoint's. Throws `unsupported`.
   */
  foresee?(context: ForesightContext): Promise<unknown>;
  /** Makes what was foreseen, when the domain has nothing yet but its first process. */
  prepare?(context: RestoreContext, foreseen: unknown): Promise<void>;
  /** Whether it brings the file at a path along. */
  brings?(foreseen: unknown, path: string): boolean;
  /** Whether what was prepared for the one can become the other. */
  fits?(foreseen: unknown, now: unknown): boolean;
  checkpoint(context: CheckpointContext): Promise<SavedShare>;
  /** Makes it anew, when memory objects are made (still empty) and before anything is mapped or opened. */
  restore(context: RestoreContext, data: unknown): Promise<void>;
  /** What can only be done when memory has its contents and open files are there. */
  finish?(context: RestoreContext, data: unknown): Promise<void>;
  /** What every process must be complete for: done just before all goes on. Nothing of it runs yet. */
  activate?(context: RestoreContext, data: unknown): Promise<void>;
}

/** Makes a domain kind of a typed set of functions. `S` is plain data. */
export function domainKind<S>(
  definition: Described & {
    describe?: (context: LookContext) => Promise<void>;
    foresee?: (context: ForesightContext) => Promise<S>;
    prepare?: (context: RestoreContext, foreseen: S) => Promise<void>;
    brings?: (foreseen: S, path: string) => boolean;
    fits?: (foreseen: S, now: S) => boolean;
    checkpoint: (context: CheckpointContext) => Promise<S>;
    restore: (context: RestoreContext, state: S) => Promise<void>;
    finish?: (context: RestoreContext, state: S) => Promise<void>;
    activate?: (context: RestoreContext, state: S) => Promise<void>;
  },
): DomainKind {
  const { name, keeps, refuses, describe, foresee, prepare, brings, fits, checkpoint, restore, finish, activate } =
    definition;
  return {
    name,
    keeps,
    ...(refuses === undefined ? {} : { refuses }),
    ...(describe === undefined ? {} : { describe }),
    ...(foresee === undefined ? {} : { foresee }),
    ...(prepare === undefined
      ? {}
      : { prepare: (context: RestoreContext, data: unknown) => prepare(context, data as S) }),
    ...(brings === undefined ? {} : { brings: (data: unknown, path: string) => brings(data as S, path) }),
    ...(fits === undefined ? {} : { fits: (foreseen: unknown, now: unknown) => fits(foreseen as S, now as S) }),
    checkpoint: async (context) => ({ kind: name, data: await checkpoint(context) }),
    restore: (context, data) => restore(context, data as S),
    ...(finish === undefined ? {} : { finish: (context: RestoreContext, data: unknown) => finish(context, data as S) }),
    ...(activate === undefined
      ? {}
      : { activate: (context: RestoreContext, data: unknown) => activate(context, data as S) }),
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

/** A saved open file, as plain data: the kind of its name makes it anew. */
export interface SavedFile {
  readonly kind: string;
  readonly id: string;
  readonly users: OpenFile['users'];
  readonly data: unknown;
  /** Files by id that must be made before. */
  readonly after: readonly string[];
  /** Files with the same one are made one after the other; others may be made at the same time. */
  readonly queue: string | undefined;
  /** Who is told that something can be done with it: see checkpoint/file-owners.ts. */
  readonly owner?: FileOwner;
}

export interface FileKind extends Described {
  /** Several of them can be worked on at the same time, with others' work between any two calls. */
  readonly independent?: boolean;
  matches(view: DescriptorView): boolean;
  /** Refuses what cannot be moved, while the domain still runs. Throws `unsupported`. */
  describe?(view: DescriptorView, process: ProcessView): void;
  /** As describe, for what only the file itself can tell; the domain may still run. Throws `unsupported`. */
  inspect?(context: LookContext, file: OpenFile): Promise<void>;
  /**
   * Descriptors of the hands, made here, for open files that wait inside of this one. The caller closes them. A look at a
   * domain that still runs may miss some, but changes nothing.
   */
  carries?(context: LookContext | CheckpointContext, file: OpenFile): Promise<readonly number[]>;
  checkpoint(context: CheckpointContext, file: OpenFile): Promise<SavedFile>;
  /** What all files of the kind need before the first of them is made anew, such as that two of them are made as one. */
  prepare?(context: RestoreContext, files: readonly SavedFile[]): Promise<void>;
  /** Makes it anew; answers a descriptor of the destination's hands. */
  restore(context: RestoreContext, saved: SavedFile): Promise<number>;
  /** What all files of the kind need when all open files are there, and no process has its descriptors yet. */
  complete?(context: RestoreContext, files: readonly SavedFile[]): Promise<void>;
  /** What can only be done once the processes have their descriptors; in the name of its first user, whose is `fd`. */
  connect?(user: RebornProcess, fd: number, saved: SavedFile): Promise<void>;
  /** What makes the restoration visible outside: done when nothing can fail any more, just before all goes on. `fd`: of the hands. */
  activate?(context: RestoreContext, fd: number, saved: SavedFile): Promise<void>;
}

/** Makes a file kind of a typed set of functions. `S` is plain data. */
export function fileKind<S>(
  definition: Described & {
    independent?: boolean;
    /** What a file has to do with: those with the same are made one after the other. Default: its kind, unless independent. */
    queue?: (state: S) => string;
    matches: (view: DescriptorView) => boolean;
    describe?: (view: DescriptorView, process: ProcessView) => void;
    inspect?: (context: LookContext, file: OpenFile) => Promise<void>;
    carries?: (context: LookContext | CheckpointContext, file: OpenFile) => Promise<readonly number[]>;
    checkpoint: (context: CheckpointContext, file: OpenFile) => Promise<S>;
    prepare?: (context: RestoreContext, states: readonly S[]) => Promise<void>;
    after?: (state: S) => readonly string[];
    restore: (
      context: RestoreContext,
      state: S,
      file: { readonly id: string; readonly users: OpenFile['users'] },
    ) => Promise<number>;
    complete?: (context: RestoreContext, states: readonly S[]) => Promise<void>;
    /** `held`: the destination's hands' descriptor of it. */
    connect?: (user: RebornProcess, fd: number, state: S, held: number) => Promise<void>;
    activate?: (context: RestoreContext, fd: number, state: S) => Promise<void>;
  },
): FileKind {
  const { name, keeps, refuses, matches, describe, inspect, checkpoint, after, restore, connect, activate } =
    definition;
  const { carries, prepare, complete } = definition;
  const statesOf = (files: readonly SavedFile[]): S[] => files.map((f) => f.data as S);
  const { independent = false, queue = () => '' } = definition;
  return {
    name,
    keeps,
    ...(refuses === undefined ? {} : { refuses }),
    independent,
    matches,
    ...(describe === undefined ? {} : { describe }),
    ...(inspect === undefined ? {} : { inspect }),
    ...(carries === undefined ? {} : { carries }),
    async checkpoint(context, file) {
      const data = await checkpoint(context, file);
      return {
        kind: name,
        id: file.id,
        users: file.users,
        data,
        after: after?.(data) ?? [],
        queue: independent && definition.queue === undefined ? undefined : `${name} ${queue(data)}`,
      };
    },
    ...(prepare === undefined
      ? {}
      : { prepare: (context: RestoreContext, files: readonly SavedFile[]) => prepare(context, statesOf(files)) }),
    restore: (context, saved) => restore(context, saved.data as S, saved),
    ...(complete === undefined
      ? {}
      : { complete: (context: RestoreContext, files: readonly SavedFile[]) => complete(context, statesOf(files)) }),
    ...(connect === undefined
      ? {}
      : {
          connect: (user: RebornProcess, fd: number, saved: SavedFile) =>
            connect(user, fd, saved.data as S, user.context.fileFds.get(saved.id) ?? -1),
        }),
    ...(activate === undefined
      ? {}
      : {
          activate: (context: RestoreContext, fd: number, saved: SavedFile) => activate(context, fd, saved.data as S),
        }),
  };
}
