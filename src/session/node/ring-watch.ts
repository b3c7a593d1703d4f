/**
 * A ring's file as a source of news. It is looked at often, from within
 * requests, and by whoever sends made-up key ids: a look that finds nothing new
 * is one `stat`, what cannot be read is read again only after a while, and a
 * trouble that lasts is told once.
 */
import { SessionError } from '../errors.js';
import type { RingContent, RingSource } from '../ring.js';
import { fileVersion, readRingFile } from './ring-file.js';
import type { ReadOptions } from './ring-file.js';

/** The version of a file that is not there. */
const GONE = 'gone';

/** What a file's ring came from. */
export interface FileRing {
  readonly content: RingContent;
  readonly version: string | undefined;
}

/** Reads a ring and says which version of the file it is. */
export function readVersion(path: string, options: ReadOptions): FileRing {
  // The version first: a change between the two is then seen as one.
  const version = fileVersion(path);
  return { content: readRingFile(path, options), version };
}

/** How a file is watched. */
export interface WatchOptions extends ReadOptions {
  /** Milliseconds between looks, and between attempts to read what could not be read. */
  readonly refresh: number;
  readonly onError: (error: SessionError) => void;
  /** Called with the present ring after each look that the time brought about. */
  readonly afterLook: (content: RingContent, now: number) => void;
}

export class RingWatch implements RingSource {
  readonly #path: string;
  readonly #options: WatchOptions;
  #content: RingContent;
  #version: string | undefined;
  #looked = Date.now();
  /** The version that could not be read, and when that was tried last. */
  #spoilt: { readonly version: string; readonly tried: number } | undefined;
  /** The trouble that was told last, until it is over. */
  #told: string | undefined;

  constructor(path: string, read: FileRing, options: WatchOptions) {
    this.#path = path;
    this.#content = read.content;
    this.#version = read.version;
    this.#options = options;
  }

  news(now: number): RingContent | undefined {
    // A clock that was set back must not stop the looking.
    if (Math.abs(now - this.#looked) < this.#options.refresh) return undefined;
    // Only here: looks for made-up key ids must not put this one off for ever.
    this.#looked = now;
    const content = this.newsNow(now);
    this.#options.afterLook(this.#content, now);
    return content;
  }

  /**
   * Another server may have sealed with a key made a moment ago. A look that
   * finds nothing new is less than opening a seal costs: whoever sends made-up
   * key ids gains nothing by it.
   */
  newsNow(now: number): RingContent | undefined {
    let version = GONE;
    try {
      version = fileVersion(this.#path) ?? GONE;
      if (version === this.#version) return undefined;
      const spoilt = this.#spoilt;
      if (spoilt?.version === version && Math.abs(now - spoilt.tried) < this.#options.refresh) return undefined;
      this.#content = readRingFile(this.#path, this.#options);
      this.#version = version;
      this.#spoilt = undefined;
      this.#told = undefined;
      return this.#content;
    } catch (error) {
      this.#spoilt = { version, tried: now };
      this.report(error);
      return undefined;
    }
  }

  /** Looks again with the next question, without waiting for its time. */
  lookSoon(): void {
    this.#looked = -Infinity;
  }

  /** Tells a trouble, once while it lasts. */
  report(error: unknown): void {
    const known = error instanceof SessionError ? error : new SessionError('file', String(error), { cause: error });
    if (known.message === this.#told) return;
    this.#told = known.message;
    this.#options.onError(known);
  }
}
