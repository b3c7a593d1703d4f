import { SYS } from '../../guest/hands/syscalls.js';
import type { ProcessImage, ThreadImage } from '../checkpoint/checkpoint.js';
import { wayBackFd, type Outline, type VdsoImage } from '../checkpoint/outline.js';
import { DomainError, unsupported, unsupportedNow } from '../errors.js';
import { addManyFiles, ecallIn, HANDS_FD } from '../tree/anchor.js';
import type { RebornProcess, RestoreContext } from '../kinds/kind.js';
import { CLONE, O, PR, PROT } from '../linux/flags.js';
import { check, readText } from '../linux/os.js';
import { advise, asMade, KnownMappings, seal, VM } from '../memory/advice.js';
import { nameMemory } from '../memory/names.js';
import { MemoryBuilder } from './builder.js';
import { Descriptors } from './descriptors.js';
import { placeVdso, type VdsoPlan } from './vdso-place.js';
import { anonymous, type TargetVma } from '../memory/layout.js';
import type { CommonPages, Move, ProcessSpace } from '../memory/mover.js';
import { intersect, normalize, subtract, type Range } from '../memory/ranges.js';
import { isInEntry, quietClocks, redirectVdso } from '../memory/vdso.js';
import { DELETED } from '../proc/deleted.js';
import type { ProcessView } from '../proc/survey.js';
import { isVdso, isVvar, parseMaps, type Vma } from '../proc/maps.js';
import { together } from '../together.js';
import { cloneArgs } from '../trace/clone.js';
import { AREA_SIZE, AT_CALL, LIST } from '../trace/runner.js';
import { PC, Tracee } from '../trace/tracee.js';
import { beginAgain, type Waiter } from '../freeze/waits.js';

/** Whether the program that a process executes cannot be found by a name: its name is gone, or it is a memfd. */
export function isNameless({ gone, exe }: ProcessView): boolean {
  return gone.exe || exe.startsWith('/memfd:');
}

/**
 * One process under restoration: born, with its id, stopped, and from then on shaped step by step until it
 * is what was checkpointed.
 */
export class Reborn implements RebornProcess {
  readonly threads = new Map<number, Tracee>();
  readonly descriptors: Descriptors;
  readonly memory: MemoryBuilder;
  readonly #known: KnownMappings;
  #plan: VdsoPlan | undefined;
  #keptWritten = false;
  #space: ProcessSpace | undefined;

  constructor(
    readonly context: RestoreContext,
    readonly pid: number,
    readonly leader: Tracee,
  ) {
    this.threads.set(pid, leader);
    this.#known = new KnownMappings(context.advice.get(pid) ?? []);
    this.descriptors = new Descriptors(context, leader);
    this.memory = new MemoryBuilder(leader, this.descriptors);
  }

  /**
   * Frees the process of everything it has from the hands, and of descriptors but the way back to them. `highest`: of the
   * descriptors that it will have. `owner`: who has the same descriptors, and was freed of them.
   */
  async strip(highest: number, owner?: Reborn): Promise<void> {
    const spare = wayBackFd(highest);
    const maps = await this.#maps();
    const kept = new Set(this.memory.mapped(maps));
    const b = this.leader.batch();
    for (const v of maps) {
      if (isVdso(v) || isVvar(v) || v.start === this.leader.area || kept.has(v)) continue;
      b.call(SYS.munmap, v.start, v.end - v.start);
    }
    // What it fetches of the hands' comes above its own, whose limit comes later.
    addManyFiles(b);
    if (owner === undefined) {
      if (spare !== HANDS_FD) b.call(SYS.dup3, HANDS_FD, spare, O.CLOEXEC);
      if (spare > 0) b.call(SYS.close_range, 0, spare - 1, 0);
    }
    await b.run();
    this.descriptors.handsFd = owner === undefined ? spare : owner.descriptors.handsFd;
  }

  async #maps(): Promise<Vma[]> {
    return parseMaps((await readText(this.context.hands, `/proc/${this.leader.tid}/maps`)) ?? '');
  }

  /**
   * Keeps of what it has inherited what it shall have: these pages, in those of its mappings that are there, but for images of
   * other kernels' vDSOs, in whose places this kernel's may come.
   */
  async settle({ vmas, keptVdsos }: Outline, keep: readonly Range[]): Promise<void> {
    const isImage = (v: Range): boolean => keptVdsos.some(({ vvar, vdso }) => v.start < vdso.end && v.end > vvar.start);
    await this.memory.settle(
      vmas.filter((v) => !isImage(v)).map((v) => asMade(this.#known, v)),
      keep,
    );
  }

  /** Moves the kernel's own mappings to where they can stay. */
  async placeVdso(active: VdsoImage, kept: readonly VdsoImage[], avoid: readonly Range[]): Promise<void> {
    this.#plan = await placeVdso(this.leader, await this.#maps(), active, kept, avoid);
  }

  /** Mappings to make: the checkpoint's, with the vDSO of the old kernel as ordinary memory. */
  #targets(vmas: readonly TargetVma[], active: VdsoImage): TargetVma[] {
    const plan = this.#plan;
    if (plan === undefined) throw new DomainError('state', 'the vDSO has no place yet');
    const out = vmas
      .filter((v) => !plan.giveWay.some((g) => v.start < g.end && v.end > g.start))
      .map((v) => (v.backing.kind === 'anonymous' ? asMade(this.#known, v) : this.#asAllowed(v)));
    if (plan.keep.some((k) => k.vdso.start === active.vdso.start)) {
      out.push(anonymous(active.vvar, PROT.READ), anonymous(active.vdso, PROT.READ | PROT.EXEC));
    }
    return out.sort((a, b) => a.start - b.start);
  }

  /** A seal of what is mapped may forbid to make it writable, though it was opened for that. */
  #asAllowed(v: TargetVma): TargetVma {
    const flags = this.#known.of(v)?.flags;
    return v.mayWrite === true && flags?.has(VM.MAYWRITE) === false ? { ...v, mayWrite: false } : v;
  }

  /** Makes the mappings, and lets pages exist where the original has some. Can be repeated as the original changes. */
  async shapeMemory(vmas: readonly TargetVma[], active: VdsoImage, pages: readonly Range[]): Promise<void> {
    await this.memory.shape(this.#targets(vmas, active));
    await this.#writeKept(active);
    await this.memory.populate(this.flippable(pages));
    // Now, not while the domain stands still: what was made beforehand has its protection already.
    await this.memory.protect(this.#quietData(active));
  }

  /** Writes the images of other kernels, their entry points leading to the one of this kernel. They stay: once is enough. */
  async #writeKept(active: VdsoImage): Promise<void> {
    const plan = this.#plan;
    if (plan === undefined || this.#keptWritten) return;
    this.#keptWritten = true;
    await this.memory.open(normalize([...this.#quietData(active), ...plan.keep.map((k) => k.vdso)]));
    await together(
      plan.keep.map((k) => {
        const vvarPages = (k.vdso.start - k.vvar.start) / 4096;
        const image = redirectVdso(k.image, k.vdso.start, vvarPages, plan.image, plan.imageBase);
        return this.leader.poke(k.vdso.start, image);
      }),
    );
  }

  /** What the old kernel's code reads clocks from is written when the original stands still. */
  #quietData(active: VdsoImage): Range[] {
    return this.#plan?.keep.some((k) => k.vdso.start === active.vdso.start) === true ? [active.vvar] : [];
  }

  /** Pages to exchange: not those of images that are written anew or give way. The data of images kept before come along. */
  flippable(pages: readonly Range[]): Range[] {
    const plan = this.#plan;
    const not = normalize([...(plan?.giveWay ?? []), ...(plan?.keep ?? []).map((k) => k.vdso)]);
    return subtract(this.memory.own(pages), not);
  }

  /** Gives up the pages that it has in common with others, but the original has not any more. Answers where to look closer. */
  async forsake(image: ProcessImage): Promise<CommonPages | undefined> {
    const { inherited } = this.memory;
    if (inherited.length === 0) return undefined;
    const there = this.flippable(image.pages);
    await this.memory.part(subtract(inherited, there));
    const from = await this.#original(image);
    return { from, to: await this.identify(), ranges: intersect(inherited, there) };
  }

  #original(image: ProcessImage): ProcessSpace | Promise<ProcessSpace> {
    return image.frozen.space ?? this.context.mover.space(image.frozen.leader.tracee);
  }

  /** Its address space. It is asked once: a process keeps its page tables as long as it executes nothing else. */
  async identify(): Promise<ProcessSpace> {
    this.#space ??= await this.context.mover.space(this.leader);
    return this.#space;
  }

  /** Where entry points are written over, nobody may be half-way through what was there. Throws `unsupported`, passing. */
  #refuseHalfway(image: ProcessImage): void {
    const plan = this.#plan;
    if (plan === undefined) return;
    const stays = (v: VdsoImage): boolean =>
      plan.giveWay.length === 0 && !plan.keep.some((k) => k.vdso.start === v.vdso.start);
    for (const { vdso, image: code } of [image.vdso, ...image.keptVdsos].filter((v) => !stays(v))) {
      for (const { tid, regs } of image.threads) {
        const at = Number(regs[PC]) - vdso.start;
        if (at > 0 && at < code.length && isInEntry(code, at))
          throw unsupportedNow('the first instructions of a vDSO', `thread ${tid}`);
      }
    }
  }

  /** The exchanges that bring the contents of this process's own memory. */
  async moves(image: ProcessImage): Promise<Move[]> {
    this.#refuseHalfway(image);
    const from = await this.#original(image);
    const to = await this.identify();
    const pages = this.flippable(image.pages);
    return pages.map((r) => ({ from, fromVa: r.start, to, toVa: r.start, pages: (r.end - r.start) / 4096 }));
  }

  /** After the contents came: protections, and what the kernel wants to know about the layout. */
  async finishMemory(image: ProcessImage): Promise<void> {
    const fd = await this.#exeOf(image);
    const kept = this.#plan?.keep.find((k) => k.vdso.start === image.vdso.vdso.start);
    const clocks = kept === undefined ? undefined : this.leader.poke(kept.vvar.start, quietClocks(image.clocks));
    const { mm } = image.view.stat;
    // struct prctl_mm_map: 11 addresses, auxv pointer, auxv size u32, exe fd u32.
    const map = new Uint8Array(104);
    const view = new DataView(map.buffer);
    [
      mm.startCode,
      mm.endCode,
      mm.startData,
      mm.endData,
      mm.startBrk,
      image.brk,
      mm.startStack,
      mm.argStart,
      mm.argEnd,
      mm.envStart,
      mm.envEnd,
    ].forEach((v, i) => view.setBigUint64(8 * i, BigInt(v), true));
    view.setUint32(96, image.auxv.length, true);
    view.setUint32(100, fd, true);
    const c = this.leader.batch();
    const buf = c.bytes(map);
    c.pointer(buf, 88, c.bytes(image.auxv));
    const set = c.call(SYS.prctl, PR.SET_MM, PR.SET_MM_MAP, buf, 104, 0);
    // What is written is on its way before what it is written to is protected.
    const [, , , r] = await together([clocks, this.#sayAgain(image), this.memory.protect(), c.run()]);
    check(r.value(set), 'PR_SET_MM_MAP');
    await seal(this.leader, this.#known, image.vmas);
  }

  async #sayAgain(image: ProcessImage): Promise<void> {
    await together([advise(this.leader, this.#known, image.vmas), nameMemory(this.leader, image.vmas)]);
  }

  /** The program that the process executes, also one whose name is gone. */
  async #exeOf({ view, vmas }: ProcessImage): Promise<number> {
    if (!isNameless(view)) return this.descriptors.openExe(view.exe, view.places?.exe);
    const shown = vmas.find((v) => v.deleted && v.path + DELETED === view.exe);
    if (shown?.backing.kind !== 'object') throw unsupported('a deleted program that is not mapped', view.exe);
    return this.descriptors.object(shown.backing.key, false);
  }

  /** Brings a thread to life beside the leader, stopped. */
  async bearThread(tid: number): Promise<void> {
    const b = this.leader.batch();
    const args = cloneArgs(b, {
      flags: BigInt(CLONE.VM | CLONE.FS | CLONE.FILES | CLONE.SIGHAND | CLONE.THREAD | CLONE.SYSVSEM),
      setTid: tid,
    });
    const made = b.call(SYS.clone3, args, args.length);
    check((await b.run()).value(made), `making thread ${tid}`);
    const [born] = this.leader.born;
    if (born === undefined) throw new DomainError('lost', 'a new thread was not announced');
    const tracee = new Tracee(this.context.hands, born, this.leader.runner);
    await tracee.awaitStop();
    this.threads.set(tid, tracee);
  }

  fetch(handsFd: number): Promise<number> {
    return this.descriptors.fetch(handsFd);
  }

  /** From now on its threads stop by this signal: others will be pending, as in the original. */
  async stopBy(signal: number): Promise<void> {
    const { runner } = this.leader;
    if (runner === undefined || runner.signal === signal) return;
    runner.signal = signal;
    await together([...this.threads.values()].map((t) => t.blockSignals(signal)));
  }

  /** Its threads, and what they wait for. */
  waiters(image: ProcessImage): (ThreadImage & Waiter)[] {
    return image.threads.map((t) => {
      const tracee = this.threads.get(t.tid);
      if (tracee === undefined) throw new DomainError('lost', `thread ${t.tid} was not made`);
      return { ...t, tracee };
    });
  }

  /** The last act: the runner goes, and every thread gets the registers and the mask it had. */
  async becomeOriginal(image: ProcessImage): Promise<void> {
    const plan = this.#plan;
    if (plan === undefined) throw new DomainError('state', 'the vDSO has no place yet');
    const ecall = plan.imageBase + ecallIn(plan.image);
    const threads = this.waiters(image);
    // Not where the next call is made: the kernel takes an `ecall` at which one was disturbed for that one begun again.
    const waitAt = this.leader.area + AT_CALL;
    const goOn = await beginAgain(this.context.anchor, threads, waitAt, this.leader.area + LIST);
    const gone = await this.leader.inject(ecall, SYS.munmap, this.leader.area, AREA_SIZE);
    check(gone, 'taking the runner out');
    await together(
      threads.flatMap(({ tracee, mask, fp }, i) => [
        tracee.setRegisters(goOn[i] ?? new BigUint64Array(32), fp),
        tracee.setSignalMask(mask),
      ]),
    );
  }
}
