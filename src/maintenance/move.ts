/** Moves one domain from the OS instance it is in to another on the same computer. */
import { isPciAddress } from '../domain/tree/cards.js';
import type { RunningDomain } from '../domain/tree/launch.js';
import type { DomainNetwork } from '../domain/tree/netlink.js';
import { FrameFlipper } from '../remapping/flipper.js';
import { migrate, type MigrationReport } from '../remapping/migrate.js';
import { Tidying } from '../remapping/tidying.js';
import { goesOn } from './errors.js';
import type { Carrier } from './carrier.js';
import type { OnMaintenance } from './events.js';
import { switchGate, type SwitchGate } from './gate.js';
import { openDiag } from './left.js';
import { refusePaused, watchPauses } from './paused.js';

/** While a domain stands still nothing else wants its harts: hands that went to sleep would have to be woken (µs). */
const LINGER_WHILE_FROZEN = 2000;
/** As `connectHands` sets it: longer would take time from the domain. */
const LINGER = 300;

/** Time that a domain which has just come to life has its hart for itself (ms). */
const CLIENTS_FIRST = 100;

/** Options of `moveDomain`. */
export interface MoveOptions {
  readonly onEvent?: OnMaintenance;
  /** Something else in these instances serves meanwhile: the hands leave it the harts whenever they can. */
  readonly underLoad?: boolean;
}

/**
 * Moves `domain` from `from` to `to`. Its packets wait at the switch meanwhile. Throws what `migrate` throws; then the
 * domain goes on in `from`, unless the error's code is `ended` or `undo-failed`; or MaintenanceError `paused` where
 * somebody holds one of the two paused, having begun nothing. A pause in the middle of the move holds it up until
 * `resume`: it can then neither go on nor be undone. The event `held-up` tells so.
 *
 * `onEvent` is told before each step and may throw: up to `resume` the move is then undone. What it throws later, or at
 * an event that is no step, is noted in the report as `untidied`.
 */
export async function moveDomain(
  domain: RunningDomain,
  from: Carrier,
  to: Carrier,
  { onEvent = () => undefined, underLoad = false }: MoveOptions = {},
): Promise<{ domain: RunningDomain; report: MigrationReport }> {
  const { name, network } = domain.spec;
  const random = (into: Uint8Array): void => from.computer.vmm.platform.randomBytes(into);
  const outside = from.computer.network;
  const linger = (microseconds: number): void => {
    for (const carrier of [from, to]) carrier.transport.setLinger(microseconds);
  };
  refusePaused([from, to], `domain ${name} cannot be moved`);
  const telling = new Tidying();
  await telling.do('telling that it moves', () =>
    onEvent({ type: 'moving', domain: name, from: from.name, to: to.name, at: performance.now() }),
  );
  const unwatch = watchPauses([from, to], ({ name: by }) => {
    void telling.do('telling that it is held up', () =>
      onEvent({ type: 'held-up', domain: name, by, at: performance.now() }),
    );
  });
  let there = network;
  let gate: SwitchGate | undefined;
  let diag: number | undefined;
  try {
    if (network !== undefined) there = await cardIn(to, network);
    const source = network && from.portOf(network);
    const destination = there && to.portOf(there);
    gate =
      network === undefined || outside === undefined || source === undefined || destination === undefined
        ? undefined
        : switchGate(outside, network, { source, destination });
    domain.anchor.leave = gate && ((connections) => gate?.leave(connections));
    const moved = await migrate({
      domain,
      to: to.hands,
      mover: new FrameFlipper([from, to], random),
      now: () => performance.now(),
      onStep: async (step) => {
        if (step === 'bury' && gate?.left !== undefined) diag = await openDiag(from.hands, domain.anchor.netns);
        await onEvent({ type: 'step', domain: name, step, at: performance.now() });
        if (step === 'freeze' && !underLoad) linger(LINGER_WHILE_FROZEN);
        if (step === 'resume') linger(LINGER);
        // What waited so long goes first; the original can be buried when its clients have been answered.
        if (step === 'bury') await new Promise((resolve) => setTimeout(resolve, CLIENTS_FIRST));
      },
      ...(there && { spec: { ...domain.spec, network: there } }),
      ...(gate && { gate }),
    });
    const { report } = moved;
    await telling.do('telling that it has moved', () =>
      onEvent({ type: 'moved', domain: name, report, at: performance.now() }),
    );
    return { domain: moved.domain, report: { ...report, untidied: [...report.untidied, ...telling.untidied] } };
  } catch (cause) {
    const error = cause instanceof Error ? cause : new Error(String(cause));
    const stays = goesOn(error) ? from.name : undefined;
    // Whoever asked for the move is to hear why it failed, not that somebody did not want to hear of it.
    await new Tidying().do('telling that it failed', () =>
      onEvent({ type: 'move-failed', domain: name, stays, error, at: performance.now() }),
    );
    throw error;
  } finally {
    unwatch();
    linger(LINGER);
    domain.anchor.leave = undefined;
    if (there !== undefined) to.cards.letGo(there);
    if (gate?.left !== undefined) from.left.watch(gate.left, diag);
  }
}

/** How long a NIC that has a name, and was a domain's before, may take to come back (ms), and how often one looks. */
const MOST_WAIT = 1000;
const LOOK = 50;

/**
 * The network of a domain in the instance that it is to move to: on the NIC of the same name, where it had one by name and
 * that is there, or on a card for it alone.
 */
async function cardIn({ cards }: Carrier, network: DomainNetwork): Promise<DomainNetwork> {
  const { nic } = network;
  if (nic !== undefined && !isPciAddress(nic)) {
    for (const end = performance.now() + MOST_WAIT; ;) {
      if (await cards.isFree(nic)) return network;
      if (performance.now() > end) break;
      await new Promise((resolve) => setTimeout(resolve, LOOK));
    }
  }
  return cards.take(network);
}
