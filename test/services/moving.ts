/** Services out of a tree, moved there and back under load. SERVICES=nginx,redis runs those only; HOPS=2 moves each so often. */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import {
  Carrier,
  Computer,
  Domain,
  DomainError,
  prepareImages,
  prepareTree,
  shellProfile,
  type DomainOptions,
} from '../../src/index.js';
import type { Service } from './service.js';

const MIB = 2 ** 20;
const ADDRESS = '10.0.2.100';
const NETWORK = { nic: 'eth0', mac: '52:54:00:00:01:00', address: `${ADDRESS}/24`, gateway: '10.0.2.2' };
const HOPS = Number(process.env['HOPS'] ?? 10);
/** What a busy service is doing just then may be in the way: it is tried again. */
const TRIES = 5;
/** Between two moves (ms). */
const CALM = 300;
const REFUSALS: readonly string[] = ['unsupported', 'mismatch', 'changed'];
const only = process.env['SERVICES']?.split(',');

const sleep = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

export interface Tree {
  readonly name: string;
  /** Debian's packages. */
  readonly install: readonly string[];
  readonly services: readonly Service[];
  /** Bytes of each OS instance. */
  readonly memory?: number;
}

/** A test for each service of a tree, on one computer. */
export function testServices({ name: tree, install, services, memory = 640 * MIB }: Tree): void {
  const wanted = services.filter(({ name }) => only === undefined || only.includes(name));
  if (wanted.length === 0) return;
  // Each tree has a computer of its own, for as long as its services need it.
  describe(tree, () => testOnOne(tree, install, wanted, memory));
}

function testOnOne(tree: string, install: readonly string[], wanted: readonly Service[], memory: number): void {
  let computer: Computer;
  let carriers: readonly [Carrier, Carrier];
  before(async () => {
    const prepared = await prepareTree(install, { name: tree });
    const images = await prepareImages([shellProfile('trixie'), shellProfile('backports')]);
    computer = await Computer.create({ memory: 2 * memory + 64 * MIB, harts: 2 });
    const boot = (name: string, image: (typeof images)[number]): Promise<Carrier> =>
      Carrier.boot(computer, { name, image, memory, trees: [prepared] });
    carriers = [await boot('a', images[0]), await boot('b', images[1])];
  });
  after(() => computer?.close());
  for (const service of wanted) {
    test(`${service.name} moves there and back under load, and is right`, async (t) => {
      t.diagnostic(await prove(service, { tree, computer, carriers }));
    });
  }
}

interface Place {
  readonly tree: string;
  readonly computer: Computer;
  readonly carriers: readonly [Carrier, Carrier];
}

async function prove(service: Service, { tree, computer, carriers }: Place): Promise<string> {
  const { port: guestPort, protocol = 'tcp' } = service;
  const forward =
    guestPort === undefined
      ? undefined
      : await computer.network!.gateway.forward({ protocol, port: 0, guest: ADDRESS, guestPort });
  const options: DomainOptions = {
    ...service.run,
    ...{ name: service.name, root: `/trees/${tree}`, network: NETWORK, keptOutput: 8 * MIB },
  };
  const domain = await Domain.run(carriers[0], options);
  try {
    const text = (): string => new TextDecoder().decode(domain.logs());
    const lines = (): string[] => text().split('\n').slice(0, -1);
    const load = await service.begin({ port: forward?.port ?? 0, lines, domain, text });
    const pauses: number[] = [];
    const refused = new Set<string>();
    let failure: unknown;
    for (let hop = 0; hop < HOPS && failure === undefined; hop++) {
      await sleep(CALM);
      for (let attempt = 1; ; attempt++) {
        try {
          const { pauseMs } = await domain.move(domain.carrier === carriers[0] ? carriers[1] : carriers[0]);
          pauses.push(pauseMs);
          break;
        } catch (error) {
          if (!(error instanceof DomainError && REFUSALS.includes(error.code))) throw error;
          refused.add(error.resource ?? error.message);
          failure = attempt === TRIES ? error : undefined;
          if (failure !== undefined) break;
          await sleep(CALM);
        }
      }
    }
    const wrong = await load.finish();
    const sorted = [...pauses].sort((x, y) => x - y);
    const times = sorted.map((ms) => ms.toFixed(0));
    const said = `${pauses.length} moves, pauses ${times.join(' ')} ms${refused.size > 0 ? `, refused: ${[...refused].join('; ')}` : ''}`;
    assert.deepEqual(wrong, [], said);
    // Busy as it is it may be refused in the end, by name: not before it has been there and back.
    assert.ok(pauses.length >= Math.min(2, HOPS), `refused: ${[...refused].join('; ')} after ${said}`);
    return failure === undefined ? said : `refused: ${[...refused].join('; ')} after ${said}`;
  } catch (error) {
    console.error(new TextDecoder().decode(domain.logs().subarray(-3000)));
    throw error;
  } finally {
    await domain.stop({ timeout: 0 });
    await forward?.close();
  }
}
