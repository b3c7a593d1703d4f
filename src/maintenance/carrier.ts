/** An OS instance that can carry process domains: the VMM has hands in it. */
import { AT_FDCWD } from '../domain/linux/flags.js';
import { readText } from '../domain/linux/os.js';
import type { DomainNetwork } from '../domain/tree/netlink.js';
import type { FlipSide } from '../remapping/flipper.js';
import { connectHands } from '../guest/hands/connect.js';
import { handsElf } from '../guest/hands/elf.js';
import type { Hands } from '../guest/hands/hands.js';
import { SYS } from '../guest/hands/syscalls.js';
import type { MailboxTransport } from '../guest/hands/transport.js';
import type { OsEnd } from '../guest/os-instance.js';
import type { Port } from '../net/index.js';
import type { ImageBoot, Instance, SystemComputer } from '../system/index.js';
import { checkTimeout, startTimer } from '../system/timeout.js';
import { DomainCards, targetOf } from './cards.js';
import { LeftConnections } from './left.js';
import { MaintenanceError } from './errors.js';

/** As for `Computer.boot`; what the hands need is added. */
export type CarrierOptions = Omit<ImageBoot, 'name' | 'run' | 'ports'> & {
  readonly name: string;
  /** Milliseconds for the instance to come up; three minutes unless told. */
  readonly bootTimeout?: number;
  /** Trees (`prepareTree`), mounted read-only at `/trees/NAME`. */
  readonly trees?: readonly TreeDisk[];
};

/** A file system on a disk image, and the name of the folder where it is to be. */
export interface TreeDisk {
  readonly name: string;
  /** Path of a raw image with ext4. */
  readonly disk: string;
}

const BOOT_TIMEOUT = 180_000;
const TO_ARRIVE = 30_000;
const HANDS_PATH = '/opt/hands';
/** The first port of the console device after the console itself. */
const WAKE_PORT = '/dev/vport0p1';
/** The machine is switched off when the hands end: nobody could reach it any more. */
const RUN = `${HANDS_PATH}\n`;
/** A kernel that panics ends the instance. */
const BOOT_ARGUMENTS = 'quiet panic=-1';
const CLOCK_REALTIME = 0;

/** An OS instance that can carry process domains: booted, with an agent (the hands) in it. */
export class Carrier implements FlipSide {
  /** Connections that domains had closed when they moved away. */
  readonly left: LeftConnections;
  /** Its network cards for domains. */
  readonly cards: DomainCards;

  private constructor(
    readonly computer: SystemComputer,
    readonly instance: Instance,
    readonly hands: Hands,
    readonly transport: MailboxTransport,
    /** As `uname -r` says in it. */
    readonly kernel: string,
    /** From the moment the VMM was asked until its user space answered. */
    readonly bootSeconds: number,
  ) {
    this.left = new LeftConnections(hands);
    this.cards = new DomainCards(instance, hands, computer.network);
  }

  /**
   * Boots an OS instance, takes its hands, and sets its clock, which it has read at boot to the second only.
   * Throws MaintenanceError `boot-failed`, SystemError `invalid` for a `bootTimeout` that is no time, or what
   * `Computer.boot` throws; nothing of the instance is left then.
   */
  static async boot(computer: SystemComputer, options: CarrierOptions): Promise<Carrier> {
    const { bootTimeout = BOOT_TIMEOUT, trees = [], ...boot } = options;
    const disks = boot.disks ?? [];
    checkTimeout(bootTimeout);
    const started = performance.now();
    const token = new Uint8Array(16);
    computer.vmm.platform.randomBytes(token);
    const instance = await computer.boot({
      ...boot,
      bootArguments: `${BOOT_ARGUMENTS} ${boot.bootArguments ?? ''}`.trimEnd(),
      disks: [...disks, ...trees.map(({ disk }) => ({ path: disk, raw: true, readOnly: true }))],
      ports: [{ name: 'hands' }],
      files: { ...boot.files, [HANDS_PATH]: { data: handsElf(token), mode: 0o700 } },
      run: RUN,
    });
    try {
      instance.os.mailbox.reset(token);
      const { hands, transport } = await takeHands(instance, bootTimeout);
      instance.hands = hands;
      await setClock(hands);
      await mountTrees(hands, trees, disks.length);
      const kernel = ((await readText(hands, '/proc/sys/kernel/osrelease')) ?? '').trim();
      return new Carrier(computer, instance, hands, transport, kernel, (performance.now() - started) / 1000);
    } catch (error) {
      // What it said is part of the message; it must be read before the instance is gone.
      const failure = bootFailure(instance, error);
      await instance.destroy();
      throw failure;
    }
  }

  get name(): string {
    return this.instance.name;
  }

  get partition(): FlipSide['partition'] {
    return this.instance.os.partition;
  }

  /**
   * Keeps a domain's addresses for this instance: to be called before the domain is launched in it, so that no other
   * guest can take them first, and when it is launched anew in another instance than before. A move takes them along.
   */
  keepAddresses(network: DomainNetwork): void {
    this.portOf(network)?.addresses.register(targetOf(network));
  }

  /**
   * Takes a network card for a domain that is to be launched in this instance, and keeps its addresses for it; the answer
   * is what to launch it with. Several domains can have a network of their own so, each with a port of the switch that
   * carries its own addresses only. `network.nic` is not looked at.
   * Throws DomainError `state` where another domain has an address, or there is no room for another card.
   *
   *     const network = await carrier.giveCard({ mac: '52:54:00:00:01:00', address: '10.0.2.100/24', gateway: '10.0.2.2' });
   *     const domain = await launch(carrier.hands, { name: 'web', network }, { argv: ['/usr/sbin/nginx'] });
   */
  giveCard(network: DomainNetwork): Promise<DomainNetwork> {
    return this.cards.takeNew(network);
  }

  /** Where what is for a domain of this instance is delivered to. */
  portOf(network: DomainNetwork): Port | undefined {
    return this.cards.portOf(network) ?? this.instance.port;
  }

  /**
   * Has it shut down; its harts and frames are the computer's again afterwards. Domains in it end. What domains that have
   * moved away wrote before they closed a connection has half a minute to arrive.
   */
  async shutdown(): Promise<OsEnd> {
    await this.left.over(TO_ARRIVE);
    return this.instance.shutdown();
  }
}

/** Waits for the hands, or for the instance's end, whichever comes first. */
async function takeHands(instance: Instance, timeout: number): Promise<{ hands: Hands; transport: MailboxTransport }> {
  const port = instance.os.port('hands');
  const waits = new Set<() => void>();
  const host = {
    name: instance.name,
    mailbox: instance.os.mailbox,
    wakePort: WAKE_PORT,
    wake: () => void port.write(new Uint8Array(1)),
    now: () => performance.now(),
    after: (milliseconds: number, fn: () => void) => {
      const cancel = (): void => {
        clearTimeout(timer);
        waits.delete(over);
      };
      const over = (): void => {
        cancel();
        fn();
      };
      const timer = startTimer(over, milliseconds);
      waits.add(over);
      return cancel;
    },
    onRing: (): void => undefined,
  };
  instance.os.onRing = () => host.onRing();
  const connecting = connectHands(host, timeout);
  const ended = instance.os.ended.then((end): never => {
    // Nobody will answer any more: whoever waits need not do so to the end of their time.
    for (const over of [...waits]) over();
    throw new Error(describeEnd(end));
  });
  // Whoever loses the race has nothing more to say.
  connecting.catch(() => undefined);
  ended.catch(() => undefined);
  const taken = await Promise.race([connecting, ended]);
  // Calls into an instance that is gone end at once.
  void instance.os.ended.then(() => taken.transport.close());
  return taken;
}

function describeEnd(end: OsEnd): string {
  if (end.kind === 'hart-failed') return `a hart failed: ${end.message}`;
  if (end.kind === 'out-of-frames') return `it ran out of memory: ${end.message}`;
  return end.kind === 'device-failed' ? `its ${end.device} failed: ${end.message}` : `it ended (${end.kind})`;
}

function bootFailure(instance: Instance, cause: unknown): MaintenanceError {
  const why = cause instanceof Error ? cause.message : String(cause);
  const message = `OS instance ${instance.name} did not come up: ${why}; ${instance.console.lastWords()}`;
  return new MaintenanceError('boot-failed', message, { cause });
}

/** `before`: how many disks the instance has before those of the trees. */
async function mountTrees(hands: Hands, trees: readonly TreeDisk[], before: number): Promise<void> {
  for (const [i, { name }] of trees.entries()) {
    const b = hands.batch();
    b.call(SYS.mkdirat, AT_FDCWD, b.str('/trees'), 0o755);
    b.call(SYS.mkdirat, AT_FDCWD, b.str(`/trees/${name}`), 0o755);
    const [from, to] = [b.str(diskPath(before + i)), b.str(`/trees/${name}`)];
    const mounted = b.call(SYS.mount, from, to, b.str('ext4'), MS_RDONLY | MS_NODEV, b.str('noload'));
    (await b.run()).ok(mounted, `mounting the tree ${name}`);
  }
}

const MS_RDONLY = 1;
const MS_NODEV = 4;

/** `/dev/vda` to `/dev/vdz`, then `/dev/vdaa` and so on. */
function diskPath(index: number): string {
  const letters = (n: number): string =>
    (n < 26 ? '' : letters(Math.floor(n / 26) - 1)) + String.fromCharCode(97 + (n % 26));
  return `/dev/vd${letters(index)}`;
}

async function setClock(hands: Hands): Promise<void> {
  const now = Date.now();
  const time = new BigInt64Array([BigInt(Math.floor(now / 1000)), BigInt(now % 1000) * 1_000_000n]);
  const b = hands.batch();
  const set = b.call(SYS.clock_settime, CLOCK_REALTIME, b.bytes(new Uint8Array(time.buffer)));
  (await b.run()).ok(set, 'setting the clock');
}
