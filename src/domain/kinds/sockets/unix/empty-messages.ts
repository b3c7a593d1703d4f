/**
 * Empty messages are seen only once when a queue is looked through with an offset: then they are marked, and passed over by
 * the next look (net/core/datagram.c). What a look has seen is remembered, for when the domain goes on and is looked at again.
 */
import type { Hands } from '../../../../guest/hands/hands.js';
import type { Peeked } from './queue.js';

const seen = new WeakMap<Hands, Map<number, readonly Peeked[]>>();

/**
 * All that waits, in order. `now`: what was seen by a look through the queue; `head`: the first message, which is always
 * seen without an offset. `inode`: of the socket.
 */
export function withEmpty(hands: Hands, inode: number, now: readonly Peeked[], head: Peeked | undefined): Peeked[] {
  const memory = seen.get(hands) ?? new Map<number, readonly Peeked[]>();
  seen.set(hands, memory);
  const all = merge(memory.get(inode) ?? [], now, head);
  // Its descriptors are of one look only.
  if (all.some(isEmpty))
    memory.set(
      inode,
      all.map((m) => (m.fds.length > 0 ? { ...m, fds: [-1] } : m)),
    );
  else memory.delete(inode);
  return all;
}

const isEmpty = (m: Peeked): boolean => m.data.length === 0;
const isSame = (a: Peeked, b: Peeked | undefined): boolean =>
  b !== undefined && a.data.length === b.data.length && a.data.every((byte, i) => byte === b.data[i]);

function merge(before: readonly Peeked[], now: readonly Peeked[], head: Peeked | undefined): Peeked[] {
  const isHidden = head !== undefined && isEmpty(head) && (now[0] === undefined || !isEmpty(now[0]));
  const full = now.filter((m) => !isEmpty(m));
  // From the front they are received: what is left of those of before is what those of now begin with.
  for (let first = 0; first <= before.length; first++) {
    const left = before.slice(first).filter((m) => !isEmpty(m));
    if ((before[first] !== undefined && isEmpty(before[first])) || !left.every((m, i) => isSame(m, full[i]))) continue;
    let start = first;
    if (isHidden) while (start > 0 && isEmpty(before[start - 1])) start--;
    const last = left.length === 0 ? -1 : now.indexOf(full[left.length - 1]);
    const old = before.slice(start).map((m) => (isEmpty(m) ? m : full[left.indexOf(m)]));
    const rest = now.slice(last + 1);
    return isHidden && start === first ? [head, ...old, ...rest] : [...old, ...rest];
  }
  return isHidden ? [head, ...now] : [...now];
}
