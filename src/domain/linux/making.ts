import type { Hands } from '../../guest/hands/hands.js';
import { SYS } from '../../guest/hands/syscalls.js';

/** Notes a descriptor of the hands that was just made (negative: it was not), and answers it. */
export type Note = (fd: number) => number;

/**
 * Work that makes descriptors of the hands and hands them over when it is done. What it has noted is closed if it fails.
 *
 *     const fd = await making(hands, async (note) => {
 *       const socket = note(await makeSocket(hands, netns, AF_INET));
 *       …
 *       return socket;
 *     });
 */
export async function making<T>(hands: Hands, work: (note: Note) => Promise<T>): Promise<T> {
  const made: number[] = [];
  try {
    return await work((fd) => {
      if (fd >= 0) made.push(fd);
      return fd;
    });
  } catch (e) {
    await closeAll(hands, made);
    throw e;
  }
}

/** Work with a descriptor of the hands that is closed when it is over, however it ends. */
export async function whileOpen<T>(hands: Hands, fd: number, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } finally {
    await closeAll(hands, [fd]);
  }
}

/** Best effort: hands that are no more have no descriptors, and what failed before is what is told. */
async function closeAll(hands: Hands, fds: readonly number[]): Promise<void> {
  if (fds.length === 0) return;
  const b = hands.batch();
  for (const fd of fds) b.call(SYS.close, fd);
  await b.run().catch(() => undefined);
}
