/** A hostile guest and what the host does to it; when it stands still, or has ended itself, another takes its place. */
import { ComputerError } from '../../src/computer/errors.js';
import { MemoryDisk } from '../../src/computer/virtio/block-backend.js';
import type { LaidOut } from '../../src/guest/hands/batch.js';
import { MailboxTransport } from '../../src/guest/hands/transport.js';
import { OsInstance, type OsOptions } from '../../src/guest/os-instance.js';
import type { Random } from '../../src/hart/testing/random.js';
import { InterpositionError } from '../../src/interposition/errors.js';
import type { Vmm } from '../../src/partition/vmm.js';
import { ROUNDS } from '../hostile/bare-guest.js';
import { hostileKernel, MEMORY } from './hostile.js';

const MIB = 2 ** 20;
/** A guest that has gone through no gadget for so long is stuck in itself (ms). */
const STUCK = 2500;

export class Hostile {
  os: OsInstance;
  reboots = 0;
  refused = 0;
  gadgets = 0;
  /** It has ended, and there was no room for another in its place. */
  isGone = false;
  #transport!: MailboxTransport;
  #asking = false;
  #switching: Promise<unknown> = Promise.resolve();
  #rounds = 0;
  #progress = 0;
  #over = false;

  constructor(
    private readonly vmm: Vmm,
    private readonly name: string,
    random: Random,
    /** What it has of harts and memory. */
    private readonly claim: () => Partial<OsOptions>,
    private readonly found: (what: string) => void,
  ) {
    this.os = this.#boot(random);
  }

  #boot(random: Random): OsInstance {
    const { kernel, token } = hostileKernel(random);
    const harts = random.between(1, 2);
    const os = new OsInstance(this.vmm, {
      name: this.name,
      kernel,
      memory: MEMORY,
      harts,
      ...(random.oneIn(3) && { maxMemory: MEMORY + 8 * MIB }),
      ...this.claim(),
      disks: [new MemoryDisk(new Uint8Array(MIB))],
      nics: [{ mac: Uint8Array.of(0x52, 0x54, 0, 0, 0, 9) }],
    });
    if (random.oneIn(2)) os.mailbox.reset(token);
    this.#transport = new MailboxTransport(os.mailbox, {
      wake: () => undefined,
      now: () => performance.now(),
      after: (ms, run) => {
        const timer = setTimeout(run, ms);
        return () => clearTimeout(timer);
      },
    });
    os.onRing = () => this.#transport.doorbell();
    this.#over = false;
    void os.ended.then(({ kind, ...more }) => {
      if (os === this.os) this.#over = true;
      if (kind === 'hart-failed' || kind === 'device-failed')
        this.found(`${this.name}: ${kind}: ${JSON.stringify(more)}`);
    });
    this.#rounds = 0;
    this.#progress = performance.now();
    os.start();
    return os;
  }

  /** It is in its first gadget, or has ended already. */
  get hasBegun(): boolean {
    return this.#over || this.#count() > 0;
  }

  #count(): number {
    const { space } = this.os.partition;
    const at = space.offsetOf(ROUNDS);
    return at < 0 ? 0 : Number(space.view.getBigUint64(at, true) & 0xffff_ffffn);
  }

  async rebootIfStuck(random: Random): Promise<void> {
    const rounds = this.#count();
    if (rounds !== this.#rounds) this.#progress = performance.now();
    this.#rounds = rounds;
    if (!this.#over && performance.now() - this.#progress < STUCK && !random.oneIn(200)) return;
    if (!this.isGone) await this.end();
    this.isGone = true;
    try {
      this.os = this.#boot(random);
      this.isGone = false;
      this.reboots++;
    } catch (error) {
      // The other one has taken what was left.
      if (!(error instanceof ComputerError && error.code === 'no-frames')) throw error;
    }
  }

  /** Switches it off, whatever goes on. */
  async end(): Promise<void> {
    if (this.isGone) return;
    this.gadgets += this.#count();
    this.refused += this.os.refusedDmas;
    this.#transport.close();
    await this.os.destroy();
    await this.#switching;
  }

  /** What it had there is lost to it, and is zeros. */
  giveBackPages(random: Random): Promise<void> {
    const { space } = this.os.partition;
    const first = random.below(space.pages - 64);
    for (let page = first; page < first + random.below(64); page++) space.giveBack(page);
    return Promise.resolve();
  }

  /** The monitor steps in at one of its devices, or away. */
  interpose(random: Random): Promise<void> {
    const device = random.pick(this.os.devices);
    const options = { timeout: random.below(20) };
    const switching = device.mode === 'direct' ? device.interpose(options) : device.stepAway(options);
    this.#switching = switching.catch((error: unknown) => {
      // A guest that keeps its device busy is refused, and one that has garbage in its state.
      if (!(error instanceof InterpositionError)) this.found(String(error instanceof Error ? error.stack : error));
    });
    return random.oneIn(2) ? Promise.resolve() : this.#switching.then(() => undefined);
  }

  /** What comes from outside. */
  disturb(random: Random): Promise<void> {
    const { os } = this;
    os.nics[0]?.receive(new Uint8Array(14 + random.below(3000)), random.oneIn(4) ? random.between(48, 1460) : 0);
    os.terminal.write(new Uint8Array(random.below(300)));
    os.serial.write(new Uint8Array(random.below(300)));
    if (random.oneIn(4)) os.console.resize(random.below(300), random.below(300));
    if (random.oneIn(4)) os.nics[0]?.setLink(random.oneIn(2));
    return Promise.resolve();
  }

  /** A batch for the hands: whoever has rung with the token is taken for them. */
  ask(random: Random): Promise<void> {
    if (this.#asking || this.os.mailbox.get(1) === 0) return Promise.resolve();
    this.#asking = true;
    this.#transport
      .run(anyBatch(random))
      .catch(() => undefined)
      .finally(() => (this.#asking = false));
    return Promise.resolve();
  }
}

/** Calls of any number with any arguments, some of them results of calls before, and memory that goes in and comes back. */
function anyBatch(random: Random): LaidOut {
  const count = random.between(1, 20);
  const input = Uint8Array.from({ length: 8 * random.below(1000) }, () => random.bits());
  const outEnd = random.below(input.length + 1);
  return {
    count,
    rows: BigInt64Array.from({ length: 7 * count }, () => BigInt.asIntN(64, random.bits64())),
    refs: Uint16Array.from({ length: 6 * count }, (_, i) =>
      random.oneIn(4) ? random.below(Math.floor(i / 6) + 1) : 0,
    ),
    onFailure: new Uint16Array(count),
    input,
    outStart: random.below(outEnd + 1),
    outEnd,
  };
}
