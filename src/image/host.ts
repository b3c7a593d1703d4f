/** What image building needs of its host. The adapters give it; tests give their own. */

/** Files by absolute path. Every error is an {@link ImageError}; a full disk has the code `disk-full`. */
export interface Files {
  /** The whole file, or undefined when there is none. */
  read(path: string): Promise<Uint8Array | undefined>;
  /** Writes the whole file and makes its folder. Not atomic: write beside, then {@link rename}. */
  write(path: string, data: Uint8Array | string): Promise<void>;
  /** Names in a folder, sorted; empty when there is no such folder. */
  list(path: string): Promise<string[]>;
  /** Size in bytes, or undefined when there is no such file. */
  size(path: string): Promise<number | undefined>;
  makeFolder(path: string): Promise<void>;
  /** Makes an empty file, and its folder, to be written piece by piece. */
  create(path: string): Promise<FileWriter>;
  /** The same of a file that is there. */
  open(path: string): Promise<FileWriter>;
  /** SHA-256 of a file in hexadecimal digits, read piece by piece; undefined when there is no such file. */
  digest(path: string): Promise<string | undefined>;
  /** Bytes that can still be written on the disk with this folder. */
  free(folder: string): Promise<number>;
  /** Removes a file or a whole folder; nothing there is no error. */
  remove(path: string): Promise<void>;
  /** Atomic on one file system. A folder does not replace a folder that holds something. */
  rename(from: string, to: string): Promise<void>;
}

/** A large file while it is written. Pieces may come in any order; what none covers reads as zeroes, and takes no room. */
export interface FileWriter {
  write(at: number, data: Uint8Array): Promise<void>;
  /** Sets the length. */
  resize(bytes: number): Promise<void>;
  close(): Promise<void>;
}

/** How a command of the host is run. */
export interface CommandOptions {
  cwd?: string;
  /** Added to the host's environment; undefined takes a variable out of it. */
  env?: Record<string, string | undefined>;
  signal?: AbortSignal | undefined;
  /** Called with each whole line of standard output as it comes. */
  onLine?: (line: string) => void;
}

/** How a command of the host ended, and what it wrote. */
export interface CommandResult {
  /** Exit status; 127 when the command does not exist on this machine. */
  status: number;
  stdout: string;
  stderr: string;
}

/** Commands of the host. Ends them when the signal fires, and throws an {@link ImageError} `aborted`. */
export interface Commands {
  run(command: string, args: readonly string[], options?: CommandOptions): Promise<CommandResult>;
  /** Standard output as it comes; a status other than 0 throws an {@link ImageError} `command` at the end. */
  stream(command: string, args: readonly string[], options?: CommandOptions): AsyncIterable<Uint8Array>;
}

/** A lock that lasts until {@link release}, or until its owner dies, whichever is first. */
export interface Lock {
  release(): Promise<void>;
}

/** Where prepared images are kept. */
export interface Cache {
  /** Absolute path of the cache's folder, without a slash at its end. */
  readonly root: string;
  readonly files: Files;
  /** Waits for the lock; `onWait` is called once when somebody else holds it. */
  lock(signal?: AbortSignal, onWait?: () => void): Promise<Lock>;
}

/** What happens while images are prepared. */
export interface Progress {
  /** `plan` comes before the first package is fetched, and says how much all of them are. */
  step: 'wait' | 'verify' | 'index' | 'plan' | 'download' | 'unpack' | 'build' | 'install' | 'ready' | 'warning';
  /** A line for people. */
  message: string;
  /** 0 to 1 of the step. */
  fraction?: number;
  /** With `plan` and `download`: bytes of packages fetched so far, and in all. */
  bytes?: { readonly done: number; readonly total: number };
}

/** Is told what happens while images are prepared. */
export type OnProgress = (progress: Progress) => void;
