import { randomBytes, randomFillSync } from 'node:crypto';
import { FrameFlipper } from '../../src/remapping/flipper.js';
import { migrate, type MigrationReport, type Step } from '../../src/remapping/migrate.js';
import type { RunningDomain } from '../../src/domain/tree/launch.js';
import { DomainError } from '../../src/domain/errors.js';
import { surveyProcesses } from '../../src/domain/proc/survey.js';
import { AT_FDCWD, O } from '../../src/domain/linux/flags.js';
import { readText } from '../../src/domain/linux/os.js';
import { SYS } from '../../src/guest/hands/syscalls.js';
import { connectHands } from '../../src/guest/hands/connect.js';
import { handsElf } from '../../src/guest/hands/elf.js';
import { Hands } from '../../src/guest/hands/hands.js';
import type { MailboxTransport } from '../../src/guest/hands/transport.js';
import {
  Computer,
  prepareImage,
  redisProfile,
  type GuestFiles,
  type Instance,
  type KernelChoice,
} from '../../src/index.js';
import { Saboteur } from './saboteur.js';

/** An OS instance with hands. */
export interface Side {
  readonly instance: Instance;
  readonly hands: Hands;
  readonly transport: MailboxTransport;
  /** Stands between the two, and does nothing unless told to. */
  readonly saboteur: Saboteur;
}

/** A computer with two OS instances of different kernels, and a way to move a domain between them. */
export class Stage {
  private constructor(
    readonly computer: Computer,
    readonly sides: readonly [Side, Side],
    readonly mover: FrameFlipper,
  ) {}

  /** `memory`: MiB of each, of which `guaranteed` are there from the start; all of it unless told. */
  static async open(
    files: GuestFiles,
    memory: readonly [number, number] = [384, 384],
    guaranteed?: number,
  ): Promise<Stage> {
    const own = guaranteed === undefined ? memory : [guaranteed, guaranteed];
    const computer = await Computer.create({ memory: (own[0] + own[1] + 256) * 2 ** 20, harts: 2 });
    try {
      // Both boot at the same time; the first one has the lower frames.
      const first = begin(computer, 'a', 'trixie', [memory[0], own[0]], files);
      const second = first.then(() => begin(computer, 'b', 'backports', [memory[1], own[1]], files));
      const [a, b] = await Promise.all([first.then(connect), second.then(connect)]);
      const flipSides = [a, b].map((s) => ({
        hands: s.hands,
        transport: s.transport,
        partition: s.instance.os.partition,
      }));
      return new Stage(computer, [a, b], new FrameFlipper(flipSides, (into) => randomFillSync(into)));
    } catch (e) {
      await computer.close();
      throw e;
    }
  }

  other(hands: Hands): Side {
    const side = this.sides.find((s) => s.hands !== hands);
    if (side === undefined) throw new Error('there is no other side');
    return side;
  }

  /** The side a domain is in, and the other one. */
  from(domain: RunningDomain): [Side, Side] {
    const [a, b] = this.sides;
    return domain.hands === a.hands ? [a, b] : [b, a];
  }

  /** Ids of the domain's processes that stay, as the domain itself sees them: some have children that come and go. */
  async pids(domain: RunningDomain): Promise<number[]> {
    const first = await this.#look(domain);
    await new Promise((resolve) => setTimeout(resolve, 50));
    const second = await this.#look(domain);
    return second.filter((pid) => first.includes(pid)).sort((x, y) => x - y);
  }

  async #look(domain: RunningDomain): Promise<number[]> {
    for (let turn = 0; ; turn++) {
      try {
        const views = await surveyProcesses(domain.hands, await domain.anchor.cgroup.processes());
        return views.map((v) => v.pid);
      } catch (error) {
        // One ended between being listed and being looked at.
        if (!(error instanceof DomainError && error.code === 'lost') || turn === 20) throw error;
      }
    }
  }

  move(
    domain: RunningDomain,
    onStep?: (step: Step) => void | Promise<void>,
  ): Promise<{ domain: RunningDomain; report: MigrationReport }> {
    return migrate({
      domain,
      to: this.other(domain.hands).hands,
      mover: this.mover,
      now: () => performance.now(),
      ...(onStep && { onStep }),
    });
  }

  close(): Promise<void> {
    return this.computer.close();
  }
}

/** Boots an OS instance; resolves when it runs, with its mailbox ready for its hands. */
async function begin(
  computer: Computer,
  name: string,
  kernel: KernelChoice,
  [memory, guaranteed]: readonly [number, number],
  files: GuestFiles,
): Promise<Instance> {
  const token = new Uint8Array(randomBytes(16));
  const instance = await computer.boot({
    image: await prepareImage(redisProfile(kernel)),
    name,
    memory: memory * 2 ** 20,
    guaranteed: guaranteed * 2 ** 20,
    ports: [{ name: 'hands' }],
    files: { ...files, '/opt/hands': { data: handsElf(token), mode: 0o700 } },
    run: '/opt/hands &\nwhile :; do sleep 1000; done\n',
  });
  instance.os.mailbox.reset(token);
  return instance;
}

async function connect(instance: Instance): Promise<Side> {
  const { name } = instance;
  const port = instance.os.port('hands');
  const host = {
    name,
    mailbox: instance.os.mailbox,
    wakePort: '/dev/vport0p1',
    wake: () => void port.write(new Uint8Array(1)),
    now: () => performance.now(),
    after: (ms: number, fn: () => void) => {
      const timer = setTimeout(fn, ms);
      return () => clearTimeout(timer);
    },
    onRing: () => undefined,
  };
  instance.os.onRing = () => host.onRing();
  const { transport } = await connectHands(host, 120_000);
  void instance.os.ended.then(() => transport.close());
  const saboteur = new Saboteur(transport);
  return { instance, hands: new Hands(saboteur, name), transport, saboteur };
}

/** The last line a domain has written, once it differs from `before`. */
export async function nextLine(hands: Hands, path: string, before = ''): Promise<string> {
  // Linux asks after a closed TCP window ever more seldom, up to some ten seconds: a program that waits for that is no failure.
  for (const end = performance.now() + 40_000; performance.now() < end;) {
    const text = (await readText(hands, path)) ?? '';
    const lines = text.slice(0, text.lastIndexOf('\n')).split('\n');
    // What broke first is the reason of what breaks after it.
    const broken = lines.filter((l) => l.startsWith('broken'));
    const line = broken.length > 0 ? broken.join('; ') : (lines.at(-1) ?? '');
    if (line !== '' && line !== before) return line;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  throw new Error(`nothing new in ${path} after ${before}`);
}

/** Gives a file these contents, and makes it if it is missing. */
export async function writeFile(hands: Hands, path: string, contents: Uint8Array): Promise<void> {
  const b = hands.batch();
  const fd = b.must(SYS.openat, AT_FDCWD, b.str(path), O.WRONLY | O.CREAT | O.TRUNC | O.CLOEXEC, 0o600);
  const wrote = b.call(SYS.write, fd, b.bytes(contents), contents.length);
  b.call(SYS.close, fd);
  if ((await b.run()).value(wrote) !== contents.length) throw new Error(`cannot write ${path}`);
}
