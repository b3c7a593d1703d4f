import type { Hands } from '../../../../guest/hands/hands.js';
import { SYS } from '../../../../guest/hands/syscalls.js';
import { DomainError } from '../../../errors.js';
import { O } from '../../../linux/flags.js';
import { closeAll } from '../../../linux/making.js';
import { check } from '../../../linux/os.js';
import { asMaker, type Actor, type Maker } from '../../../restore/actors.js';
import { together } from '../../../together.js';
import type { RestoreContext } from '../../kind.js';
import { hasPath, makeSockets, nameThrough, Naming } from './names.js';
import { planOf, type Accepted, type Pair, type Plan } from './plan.js';
import { isNamed, key, NO_NAME, SIOCUNIXFILE, type UnixState } from './state.js';
import { STATE_LISTEN } from './diag.js';
import { AF_UNIX, SOCK_STREAM } from '../../../linux/socket-numbers.js';

/** While connections are made to one that listens, however many there were. */
const ROOMY_BACKLOG = 4096;
/** Calls of one actor's list that each connection takes, with a change of ids. */
const CONNECTIONS_AT_ONCE = 40;

/**
 * Makes all UNIX sockets of a domain: with their names and connected as they were, by those whom the kernel shall
 * remember for it. What waits in them comes later, when all files are there.
 */
export class Making {
  /** Descriptors of the hands, by inode of the original. */
  readonly made = new Map<number, number>();
  /** Other ends that nobody has any more, by the inode of who is left. */
  readonly spare = new Map<number, number>();
  readonly naming: Naming;
  readonly #hands: Hands;
  readonly #temporary: number[] = [];
  /** Descriptors of the hands for the files of sockets with paths, by descriptor of the socket. */
  readonly #files = new Map<number, number>();

  constructor(
    readonly context: RestoreContext,
    readonly states: readonly UnixState[],
  ) {
    this.#hands = context.hands;
    this.naming = new Naming(context.hands, context.anchor);
  }

  async run(): Promise<void> {
    const plan = planOf(this.states);
    const lost = this.#byName(plan.accepted.filter((c) => c.listener === undefined));
    const fds = await makeSockets(this.#hands, this.context.anchor, [
      ...plan.plain.map((s) => s.type),
      ...lost.map((calls) => typeOf(calls[0])),
    ]);
    plan.plain.forEach((s, i) => this.made.set(s.inode, fds[i] ?? -1));
    this.#temporary.push(...fds.slice(plan.plain.length));
    // Those whose listener is gone first: somebody else may have its name by now.
    await together([
      together(lost.map((calls, i) => this.#acceptOnce(calls, fds[plan.plain.length + i] ?? -1))),
      this.#makePairs(plan.pairs),
    ]);
    await closeAll(this.#hands, this.#temporary.splice(0));
    const [there, later] = [true, false].map((is) => plan.named.filter((s) => this.made.has(s.inode) === is));
    await together(there.map((s) => this.naming.bind(this.fdOf(s), s.local, s.file)));
    await together(plan.plain.filter((s) => s.info.state === STATE_LISTEN).map((s) => this.#serve(s, plan)));
    await together(later.map((s) => this.naming.bind(this.fdOf(s), s.local, s.file)));
  }

  #byName(calls: readonly Accepted[]): Accepted[][] {
    const groups = new Map<string, Accepted[]>();
    for (const call of calls) {
      const id = `${typeOf(call)} ${key(call.name)}`;
      groups.set(id, [...(groups.get(id) ?? []), call]);
    }
    return [...groups.values()];
  }

  /** Makes a socket listen, with the connections that it has accepted and those that wait. */
  async #serve(listener: UnixState, plan: Plan): Promise<void> {
    const fd = this.fdOf(listener);
    const accepted = plan.accepted.filter((c) => c.listener === listener);
    const waiting = plan.waiting
      .filter((w) => w.listener === listener)
      .map(({ client }) => ({ client, server: undefined, name: listener.local, listener }));
    await this.#connect(fd, accepted, true);
    await this.#connect(fd, waiting, false);
    await this.#listen(fd, listener.maker, listener.info.backlog);
  }

  fdOf(s: UnixState): number {
    const fd = this.made.get(s.inode);
    if (fd === undefined) throw new DomainError('state', `UNIX socket ${s.inode} was not made`);
    return fd;
  }

  /** The name by which the hands reach a socket, wherever its file is. */
  reach(s: UnixState): Promise<Uint8Array> {
    return this.reachThrough(s.local, this.fdOf(s));
  }

  async reachThrough(name: Uint8Array, fd: number): Promise<Uint8Array> {
    if (!hasPath(name)) return name;
    let file = this.#files.get(fd);
    if (file === undefined) {
      file = check(await this.#hands.syscall(SYS.ioctl, fd, SIOCUNIXFILE, 0), 'finding the file of a UNIX socket');
      this.#files.set(fd, file);
    }
    return nameThrough(file);
  }

  /** Made as one with its peer. */
  isPaired(s: UnixState): boolean {
    return this.#partners.has(s.inode) ? this.#partners.get(s.inode) === s.info.peer : false;
  }

  /** Made as one with another, with which it has nothing to do any more. */
  isHalfPaired(s: UnixState): boolean {
    return this.#partners.has(s.inode) && !this.isPaired(s);
  }

  /** Other ends of those that were made as pairs, by inode; 0: it is gone. */
  readonly #partners = new Map<number, number>();

  /** The socket is somebody else's to close from here on. */
  handOver(s: UnixState): number {
    this.#handed.add(s.inode);
    return this.fdOf(s);
  }
  readonly #handed = new Set<number>();

  /** Closes what nobody has taken. */
  async abandon(): Promise<void> {
    const fds = [...this.made].filter(([inode]) => !this.#handed.has(inode)).map(([, fd]) => fd);
    this.made.clear();
    await closeAll(this.#hands, fds);
    await this.close();
  }

  /** Closes what served the making, and the other ends that nobody has. */
  async close(): Promise<void> {
    const fds = [...this.#files.values(), ...this.spare.values(), ...this.#temporary];
    this.#files.clear();
    this.spare.clear();
    this.#temporary.length = 0;
    await closeAll(this.#hands, fds);
    await this.naming.close();
  }

  /** A socket of the hands with a name, or none, for the time of the making. */
  async temporary(type: number, name: Uint8Array): Promise<number> {
    const [fd = -1] = await makeSockets(this.#hands, this.context.anchor, [type]);
    this.#temporary.push(fd);
    if (isNamed(name)) await this.naming.bind(fd, name, undefined);
    return fd;
  }

  async #makePairs(pairs: readonly Pair[]): Promise<void> {
    const byMaker = new Map<string, Pair[]>();
    for (const pair of pairs) {
      const maker = JSON.stringify(makerOf(pair));
      byMaker.set(maker, [...(byMaker.get(maker) ?? []), pair]);
    }
    await together([...byMaker.values()].map((own) => this.#makePairsBy(own)));
  }

  async #makePairsBy(pairs: readonly Pair[]): Promise<void> {
    const [first] = pairs;
    if (first === undefined) return;
    const maker = makerOf(first);
    const actor = await this.context.actors.get(maker.pid);
    for (let start = 0; start < pairs.length; start += CONNECTIONS_AT_ONCE) {
      const some = pairs.slice(start, start + CONNECTIONS_AT_ONCE);
      const b = actor.tracee.batch();
      const asked = asMaker(b, maker, () =>
        some.map(({ a }) => {
          const ends = b.out(8);
          return { ends, n: b.call(SYS.socketpair, AF_UNIX, a.type | O.CLOEXEC | O.NONBLOCK, 0, ends) };
        }),
      );
      const r = await b.run();
      const theirs = asked.flatMap(({ ends, n }) => {
        check(r.value(n), 'making a pair of UNIX sockets');
        return [r.view(ends).getInt32(0, true), r.view(ends).getInt32(4, true)];
      });
      const fds = await this.#fetch(actor, theirs);
      some.forEach((pair, i) => {
        this.#put(pair.a, pair.b, fds[2 * i] ?? -1, fds[2 * i + 1] ?? -1);
      });
    }
  }

  #put(a: UnixState, b: UnixState | undefined, own: number, other: number): void {
    this.made.set(a.inode, own);
    this.#partners.set(a.inode, b?.inode ?? 0);
    if (b !== undefined) this.#partners.set(b.inode, a.inode);
    if (b === undefined) this.spare.set(a.inode, other);
    else this.made.set(b.inode, other);
  }

  /** Takes descriptors of an actor over to the hands. */
  async #fetch(actor: Actor, theirs: readonly number[]): Promise<number[]> {
    const b = this.#hands.batch();
    const pidfd = b.call(SYS.pidfd_open, actor.tracee.tid, 0);
    const refs = theirs.map((fd) => b.call(SYS.pidfd_getfd, pidfd, fd, 0));
    b.call(SYS.close, pidfd);
    const r = await b.run();
    const c = actor.tracee.batch();
    for (const fd of theirs) c.call(SYS.close, fd);
    await c.run();
    const fds = refs.map((ref) => r.value(ref));
    if (fds.some((fd) => fd < 0)) await closeAll(this.#hands, fds);
    return fds.map((fd) => check(fd, 'fetching a UNIX socket'));
  }

  /** Connections whose listener is gone: to one that has its name for the moment. */
  async #acceptOnce(calls: readonly Accepted[], listener: number): Promise<void> {
    await this.naming.bind(listener, calls[0]?.name ?? NO_NAME, undefined);
    await this.#connect(listener, calls, true);
  }

  async #listen(fd: number, maker: Maker | undefined, backlog: number): Promise<void> {
    const by = maker ?? ROOT;
    const { tracee, handsFd } = await this.context.actors.get(by.pid);
    const b = tracee.batch();
    const got = b.call(SYS.pidfd_getfd, handsFd, fd, 0);
    const listening = asMaker(b, by, () => b.call(SYS.listen, got, backlog));
    b.call(SYS.close, got);
    check((await b.run()).value(listening), 'listening at a UNIX socket');
  }

  /** Connects to one that listens, in order, each in the name of who had; and accepts. */
  async #connect(listener: number, calls: readonly Accepted[], accepts: boolean): Promise<void> {
    const alike = (call: Accepted): string => JSON.stringify([callerOf(call, accepts), call.client?.maker ?? ROOT]);
    for (let next = 0, end = 0; next < calls.length; next = end) {
      for (end = next; end < calls.length && end - next < CONNECTIONS_AT_ONCE; end++)
        if (alike(calls[end]) !== alike(calls[next])) break;
      await this.#listen(listener, calls[next].client?.maker, ROOMY_BACKLOG);
      await this.#connectBy(listener, calls.slice(next, end), callerOf(calls[next], accepts), accepts);
    }
  }

  async #connectBy(listener: number, calls: readonly Accepted[], by: Maker, accepts: boolean): Promise<void> {
    const actor = await this.context.actors.get(by.pid);
    const { tracee, handsFd } = actor;
    const path = hasPath(calls[0]?.name ?? NO_NAME);
    const o = tracee.batch();
    const got = o.call(SYS.pidfd_getfd, handsFd, listener, 0);
    const found = path ? o.call(SYS.ioctl, got, SIOCUNIXFILE, 0) : undefined;
    const opened = await o.run();
    const there = check(opened.value(got), 'fetching a UNIX socket');
    const file = found === undefined ? -1 : check(opened.value(found), 'finding the file of a UNIX socket');

    const b = tracee.batch();
    const asked = calls.map((call) => {
      const name = path ? nameThrough(file) : call.name;
      const own = b.call(SYS.socket, AF_UNIX, typeOf(call) | O.CLOEXEC | O.NONBLOCK, 0);
      const connected = asMaker(b, by, () => b.call(SYS.connect, own, b.bytes(name), name.length));
      return {
        own,
        connected,
        other: accepts ? b.call(SYS.accept4, there, 0, 0, O.CLOEXEC | O.NONBLOCK) : undefined,
      };
    });
    b.call(SYS.close, there);
    if (file >= 0) b.call(SYS.close, file);
    const r = await b.run();
    for (const { own, connected, other } of asked) {
      check(r.value(own), 'making a UNIX socket');
      check(r.value(connected), 'connecting a UNIX socket');
      if (other !== undefined) check(r.value(other), 'accepting a UNIX connection');
    }
    const theirs = asked.flatMap(({ own, other }) => [r.value(own), ...(other === undefined ? [] : [r.value(other)])]);
    const fds = await this.#fetch(actor, theirs);
    for (const [i, { client, server }] of calls.entries()) {
      const [own, other] = accepts ? [fds[2 * i] ?? -1, fds[2 * i + 1] ?? -1] : [fds[i] ?? -1, -1];
      if (client !== undefined) this.made.set(client.inode, own);
      else if (server !== undefined) this.spare.set(server.inode, own);
      if (server !== undefined) this.made.set(server.inode, other);
      else if (client !== undefined && accepts) this.spare.set(client.inode, other);
    }
  }
}

const ROOT: Maker = { pid: 1, uid: 0, gid: 0, groups: [] };

const typeOf = (call: Accepted | undefined): number => (call?.client ?? call?.server)?.type ?? SOCK_STREAM;

const makerOf = ({ a, b }: Pair): Maker => a.maker ?? b?.maker ?? ROOT;

/** Who connected: the end that was accepted remembers it. */
function callerOf(call: Accepted, accepts: boolean): Maker {
  if (!accepts) return call.client?.holder ?? ROOT;
  return call.server?.maker ?? call.client?.holder ?? ROOT;
}
