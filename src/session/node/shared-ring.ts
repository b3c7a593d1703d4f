/** A ring that follows its file: what one server or an operator changes, all servers see. */
import { randomFillSync } from 'node:crypto';
import { SessionError } from '../errors.js';
import { DEFAULT_POLICY, KeyRing, sealingKey } from '../ring.js';
import type { RingContent, RingPolicy, RingSource } from '../ring.js';
import { createKey, rotate } from '../ring-life.js';
import { changeRingFile, fileVersion, readRingFile } from './ring-file.js';

/** How a ring follows its file. */
export interface SharedRingOptions {
  /** Seconds between looks at the file. Default 5. */
  readonly refresh?: number;
  /** Rotates by itself in good time before the sealing key expires. Default true. */
  readonly autoRotate?: boolean;
  /** Makes the file, with a first key, when there is none. Default false. */
  readonly create?: boolean;
  /** The policy of a file that is made. */
  readonly policy?: RingPolicy;
  /**
   * Told when a later look at the file fails; the ring goes on with what it
   * has. Default: a process warning.
   */
  readonly onError?: (error: SessionError) => void;
}

/** An automatic rotation starts this many propagation delays before the sealing key expires. */
const ROTATE_AHEAD = 3;

function random(bytes: Uint8Array): void {
  randomFillSync(bytes);
}

/** Whether the time has come for a new key: nothing seals, or not much longer, and nothing is waiting. */
function rotationIsDue(content: RingContent, now: number): boolean {
  const key = sealingKey(content, now);
  if (key === undefined) return true;
  // A third of the life at most: a short-lived key would be rotated the moment it is made.
  const ahead = Math.min(ROTATE_AHEAD * content.policy.propagation, content.policy.lifetime / 3) * 1000;
  if (now < key.expires - ahead) return false;
  return !content.keys.some((other) => other.secret !== undefined && other.expires > key.expires);
}

class RingFile implements RingSource {
  readonly #path: string;
  readonly #refresh: number;
  readonly #autoRotate: boolean;
  readonly #onError: (error: SessionError) => void;
  #content: RingContent;
  #version: string | undefined;
  #looked = Date.now();
  #rotating = false;

  constructor(path: string, content: RingContent, version: string | undefined, options: SharedRingOptions) {
    this.#path = path;
    this.#content = content;
    this.#version = version;
    this.#refresh = (options.refresh ?? 5) * 1000;
    this.#autoRotate = options.autoRotate ?? true;
    this.#onError = options.onError ?? ((error) => process.emitWarning(error));
  }

  news(now: number): RingContent | undefined {
    // A clock that was set back must not stop the looking.
    if (Math.abs(now - this.#looked) < this.#refresh) return undefined;
    const content = this.newsNow(now);
    if (this.#autoRotate && !this.#rotating && rotationIsDue(this.#content, now)) this.#rotate(now);
    return content;
  }

  /**
   * Another server may have sealed with a key made a moment ago. A look that
   * finds nothing new is one stat, less than opening a seal costs: whoever sends
   * made-up key ids gains nothing by it.
   */
  newsNow(now: number): RingContent | undefined {
    this.#looked = now;
    try {
      const version = fileVersion(this.#path);
      if (version === this.#version) return undefined;
      this.#content = readRingFile(this.#path);
      this.#version = version;
      return this.#content;
    } catch (error) {
      this.#report(error);
      return undefined;
    }
  }

  #rotate(now: number): void {
    this.#rotating = true;
    changeRingFile(this.#path, (content) => rotatedIfDue(content, now))
      .then(
        () => {
          this.#looked = -Infinity;
        },
        (error: unknown) => this.#report(error),
      )
      .finally(() => {
        this.#rotating = false;
      });
  }

  #report(error: unknown): void {
    const known = error instanceof SessionError ? error : new SessionError('file', String(error), { cause: error });
    this.#onError(known);
  }
}

/** Several servers may find it due at once; the lock lets one after the other look, and the first has done it. */
function rotatedIfDue(content: RingContent | undefined, now: number): RingContent {
  if (content === undefined) throw new SessionError('file', 'the key ring is gone');
  return rotationIsDue(content, now) ? rotate(content, now, random).content : content;
}

/**
 * Opens a ring that lives in a file and follows it.
 *
 * @throws SessionError `file`, `unsafe-file`, `bad-ring`
 * @example
 * const ring = await openRing('/etc/shop/session-keys.json');
 */
export async function openRing(path: string, options: SharedRingOptions = {}): Promise<KeyRing> {
  if (options.create === true && fileVersion(path) === undefined) {
    const empty: RingContent = { policy: options.policy ?? DEFAULT_POLICY, keys: [] };
    await changeRingFile(path, (content) => content ?? createKey(empty, Date.now(), random).content);
  }
  // The version first: a change between the two is then seen as one.
  let version = fileVersion(path);
  let content = readRingFile(path);
  if ((options.autoRotate ?? true) && rotationIsDue(content, Date.now())) {
    await changeRingFile(path, (latest) => rotatedIfDue(latest, Date.now()));
    version = fileVersion(path);
    content = readRingFile(path);
  }
  return new KeyRing(content, new RingFile(path, content, version, options));
}
