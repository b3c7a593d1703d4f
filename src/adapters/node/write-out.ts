import type { Writable } from 'node:stream';

/**
 * Writes to a stream. A promise while the stream has no room for more: it resolves when there is room, or when nobody
 * will ever read it.
 */
export function writeOut(stream: Writable, data: string | Uint8Array): Promise<void> | undefined {
  if (stream.write(data) || stream.destroyed || stream.errored !== null) return undefined;
  return new Promise((resolve) => {
    const done = (): void => {
      for (const event of ['drain', 'close', 'error']) stream.off(event, done);
      resolve();
    };
    for (const event of ['drain', 'close', 'error']) stream.once(event, done);
  });
}
