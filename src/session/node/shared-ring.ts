/** A ring that follows its file: what one server or an operator changes, all servers see. */
import { randomFillSync } from 'node:crypto';
import { SessionError } from '../errors.js';
import { DEFAULT_POLICY, formatKeyId, KeyRing, sealingKey } from '../ring.js';
import type { RingContent, RingPolicy } from '../ring.js';
import { createKey, rotate } from '../ring-life.js';
import { makeFolderOf } from './folders.js';
import { changeRingFile, fileVersion } from './ring-file.js';
import { readVersion, RingWatch } from './ring-watch.js';

/** Something that whoever looks after the servers should know, and that is no error. */
export interface RingNotice {
  /** `rotation-due`: a new key is wanted, and this server is not to write the ring. */
  readonly code: 'rotation-due';
  /** What to do, in words. */
  readonly message: string;
  /** Until when the present key seals, milliseconds since 1970; undefined when none does. */
  readonly sealsUntil: number | undefined;
}

/** How a ring follows its file. */
export interface SharedRingOptions {
  /** Seconds between looks at the file. Default 5. */
  readonly refresh?: number;
  /** Rotates by itself in good time before the sealing key expires. Default true. */
  readonly autoRotate?: boolean;
  /** Makes the file, with a first key, and its folder, when there is none. Default false. */
  readonly create?: boolean;
  /**
   * For a secret that is mounted (Kubernetes, Docker) or a folder that this
   * server cannot write: nothing is ever written, others may read the file as
   * long as none may write it, and a rotation that is due is told, not made.
   * Default false.
   */
  readonly readOnly?: boolean;
  /** The policy of a file that is made. */
  readonly policy?: RingPolicy;
  /**
   * Told when a later look at the file, or a rotation, fails; the ring goes on
   * with what it has. Once for each trouble. Default: a process warning.
   */
  readonly onError?: (error: SessionError) => void;
  /** Told with `readOnly` when a rotation is due, once for each key. Default: a process warning. */
  readonly onNotice?: (notice: RingNotice) => void;
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

/** Several servers may find it due at once; the lock lets one after the other look, and the first has done it. */
function rotatedIfDue(content: RingContent | undefined, now: number): RingContent {
  if (content === undefined) throw new SessionError('file', 'the key ring is gone');
  return rotationIsDue(content, now) ? rotate(content, now, random).content : content;
}

/** Tells that a rotation is due, once for each key. */
function noticeOnce(
  path: string,
  onNotice: SharedRingOptions['onNotice'],
): (content: RingContent, now: number) => void {
  let told: number | 'none' | undefined;
  return (content, now) => {
    const key = sealingKey(content, now);
    if (told === (key?.id ?? 'none')) return;
    told = key?.id ?? 'none';
    const until =
      key === undefined
        ? 'no key seals'
        : `key ${formatKeyId(key.id)} seals until ${new Date(key.expires).toISOString()}`;
    const notice: RingNotice = {
      code: 'rotation-due',
      message: `key ring ${path}: a rotation is due (${until}); this server only reads: rotate where it comes from`,
      sealsUntil: key?.expires,
    };
    if (onNotice !== undefined) onNotice(notice);
    else process.emitWarning(notice.message, { type: 'SessionWarning', code: notice.code });
  };
}

/** Rotates in the background. */
function rotator(path: string, watch: () => RingWatch): (content: RingContent, now: number) => void {
  let rotating = false;
  return (_content, now) => {
    if (rotating) return;
    rotating = true;
    changeRingFile(path, (content) => rotatedIfDue(content, now))
      .then(
        () => watch().lookSoon(),
        (error: unknown) => watch().report(error),
      )
      .finally(() => {
        rotating = false;
      });
  };
}

async function createIfMissing(path: string, policy: RingPolicy): Promise<void> {
  if (fileVersion(path) !== undefined) return;
  await makeFolderOf(path);
  await changeRingFile(path, (content) => content ?? createKey({ policy, keys: [] }, Date.now(), random).content);
}

/**
 * Opens a ring that lives in a file and follows it.
 *
 * @throws SessionError `file`, `unsafe-file`, `bad-ring`; `bad-argument` for `create` with `readOnly`
 * @example
 * const ring = await openRing('/etc/shop/session-keys.json');
 * const mounted = await openRing('/run/secrets/session-keys', { readOnly: true });
 */
export async function openRing(path: string, options: SharedRingOptions = {}): Promise<KeyRing> {
  const { create = false, readOnly = false, autoRotate = true, refresh = 5 } = options;
  if (create && readOnly) throw new SessionError('bad-argument', 'openRing: what is only read cannot be created');
  if (create) await createIfMissing(path, options.policy ?? DEFAULT_POLICY);

  const reading = { othersMayRead: readOnly };
  let read = readVersion(path, reading);
  let trouble: unknown;
  if (!readOnly && autoRotate && rotationIsDue(read.content, Date.now())) {
    try {
      await changeRingFile(path, (latest) => rotatedIfDue(latest, Date.now()));
      read = readVersion(path, reading);
    } catch (error) {
      // A key that still seals is time to mend it in. Without one there is nothing to start with.
      if (sealingKey(read.content, Date.now()) === undefined) throw error;
      trouble = error;
    }
  }

  const whenDue = readOnly ? noticeOnce(path, options.onNotice) : rotator(path, () => watch);
  const ifDue = (content: RingContent, now: number): void => {
    if (autoRotate && rotationIsDue(content, now)) whenDue(content, now);
  };
  const watch: RingWatch = new RingWatch(path, read, {
    ...reading,
    refresh: refresh * 1000,
    onError: options.onError ?? ((error) => process.emitWarning(error)),
    afterLook: ifDue,
  });
  if (trouble !== undefined) watch.report(trouble);
  if (readOnly) ifDue(read.content, Date.now());
  return new KeyRing(read.content, watch);
}
