/**
 * Connections that a domain had closed when it moved away, and that its kernel there brings to their end: they keep the
 * domain's network namespace there, its card with it, until all that was written has arrived.
 */
import { inetSocketsOver } from '../domain/kinds/sockets/inet/diag.js';
import { UNFINISHED } from '../domain/kinds/sockets/inet/orphans.js';
import { O } from '../domain/linux/flags.js';
import { check } from '../domain/linux/os.js';
import { AF_NETLINK, IPPROTO_TCP, NETLINK_SOCK_DIAG, SOCK_RAW } from '../domain/linux/socket-numbers.js';
import { inNetns } from '../domain/tree/netlink.js';
import type { Hands } from '../guest/hands/hands.js';
import { SYS } from '../guest/hands/syscalls.js';
import type { Connection } from '../net/index.js';
import { connectionOf, type Left } from './gate.js';

/** How often one looks which of them are over (ms). */
const LOOK = 200;
/** Those that are not over then are given up (ms): a peer that takes nothing keeps them for ever. */
const MOST = 600_000;
/** Those that nobody can look at stay for so long (ms): for that time the kernel keeps those that wait for the other side. */
const UNSEEN = 60_000;
const keyOf = ({ port, peerIp, peerPort }: Connection): string => `${port} ${peerIp} ${peerPort}`;

/** Opens a socket by which connections of a network namespace can be looked at, when nobody is in it any more. */
export function openDiag(hands: Hands, netns: number): Promise<number> {
  return inNetns(hands, netns, async () =>
    check(
      await hands.syscall(SYS.socket, AF_NETLINK, SOCK_RAW | O.CLOEXEC, NETLINK_SOCK_DIAG),
      'looking after connections that stay behind',
    ),
  );
}

/** Those of an OS instance. */
export class LeftConnections {
  readonly #under = new Set<Promise<void>>();

  constructor(private readonly hands: Hands) {}

  /** How many moves have left connections that are not over. */
  get size(): number {
    return this.#under.size;
  }

  /** Looks after connections until they are over. `diag`: as of {@link openDiag}, closed then; without one they get a minute. */
  watch(left: Left, diag: number | undefined): void {
    const under = this.#follow(left, diag).finally(() => this.#under.delete(under));
    this.#under.add(under);
  }

  /** Resolves when all are over, or the time (ms) is. */
  async over(timeout: number): Promise<void> {
    for (const end = performance.now() + timeout; this.#under.size > 0 && performance.now() < end;) {
      await new Promise((resolve) => setTimeout(resolve, LOOK));
    }
  }

  async #follow({ stay, connections }: Left, diag: number | undefined): Promise<void> {
    let open = connections;
    try {
      for (
        const end = performance.now() + (diag === undefined ? UNSEEN : MOST);
        open.length > 0 && performance.now() < end;
      ) {
        await new Promise((resolve) => setTimeout(resolve, LOOK));
        if (diag === undefined) continue;
        const there = await inetSocketsOver(this.hands, diag, IPPROTO_TCP, UNFINISHED);
        const still = new Set(there.map((socket) => keyOf(connectionOf(socket))));
        stay.end(open.filter((c) => !still.has(keyOf(c))));
        open = open.filter((c) => still.has(keyOf(c)));
      }
    } catch {
      // The instance has ended, or nobody answers: there is nothing left to look after.
    }
    stay.end();
    if (diag !== undefined) await this.hands.syscall(SYS.close, diag).catch(() => undefined);
  }
}
