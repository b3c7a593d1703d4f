import type { Batch, Ref } from '../../guest/hands/batch.js';
import { SYS } from '../../guest/hands/syscalls.js';
import { DomainError } from '../errors.js';
import type { RestoreContext } from '../kinds/kind.js';
import { AT_FDCWD, F, O } from '../linux/flags.js';
import { whileOpen } from '../linux/making.js';
import { check, open } from '../linux/os.js';
import type { Tracee } from '../trace/tracee.js';
import { HANDS_FD } from '../tree/anchor.js';

/** Calls for three of them in each. */
const FILES_AT_ONCE = 150;

/** Descriptors of a process under restoration: those that it shall have, and above them such that only serve its restoration. */
export class Descriptors {
  /** Where, in the process, the pidfd of the hands is. */
  handsFd = HANDS_FD;
  readonly #objects = new Map<string, number>();
  readonly #spares: number[] = [];
  #exe: { readonly path: string; readonly fd: number } | undefined;

  constructor(
    readonly context: RestoreContext,
    readonly leader: Tracee,
  ) {}

  /** Gives the process descriptors of files the hands hold. The process has none of its own before. */
  async install(files: readonly { handsFd: number; fd: number; cloexec: boolean }[]): Promise<void> {
    const ascending = [...files].sort((x, y) => x.fd - y.fd);
    // What is fetched gets the lowest free number: often the very one it shall have.
    let lowestFree = 0;
    for (let start = 0; start < ascending.length; start += FILES_AT_ONCE) {
      const b = this.leader.batch();
      const refs = ascending.slice(start, start + FILES_AT_ONCE).map(({ handsFd, fd, cloexec }) => {
        const got = b.call(SYS.pidfd_getfd, this.handsFd, handsFd, 0);
        if (fd === lowestFree) {
          lowestFree++;
          return { fd, got, put: b.call(SYS.fcntl, got, F.SETFD, cloexec ? 1 : 0) };
        }
        const put = b.call(SYS.dup3, got, fd, cloexec ? O.CLOEXEC : 0);
        b.call(SYS.close, got);
        return { fd, got, put };
      });
      const r = await b.run();
      for (const { fd, got, put } of refs) {
        check(r.value(got), `fetching descriptor ${fd}`);
        check(r.value(put), `placing descriptor ${fd}`);
      }
    }
  }

  /** A descriptor of what the hands have, until {@link closeSpares}. */
  async fetch(handsFd: number): Promise<number> {
    const fd = await this.#fetch(handsFd);
    this.#spares.push(fd);
    return fd;
  }

  async #fetch(handsFd: number): Promise<number> {
    const b = this.leader.batch();
    const moved = this.#aside(b, b.call(SYS.pidfd_getfd, this.handsFd, handsFd, 0));
    return check((await b.run()).value(moved), 'fetching a descriptor');
  }

  /** Moves a descriptor out of the way of those to come. */
  #aside(b: Batch, fd: Ref): Ref {
    const moved = b.call(SYS.fcntl, fd, F.DUPFD_CLOEXEC, this.handsFd + 1);
    b.call(SYS.close, fd);
    return moved;
  }

  /** Opens the program that the process executes, in its own name. Once for each path. `place`: where it is, if not there. */
  async openExe(path: string, place?: string): Promise<number> {
    if (this.#exe?.path === path) return this.#exe.fd;
    const fd = place === undefined ? await this.#open(path) : await this.place(place, O.RDONLY);
    if (this.#exe !== undefined) this.#spares.push(this.#exe.fd);
    this.#exe = { path, fd };
    return fd;
  }

  async #open(path: string): Promise<number> {
    const b = this.leader.batch();
    const opened = b.call(SYS.openat, AT_FDCWD, b.str(path), O.RDONLY | O.CLOEXEC, 0);
    const moved = this.#aside(b, opened);
    const r = await b.run();
    check(r.value(opened), `opening ${path}`);
    return check(r.value(moved), `opening ${path}`);
  }

  /** A descriptor of a memory object: to write it, or to read it only. */
  async object(key: string, writable: boolean): Promise<number> {
    const name = `${key} ${writable ? 'w' : 'r'}`;
    const known = this.#objects.get(name);
    if (known !== undefined) return known;
    const { hands, objectFds } = this.context;
    const handsFd = objectFds.get(key);
    if (handsFd === undefined) throw new DomainError('state', `memory object ${key} was not made`);
    let fd: number;
    if (writable) fd = await this.#fetch(handsFd);
    else {
      const only = await open(hands, `/proc/self/fd/${handsFd}`, O.RDONLY);
      fd = await whileOpen(hands, only, () => this.#fetch(only));
    }
    this.#objects.set(name, fd);
    return fd;
  }

  /** A descriptor of a file of another mount namespace (mounts/places.ts), which the hands open; a new one each time. */
  async place(place: string, flags: number): Promise<number> {
    const { hands, anchor } = this.context;
    const fd = await open(hands, anchor.way(place), flags);
    return whileOpen(hands, fd, () => this.#fetch(fd));
  }

  /** Closes what served the restoration only. */
  async closeSpares(): Promise<void> {
    const b = this.leader.batch();
    for (const fd of [...this.#objects.values(), ...this.#spares]) b.call(SYS.close, fd);
    if (this.#exe !== undefined) b.call(SYS.close, this.#exe.fd);
    b.call(SYS.close, this.handsFd);
    await b.run();
    this.#objects.clear();
  }
}
