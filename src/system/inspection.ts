/** Who owns what of a computer, as plain data: what `Computer.inspect` answers. It can be cloned, sent and kept. */
import { hostNow } from '../computer/clock.js';
import { hartState, hartTime, type HartState } from '../computer/hart-time.js';
import { FRAME_SIZE } from '../computer/memory.js';
import type { MemoryReport } from '../guest/memory-size.js';
import type { ComputerDevice, DeviceCounters, DeviceMode } from '../interposition/device.js';
import { DiskDevice } from '../interposition/kinds/disk.js';
import type { DeviceKindName } from '../interposition/kind.js';
import type { PortCounters, PortShare } from '../net/index.js';
import { countsOf, makeBooks, ownerOf, runsOf } from '../partition/books.js';
import type { Vmm } from '../partition/vmm.js';
import type { Instance } from './instance.js';
import type { Network } from './network.js';

/** How much is to be looked at. */
export interface InspectOptions {
  /** Also who has each frame, for a picture. */
  readonly map?: boolean;
}

/** A computer at a moment. */
export interface Inspection {
  /** Milliseconds on the host's monotonic clock. */
  readonly at: number;
  readonly frames: FrameInspection;
  readonly harts: {
    readonly total: number;
    /** Those that belong to nobody. */
    readonly free: number;
  };
  readonly instances: readonly InstanceInspection[];
  readonly devices: readonly DeviceInspection[];
  /** The ports of the computer's switch; the first is the way outside. */
  readonly ports: readonly PortInspection[];
}

/** Who has the frames of 4 KiB. */
export interface FrameInspection {
  /** Bytes of one. */
  readonly size: number;
  /** Frames that somebody can still get: of those that are free, some are promised to instances. */
  readonly available: number;
  /**
   * Owners in the order of their numbers: `free`, `not there` (they can be added), `vmm` (its tables), `monitor` (devices and
   * its drivers), `harts` (their state), then OS instances by their names.
   */
  readonly owners: readonly { readonly name: string; readonly frames: number }[];
  /** With `map`: pairs of an owner's number and how many frames in a row are his, from the first frame to the last. */
  readonly map?: Int32Array;
}

/** An OS instance and what it has. */
export interface InstanceInspection {
  readonly name: string;
  readonly paused: boolean;
  /** Its IPv4 address on the computer's network, dotted. */
  readonly address?: string;
  /** Bytes: that its device tree says, that have a frame now, that are its own whatever others take. */
  readonly memory: { readonly size: number; readonly resident: number; readonly guaranteed: number };
  /** How it stands with memory that changes (`maxMemory`, `guaranteed`). */
  readonly balloon?: MemoryReport;
  /** Harts that it has, and may have. */
  readonly harts: readonly HartInspection[];
  /** If it shares harts with others. `used`: milliseconds that its harts have had, together. */
  readonly share?: { readonly weight: number; readonly cpu: number; readonly used: number };
  /** The devices that it has, by their `id`. */
  readonly devices: readonly string[];
  /** Accesses to what is not its memory that its devices were asked for. */
  readonly refusedDmas: number;
}

export type { HartState };

/** A hart of an OS instance. */
export interface HartInspection {
  readonly id: number;
  readonly state: HartState;
  /** Milliseconds that it has run since it began, and that it has waited: for something to do, or for its turn. */
  readonly ran: number;
  readonly waited: number;
}

/** A device of the computer. */
export interface DeviceInspection {
  readonly id: string;
  readonly kind: DeviceKindName;
  readonly mode: DeviceMode;
  /** The OS instance that has it, and the PCI slot in which that finds it. */
  readonly user?: string;
  readonly slot?: number;
  /** What the monitor does there, in words. */
  readonly uses: readonly string[];
  readonly counters: DeviceCounters;
  /** Of a disk. */
  readonly disk?: { readonly sectors: number; readonly readOnly: boolean };
}

/** A port of the computer's switch. */
export interface PortInspection {
  readonly name: string;
  readonly share: PortShare;
  readonly counters: PortCounters;
}

/** What is looked at. */
export interface Inspected {
  readonly vmm: Vmm;
  readonly instances: readonly Instance[];
  readonly devices: Iterable<ComputerDevice>;
  readonly network: Network | undefined;
}

export function inspect({ vmm, instances, devices, network }: Inspected, { map = false }: InspectOptions): Inspection {
  // These at once, while it is that time; frames take longer.
  const at = hostNow();
  const told = instances.map((instance) => inspectInstance(vmm, instance, at));
  return {
    at,
    frames: inspectFrames(vmm, instances, map),
    harts: { total: vmm.harts, free: vmm.freeHarts },
    instances: told,
    devices: [...devices].map(inspectDevice),
    ports: [...(network?.switch.ports ?? [])].map(({ name, share, counters }) => ({
      name,
      share,
      counters: { ...counters },
    })),
  };
}

const OWN = ['free', 'not there', 'vmm', 'monitor', 'harts'];

function inspectFrames(vmm: Vmm, instances: readonly Instance[], map: boolean): FrameInspection {
  const { owners, partitions } = makeBooks(vmm);
  const counts = countsOf(owners);
  // One that is being booted, or that has ended and whose memory somebody still wants, has no name here.
  const nameOf = (n: number): string => instances.find(({ os }) => os.partition === partitions[n])?.name ?? `#${n}`;
  const names = [...OWN, ...partitions.map((_, n) => nameOf(n))];
  return {
    size: FRAME_SIZE,
    available: vmm.machine.frames.available,
    owners: names.map((name, n) => ({ name, frames: counts[n < OWN.length ? n : ownerOf(n - OWN.length)] })),
    ...(map && { map: runsOf(owners) }),
  };
}

function inspectInstance(vmm: Vmm, instance: Instance, now: number): InstanceInspection {
  const { os, name, address, paused } = instance;
  const { space, blocks } = os.partition;
  const { words, view } = vmm.machine;
  const balloon = os.memory?.report();
  const { share } = instance;
  return {
    name,
    paused,
    ...(address !== undefined && { address }),
    memory: { size: space.size, resident: space.resident * FRAME_SIZE, guaranteed: space.guaranteed * FRAME_SIZE },
    ...(balloon && { balloon }),
    harts: blocks.map((block, id) => ({ id, state: hartState(words, block), ...hartTime(view, block, now) })),
    ...(share && { share: { weight: share.weight, cpu: share.cpu, used: share.used } }),
    devices: instance.devices.map(({ id }) => id),
    refusedDmas: os.refusedDmas,
  };
}

function inspectDevice(device: ComputerDevice): DeviceInspection {
  const { id, kind, mode, user, slot, uses, counters } = device;
  return {
    id,
    kind,
    mode,
    ...(user !== undefined && { user }),
    ...(slot !== undefined && { slot }),
    uses: uses.map(({ what }) => what),
    counters: { ...counters },
    ...(device instanceof DiskDevice && { disk: { sectors: device.sectors, readOnly: device.readOnly } }),
  };
}
