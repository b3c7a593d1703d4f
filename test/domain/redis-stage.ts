import assert from 'node:assert/strict';
import { launch, type RunningDomain } from '../../src/domain/tree/launch.js';
import { readText } from '../../src/domain/linux/os.js';
import type { MigrationReport, Step } from '../../src/remapping/migrate.js';
import { DataSet } from '../../src/faces/cli/demo/data.js';
import { Computer, type KernelChoice } from '../../src/index.js';
import { Carrier } from '../../src/maintenance/index.js';
import { moveDomain } from '../../src/maintenance/move.js';
import { MIB, testImage } from '../testing/images.js';
import { connectSoon, type RedisConnection } from '../testing/redis.js';
import { SteadyClient } from '../testing/steady.js';

const network = { nic: 'eth0', mac: '52:54:00:00:01:00', address: '10.0.2.100/24', gateway: '10.0.2.2' };
const REDIS = ['/usr/bin/redis-server', '--bind', '0.0.0.0', '--protected-mode', 'no', '--save', ''] as const;

/** What came of a move: the steps that were begun, and how it ended. */
export interface Tried {
  readonly steps: Step[];
  readonly report?: MigrationReport;
  readonly error?: unknown;
}

/** A Redis server full of data in an OS instance, and a client that never lets go of it. */
export class RedisStage {
  readonly #data = new DataSet(16, 7);
  #broken = 0;

  private constructor(
    readonly computer: Computer,
    /** Where the domain is. */
    public source: Carrier,
    public domain: RunningDomain,
    /** It is opened once, and everything is asked through it. */
    readonly client: RedisConnection,
    readonly steady: SteadyClient,
  ) {}

  static async open(): Promise<RedisStage> {
    const computer = await Computer.create({ memory: 1024 * MIB, harts: 2 });
    const source = await bootFor(computer, 'a', 'trixie');
    const domain = await launch(source.hands, { name: 'redis', network }, { argv: REDIS, cwd: '/var/lib/redis' });
    const forward = await computer.network?.gateway.forward({ guest: '10.0.2.100', guestPort: 6379 });
    assert.ok(forward);
    let stage: RedisStage | undefined = undefined;
    const client = await connectSoon(forward.port, () => {
      if (stage !== undefined) stage.#broken++;
    });
    stage = new RedisStage(computer, source, domain, client, new SteadyClient(client));
    assert.equal(await stage.#data.fill(client, () => undefined), stage.#data.keys);
    return stage;
  }

  async close(): Promise<void> {
    // First: a server that stands still would never answer the steady client.
    if (this.client.isOpen) this.client.destroy();
    await this.steady.stop();
    await this.computer.close();
  }

  boot(name: string, kernel: KernelChoice): Promise<Carrier> {
    return bootFor(this.computer, name, kernel);
  }

  /** What of the computer belongs to nobody. */
  get free(): { harts: number; memory: number } {
    return { harts: this.computer.freeHarts, memory: this.computer.freeMemory };
  }

  /** Moves the domain; `at` is told before each step. */
  async move(from: Carrier, to: Carrier, at: (step: Step) => void | Promise<void> = () => undefined): Promise<Tried> {
    const steps: Step[] = [];
    try {
      const moved = await moveDomain(this.domain, from, to, {
        onEvent: async (event) => {
          if (event.type !== 'step') return;
          steps.push(event.step);
          await at(event.step);
        },
      });
      this.domain = moved.domain;
      return { steps, report: moved.report };
    } catch (error) {
      return { steps, error };
    }
  }

  /** The server has everything, the connections are the first ones, and its clients were not told anything twice. */
  async assertServes(when: string): Promise<void> {
    const before = this.steady.answered;
    assert.equal(await this.#data.verify(this.client, () => undefined), this.#data.keys, `all keys ${when}`);
    for (let turn = 0; this.steady.answered < before + 3 && turn < 500; turn++)
      await new Promise((resolve) => setTimeout(resolve, 10));
    assert.ok(this.steady.answered >= before + 3, `the steady client goes on ${when}`);
    assert.equal(this.steady.fault, undefined);
    assert.equal(this.#broken, 0, `no connection broke ${when}`);
  }
}

async function bootFor(computer: Computer, name: string, kernel: KernelChoice): Promise<Carrier> {
  return Carrier.boot(computer, { name, image: await testImage(kernel, 'redis'), memory: 384 * MIB });
}

export async function assertNothingIn(carrier: Carrier, when: string): Promise<void> {
  assert.equal(await readText(carrier.hands, '/sys/fs/cgroup/redis/cgroup.procs'), undefined, when);
}
