/** What a machine does at its devices for who asks over its socket. */
import type { Computer, Instance } from '../../../index.js';
import type { ComputerDevice, SwitchOptions, Use } from '../../../interposition/device.js';
import { DiskDevice } from '../../../interposition/kinds/disk.js';
import { NicDevice } from '../../../interposition/kinds/nic.js';
import type { DiskRecord } from '../../../interposition/path/disk-types.js';
import type { Caller } from './caller.js';
import { ControlError } from './errors.js';
import type { JsonObject } from './lines.js';
import { moveDisk } from './move.js';
import type { DomainRequest, Request } from './protocol.js';
import { shareDevice, type Room } from './share.js';

/** A machine that can be spoken to. */
export interface Machine {
  readonly name: string;
  readonly computer: Computer;
  /** The guest that runs now; it may boot again. */
  instance: Instance | undefined;
  /** Who takes care of process domains; undefined: it carries none. */
  readonly domains?: { perform(request: DomainRequest, caller: Caller): Promise<JsonObject> };
  /** For a second guest; undefined: there is none. */
  readonly room: Room | undefined;
  /** To be called at the machine's end, when its devices are gone. */
  readonly atEnd: (() => Promise<void>)[];
}

/** How often records are sent (ms), and how many go into one line. */
const GATHER = 20;
const MOST_RECORDS = 1000;

/** Does what was asked for; resolves with what to say in the end. Throws ControlError, or what the library throws. */
export async function perform(request: Request, machine: Machine, caller: Caller): Promise<JsonObject> {
  if (isAboutDomains(request)) {
    if (machine.domains === undefined) {
      throw new ControlError('no-domains', `${machine.name} carries no domains; "understudy domain serve" does`);
    }
    return machine.domains.perform(request, caller);
  }
  const instance = machine.instance;
  if (instance === undefined) throw new ControlError('no-guest', `${machine.name} has no guest at the moment`);
  if (request.do === 'list') return { machine: machine.name, devices: instance.os.devices.map(describe) };
  const device = deviceOf(instance, request.device);
  switch (request.do) {
    case 'interpose':
    case 'step-away': {
      const { timeout } = request;
      const options: SwitchOptions = { signal: caller.enough, ...(timeout !== undefined && { timeout }) };
      const report = await (request.do === 'interpose' ? device.interpose(options) : device.stepAway(options));
      return { device: device.id, mode: device.mode, ...report };
    }
    case 'watch':
      return watch(device, request.what, caller);
    case 'limit': {
      const limited = diskOrNic(device);
      return lasts(await limited.limit(request.rule), device, caller);
    }
    case 'disturb':
      return lasts(await disturb(device, request.rule), device, caller);
    case 'move':
      return moveDisk(diskOrRefuse(device), request, machine, caller);
    case 'share':
      return shareDevice(diskOrNic(device), request, machine, caller);
  }
}

const isAboutDomains = (request: Request): request is DomainRequest => request.do.startsWith('domain-');

function describe({ id, kind, mode, user, counters, uses }: ComputerDevice): JsonObject {
  return { id, kind, mode, user: user ?? null, counters: { ...counters }, uses: uses.map(({ what }) => what) };
}

function deviceOf(instance: Instance, id: string): ComputerDevice {
  const { devices } = instance.os;
  const device = devices.find((d) => d.id === id);
  if (device !== undefined) return device;
  throw new ControlError('invalid', `there is no device ${id}; there are ${devices.map((d) => d.id).join(', ')}`);
}

function diskOrRefuse(device: ComputerDevice): DiskDevice {
  if (device instanceof DiskDevice) return device;
  throw new ControlError('invalid', `${device.id} is no disk`);
}

function diskOrNic(device: ComputerDevice): DiskDevice | NicDevice {
  if (device instanceof DiskDevice || device instanceof NicDevice) return device;
  throw new ControlError('invalid', `${device.id} is neither a disk nor a network card`);
}

type Disturbing = Extract<Request, { do: 'disturb' }>['rule'];

function disturb(device: ComputerDevice, rule: Disturbing): Promise<Use> {
  const { errors, requests, first, sectors, loss, duplicate, direction, ...both } = rule;
  const ofDisk = { errors, requests, first, sectors };
  const ofNic = { loss, duplicate, direction };
  const wrong = (rules: object, what: string): void => {
    const [name] = Object.entries(rules).find(([, value]) => value !== undefined) ?? [];
    if (name !== undefined) throw new ControlError('invalid', `"${name}" is for a ${what}, and ${device.id} is none`);
  };
  const known = diskOrNic(device);
  if (known instanceof DiskDevice) {
    wrong(ofNic, 'network card');
    return known.disturb({ ...both, ...told(ofDisk) });
  }
  wrong(ofDisk, 'disk');
  return known.disturb({ ...both, ...told(ofNic) });
}

/** Without what was not told. */
function told<T extends object>(options: T): { [K in keyof T]?: Exclude<T[K], undefined> } {
  return Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined)) as {
    [K in keyof T]?: Exclude<T[K], undefined>;
  };
}

/** Until the caller has had enough. */
async function lasts(use: Use, device: ComputerDevice, caller: Caller, more: () => JsonObject = () => ({})) {
  caller.tell({ began: use.what });
  try {
    await caller.untilEnough();
  } finally {
    await use.end();
  }
  return { device: device.id, mode: device.mode, ...more() };
}

async function watch(device: ComputerDevice, what: 'all' | 'count', caller: Caller): Promise<JsonObject> {
  const known = diskOrNic(device);
  if (known instanceof NicDevice) {
    const use = await known.watch((bytes) => {
      if (what === 'all') caller.tell({ bytes: Buffer.from(bytes).toString('base64') });
    });
    return lasts(use, device, caller, () => ({ counts: use.counts, frames: use.frames, bytes: use.bytes }));
  }
  let records: DiskRecord[] = [];
  const send = (): void => {
    while (records.length > 0) caller.tell({ records: records.splice(0, MOST_RECORDS) });
  };
  const timer = setInterval(send, GATHER);
  try {
    const use = await known.watch((record) => {
      if (what === 'all') records.push(record);
    });
    return await lasts(use, device, caller, () => ({ counts: use.counts, bytes: use.bytes }));
  } finally {
    clearInterval(timer);
    records = [];
  }
}
