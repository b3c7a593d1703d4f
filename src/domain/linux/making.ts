import type { Hands } from '../../guest/hands/hands.js';
import { SYS } from '../../guest/hands/syscalls.js';
import { askAll } from './ask-all.js';

/** Notes a descriptor of the hands that was just made (negative: it was not), and answers it. */
export type Note = (fd: number) => number;

/**
 * Work that makes descriptors of the hands and hands them over when it is done. What it has noted is closed if it fails;
 * hands that are no more have none, and what failed is what is told.
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
    await closeAll(hands, made).catch(() => undefined);
    throw e;
  }
}

/** Work with a descriptor of the hands that is closed when it is over, however it ends. */
export async function whileOpen<T>(hands: Hands, fd: number, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } finally {
    await closeAll(hands, [fd]).catch(() => undefined);
  }
}

/** Closes descriptors of the hands, however many; negative ones are none. */
export async function closeAll(hands: Hands, fds: readonly number[]): Promise<void> {
  await askAll(
    hands,
    fds.filter((fd) => fd >= 0),
    1,
    (b, fd) => {
      b.call(SYS.close, fd);
      return () => undefined;
    },
  );
}
