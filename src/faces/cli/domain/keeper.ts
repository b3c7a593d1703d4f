/** The process domains of a machine: starts, moves and ends them for who asks over its socket. */
import { Carrier, type Computer, type DomainNetwork, type Forward } from '../../../index.js';
import { Domain, type DomainEnd } from '../../../maintenance/handle/domain.js';
import type { PreparedTree } from '../../../trees/index.js';
import type { Caller } from '../control/caller.js';
import { ControlError } from '../control/errors.js';
import type { JsonObject } from '../control/lines.js';
import type { DomainRequest } from '../control/protocol.js';
import { parseForward } from '../run-options.js';
import { UsageError } from '../usage.js';
import { passInput } from './typing.js';
import { parseEnv, parseLimits } from './values.js';

export interface KeeperOptions {
  readonly computer: Computer;
  readonly trees: readonly PreparedTree[];
  /** Gets what an OS instance of a kernel, `trixie`, `backports` or a release, boots from; answers what boots it, under a name. */
  readonly prepare: (kernel: string) => Promise<(name: string) => Promise<Carrier>>;
}

interface Kept {
  readonly domain: Domain;
  readonly argv: readonly string[];
  readonly forwards: readonly Forward[];
  readonly address: string | undefined;
}

type Of<D extends DomainRequest['do']> = Extract<DomainRequest, { do: D }>;
/** The two kernels that there are, of which the understudy takes the other. */
const KERNELS = ['trixie', 'backports'];
/** So many that have ended are remembered. */
const MOST_ENDED = 100;

export class DomainKeeper {
  readonly #domains = new Map<string, Kept>();
  readonly #carriers: { readonly carrier: Carrier; readonly kernel: string }[] = [];
  /** How many domains are on their way into an instance: they start, or move there. */
  readonly #coming = new Map<Carrier, number>();
  #booting: Promise<unknown> = Promise.resolve();

  constructor(
    private readonly options: KeeperOptions,
    private readonly first: Carrier,
    kernel: string,
  ) {
    this.#carriers.push({ carrier: first, kernel });
  }

  perform(request: DomainRequest, caller: Caller): Promise<JsonObject> {
    switch (request.do) {
      case 'domain-run':
        return this.#run(request, caller);
      case 'domain-ps':
        return this.#list();
      case 'domain-check':
        return this.#check(request);
      case 'domain-move':
        return this.#move(request, caller);
      case 'domain-stop':
        return this.#stop(request);
      case 'domain-logs':
        return this.#logs(request, caller);
    }
  }

  /** Ends them all. */
  async close(): Promise<void> {
    await Promise.allSettled([...this.#domains.values()].map((kept) => kept.domain.stop({ timeout: 0 })));
  }

  async #run(request: Of<'domain-run'>, caller: Caller): Promise<JsonObject> {
    const [program, ...args] = request.argv;
    if (program === undefined || program === '') throw new ControlError('invalid', 'which program?');
    const { user, cwd, address, detach, stdin, tty } = request;
    const name = request.name ?? this.#freeName(program);
    const taken = this.#domains.get(name);
    if (taken !== undefined && taken.domain.end === undefined) {
      throw new ControlError('exists', `a domain called ${name} runs already`);
    }
    const carrier = this.#active();
    const root = this.#rootOf(request);
    const network = address === undefined ? undefined : this.#network(address);
    const env = parsed(() => parseEnv(request.env ?? []));
    const limits = parsed(() => parseLimits(request.limits ?? []));
    const wanted = parsed(() => (request.forwards ?? []).map(parseForward));
    const forwards: Forward[] = [];
    let domain: Domain;
    this.#expect(carrier, 1);
    try {
      // A port that is taken is known before anything starts.
      for (const forward of wanted) forwards.push(await this.#forward(forward, address));
      domain = await Domain.run(carrier, {
        name,
        argv: [program, ...args],
        env,
        limits,
        ...(user !== undefined && { user }),
        ...(cwd !== undefined && { cwd }),
        ...(root !== undefined && { root }),
        ...(network !== undefined && { network }),
        ...(stdin === true && { stdin: 'open' as const }),
        ...(tty !== undefined && { tty }),
      });
      this.#domains.delete(name);
      this.#domains.set(name, { domain, argv: request.argv, forwards, address });
    } catch (error) {
      await this.#closeForwards(forwards);
      throw error;
    } finally {
      // It is listed, or has failed to start.
      this.#expect(carrier, -1);
    }
    void domain.ended.then(() => this.#closeForwards(forwards));
    this.#forget();
    const ports = forwards.map((f) => ({ host: f.host, port: f.port, guestPort: f.guestPort }));
    if (detach) return { domain: name, instance: carrier.name, forwards: ports };
    if (domain.stdin !== undefined) passInput(domain, caller);
    caller.tell({ started: name, instance: carrier.name, forwards: ports });
    return { domain: name, end: describeEnd(await follow(domain, caller, true)) };
  }

  async #list(): Promise<JsonObject> {
    const rows = [...this.#domains].map(async ([name, { domain, argv, address }]) => ({
      name,
      argv,
      instance: domain.carrier.name,
      kernel: domain.carrier.kernel,
      address: address ?? null,
      since: new Date(domain.since).toISOString(),
      processes: await domain.processes().catch(() => []),
      end: domain.end === undefined ? null : describeEnd(domain.end),
    }));
    const instances = this.#carriers.map(({ carrier }) => ({ name: carrier.name, kernel: carrier.kernel }));
    return { instances, domains: await Promise.all(rows) };
  }

  async #check({ name, kernel }: Of<'domain-check'>): Promise<JsonObject> {
    const { domain } = this.#find(name);
    const to = this.#carriers.find(
      (c) => c.carrier !== domain.carrier && (kernel === undefined || c.kernel === kernel),
    );
    const { movable, obstacles } = await domain.check(to?.carrier);
    const said = obstacles.map((o) => ({ ...o, since: new Date(o.since).toISOString() }));
    return { domain: name, movable, to: to?.carrier.name ?? null, obstacles: said };
  }

  async #move({ name, kernel }: Of<'domain-move'>, caller: Caller): Promise<JsonObject> {
    const { domain } = this.#find(name);
    const to = await this.#other(domain.carrier, kernel, caller);
    const from = domain.carrier.name;
    const report = await domain
      .move(to, {
        onEvent: (event) => {
          if (event.type === 'step') caller.tell({ step: event.step });
        },
      })
      .finally(() => this.#expect(to, -1));
    const { pauseMs, attempts, frozenAgain, framesFlipped, bytesCopied, pids, untidied } = report;
    const more = { pauseMs, attempts, frozenAgain, framesFlipped, bytesCopied, pids, untidied };
    return { domain: name, from, to: to.name, kernel: to.kernel, ...more };
  }

  async #stop({ name, timeout }: Of<'domain-stop'>): Promise<JsonObject> {
    const { domain } = this.#find(name);
    return { domain: name, end: describeEnd(await domain.stop(timeout === undefined ? {} : { timeout })) };
  }

  async #logs({ name, follow: on }: Of<'domain-logs'>, caller: Caller): Promise<JsonObject> {
    const { domain } = this.#find(name);
    tellOutput(caller, domain.logs());
    if (on && domain.end === undefined) await follow(domain, caller, false);
    return { domain: name, end: domain.end === undefined ? null : describeEnd(domain.end) };
  }

  #find(name: string): Kept {
    const kept = this.#domains.get(name);
    if (kept !== undefined) return kept;
    const names = [...this.#domains.keys()];
    throw new ControlError(
      'no-domain',
      `there is no domain ${name}${names.length > 0 ? `; there are ${names.join(', ')}` : ''}`,
    );
  }

  /** Where new domains are started: the last instance that came, as long as it is there. */
  #active(): Carrier {
    const [first] = this.#living();
    if (first === undefined) throw new ControlError('no-guest', 'the OS instance has ended');
    return first.carrier;
  }

  #living(): readonly { readonly carrier: Carrier; readonly kernel: string }[] {
    return this.#carriers.filter(({ carrier }) => this.options.computer.instances.includes(carrier.instance));
  }

  #expect(carrier: Carrier, more: number): void {
    this.#coming.set(carrier, (this.#coming.get(carrier) ?? 0) + more);
  }

  /** Nothing is in it, nor on its way there. The first instance is the machine's own, and stays. */
  #isSpare(carrier: Carrier): boolean {
    if (carrier === this.first || (this.#coming.get(carrier) ?? 0) > 0) return false;
    return [...this.#domains.values()].every(({ domain }) => domain.carrier !== carrier || domain.end !== undefined);
  }

  /**
   * The instance to move to: one that is there, or an understudy that boots now; an empty one of another kernel makes room
   * for it. A domain is expected there from then on.
   */
  #other(from: Carrier, kernel: string | undefined, caller: Caller): Promise<Carrier> {
    const found = this.#booting.then(async () => {
      const others = this.#living().filter(({ carrier }) => carrier !== from);
      const there = others.find((o) => kernel === undefined || o.kernel === kernel || o.carrier.kernel === kernel);
      const to = there?.carrier ?? (await this.#boot(from, kernel, caller));
      this.#expect(to, 1);
      return to;
    });
    this.#booting = found.catch(() => undefined);
    return found;
  }

  async #boot(from: Carrier, kernel: string | undefined, caller: Caller): Promise<Carrier> {
    const others = this.#living().filter(({ carrier }) => carrier !== from);
    const inTheWay = others.filter(({ carrier }) => !this.#isSpare(carrier));
    if (inTheWay.length > 0) {
      const names = inTheWay.map((o) => `${o.carrier.name} (${o.carrier.kernel})`).join(', ');
      throw new ControlError('no-room', `there is ${names} already, and no room for a third with ${kernel}`);
    }
    const own = this.#carriers.find(({ carrier }) => carrier === from)?.kernel;
    const wanted = kernel ?? KERNELS.find((k) => k !== own) ?? 'backports';
    const boot = await this.options.prepare(wanted);
    // Meanwhile something may have started there, or be on its way.
    const late = others.find(({ carrier }) => !this.#isSpare(carrier));
    if (late !== undefined) throw new ControlError('no-room', `${late.carrier.name} is in use by now`);
    // Nothing starts in it from now on.
    this.#carriers.splice(0, this.#carriers.length, ...this.#living().filter((c) => !others.includes(c)));
    for (const { carrier } of others) {
      await carrier.shutdown();
      this.#coming.delete(carrier);
    }
    caller.tell({ booting: wanted });
    const carrier = await boot(from.name === 'a' ? 'b' : 'a');
    this.#carriers.splice(0, this.#carriers.length, ...this.#living(), { carrier, kernel: wanted });
    return carrier;
  }

  #rootOf({ tree, root }: Of<'domain-run'>): string | undefined {
    if (tree === undefined) return root;
    if (root !== undefined) throw new ControlError('invalid', 'either a tree or a root');
    const names = this.options.trees.map(({ name }) => name);
    if (names.includes(tree)) return `/trees/${tree}`;
    const have = names.length > 0 ? `it has ${names.join(', ')}` : 'it has none';
    throw new ControlError('invalid', `the machine was started without the tree ${tree}: ${have}`);
  }

  #network(text: string): DomainNetwork {
    const address = text.replace(/\/.*/, '');
    const parts = address.split('.').map(Number);
    if (parts.length !== 4 || !parts.every((n) => Number.isInteger(n) && n >= 0 && n < 256)) {
      throw new ControlError('invalid', `"${text}" is no address such as 10.0.2.100`);
    }
    const other = [...this.#domains].find(
      ([, kept]) => kept.address?.replace(/\/.*/, '') === address && kept.domain.end === undefined,
    );
    if (other !== undefined) throw new ControlError('exists', `domain ${other[0]} has the address ${address}`);
    const mac = ['52', '54', ...parts.map((n) => n.toString(16).padStart(2, '0'))].join(':');
    const gateway = this.options.computer.network?.gateway.config.gateway;
    return { mac, address: `${address}/24`, ...(gateway !== undefined && { gateway: dotted(gateway) }) };
  }

  async #forward(wanted: ReturnType<typeof parseForward>, address: string | undefined): Promise<Forward> {
    const { network } = this.options.computer;
    if (address === undefined || network === undefined) {
      throw new ControlError('invalid', '--forward leads to an address: --network gives the domain one');
    }
    const { guestPort, ...request } = wanted;
    return network.gateway.forward({ ...request, guest: address.replace(/\/.*/, ''), guestPort });
  }

  #freeName(program: string): string {
    const base = program.slice(program.lastIndexOf('/') + 1).replace(/[^A-Za-z0-9_-]/g, '') || 'domain';
    for (let count = 0; ; count++) {
      const name = count === 0 ? base.slice(0, 50) : `${base.slice(0, 50)}-${count}`;
      if (!this.#domains.has(name)) return name;
    }
  }

  #forget(): void {
    const ended = [...this.#domains].filter(([, { domain }]) => domain.end !== undefined);
    for (const [name] of ended.slice(0, Math.max(0, ended.length - MOST_ENDED))) this.#domains.delete(name);
  }

  async #closeForwards(forwards: Forward[]): Promise<void> {
    await Promise.allSettled(forwards.splice(0).map((forward) => forward.close()));
  }
}

/** Passes on what a domain writes until it ends, or the caller has had enough; then, if it is the caller's, it is stopped. */
async function follow(domain: Domain, caller: Caller, isCallers: boolean): Promise<DomainEnd> {
  const deaf = domain.onOutput((bytes) => {
    tellOutput(caller, bytes);
    return caller.room();
  });
  const enough = caller.untilEnough();
  enough.catch(() => undefined);
  try {
    const first = await Promise.race([domain.ended, enough]);
    if (first !== undefined) return first;
    return isCallers ? await domain.stop() : (domain.end ?? { kind: 'exited', status: 0 });
  } finally {
    deaf();
  }
}

function tellOutput(caller: Caller, bytes: Uint8Array): void {
  if (bytes.length > 0) caller.tell({ output: Buffer.from(bytes).toString('base64') });
}

const describeEnd = (end: DomainEnd): JsonObject => ({ ...end });

const dotted = (ip: number): string => [24, 16, 8, 0].map((shift) => (ip >>> shift) & 255).join('.');

/** What the command line would have refused with status 2, said to who speaks the protocol. Throws ControlError. */
function parsed<T>(parse: () => T): T {
  try {
    return parse();
  } catch (error) {
    if (error instanceof UsageError) throw new ControlError('invalid', error.message);
    throw error;
  }
}
