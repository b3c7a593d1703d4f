/** `understudy domain serve`: a machine that carries process domains, until it is interrupted. */
import { Carrier, Computer, findTree, PROFILES, type PreparedTree } from '../../../index.js';
import { ControlServer } from '../control/server.js';
import type { Machine } from '../control/actions.js';
import { obtainImages } from '../images.js';
import type { Interruption } from '../interruption.js';
import { UsageError } from '../usage.js';
import { DomainKeeper } from './keeper.js';
import type { ServeOptions } from './options.js';

/** What a machine has beside the memory of its two OS instances. */
const MACHINE = 64 * 2 ** 20;

export async function serve(options: ServeOptions, interruption: Interruption): Promise<number> {
  const { signal } = interruption;
  const profile = Object.hasOwn(PROFILES, options.image) ? PROFILES[options.image] : undefined;
  if (profile === undefined) {
    throw new UsageError(`--image ${options.image}: there are ${Object.keys(PROFILES).join(', ')}`);
  }
  const trees: PreparedTree[] = [];
  for (const name of options.trees) trees.push(await findTree(name));
  const computer = await Computer.create({ memory: 2 * options.memory + MACHINE, harts: 2 });
  let control: ControlServer | undefined;
  let keeper: DomainKeeper | undefined;
  const prepare = async (kernel: string): Promise<(name: string) => Promise<Carrier>> => {
    const [image] = await obtainImages([profile(kernel)], { signal });
    return (name) => Carrier.boot(computer, { name, image, memory: options.memory, trees });
  };
  try {
    const first = await (await prepare(options.kernel))('a');
    keeper = new DomainKeeper({ computer, trees, prepare }, first, options.kernel);
    const machine: Machine = {
      ...{ name: options.name, computer, instance: first.instance, room: undefined },
      ...{ domains: keeper, atEnd: [] },
    };
    control = await ControlServer.open(machine);
    const ready = { machine: options.name, instance: first.name, kernel: first.kernel };
    const { name, kernel } = first;
    process.stdout.write(
      options.json
        ? `${JSON.stringify(ready)}\n`
        : `${options.name} is ready: ${name}, Linux ${kernel}; Ctrl-C ends it\n`,
    );
    await aborted(signal);
    return interruption.status ?? 0;
  } finally {
    await control?.close();
    await keeper?.close();
    await computer.close();
  }
}

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    signal.addEventListener('abort', () => resolve(), { once: true });
  });
}
