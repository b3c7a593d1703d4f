/**
 * Devices of the computer that a running OS instance is given, and that are taken back from it. Until it is given one it
 * finds nothing of it; then it finds it as it finds what is plugged into a computer: by looking for it, which its hands ask
 * it to.
 *
 *     hidden ──give──▶ in an empty slot ──rescan──▶ the guest's
 *       ▲                                             │ takeBack
 *       ╰── slot empty, device clean ◀── let go ◀─────╯
 */
import * as guest from '../guest/hot-plug.js';
import type { Hands } from '../guest/hands/hands.js';
import type { OsInstance } from '../guest/os-instance.js';
import { ComputerDevice } from '../interposition/device.js';
import { InterpositionError } from '../interposition/errors.js';
import { checkKind, checkOptions } from './checks.js';
import { SystemError } from './errors.js';
import { HANDS_TIMEOUT, refused, type ByHands } from './by-hands.js';
import { checkTimeout } from './timeout.js';

/** How a device changes hands while its OS instance runs. */
export interface PlugOptions {
  /** Milliseconds for the guest to do its part; 30,000 unless told. */
  readonly timeout?: number;
}

/** Where a guest has a device that it was given. */
export interface GivenDevice {
  readonly slot: number;
  /** As its kernel names the function: `0000:00:05.0`. */
  readonly pci: string;
  /** What the kernel calls it: `vdb`, `eth1`; undefined if its driver has made nothing of it. */
  readonly name: string | undefined;
}

/** What leads from a device to the outside, while somebody has it. */
export interface Cable {
  plug(user: string): void;
  unplug(): void;
}

/** Devices come and go at one OS instance, one after the other. */
export class HotPlug {
  readonly #cables = new Map<ComputerDevice, Cable>();

  constructor(
    private readonly os: OsInstance,
    private readonly byHands: ByHands,
    private readonly cableOf: (device: ComputerDevice) => Cable | undefined,
  ) {
    void os.ended.then(() => {
      for (const device of this.#cables.keys()) this.#unplugCable(device);
    });
  }

  /** As `Instance.give`. */
  async give(device: ComputerDevice, options: PlugOptions = {}): Promise<GivenDevice> {
    checkDevice(device);
    const { timeout = HANDS_TIMEOUT } = checkOptions('how it is given', options);
    checkTimeout(timeout);
    return this.byHands.inTurn(async () => {
      const { os, byHands, cableOf } = this;
      const hands = byHands.hands();
      const slot = os.plug(device);
      const pci = guest.pciAddress(slot);
      try {
        const cable = cableOf(device);
        if (cable !== undefined) this.#cables.set(device, cable);
        cable?.plug(`${os.name} ${pci}`);
        return await byHands.within(timeout, `${device.id} was put into slot ${slot}, and is not found`, async () => {
          const scanned = await guest.rescan(hands);
          const found = await guest.look(hands, slot);
          if (!found.isThere) throw refused(`${os.name} does not find ${device.id} in slot ${slot}`, -scanned);
          return { slot, pci, name: found.name };
        });
      } catch (error) {
        // A guest that is slow may find it yet: what it has then is not pulled out under it.
        if (!(error instanceof SystemError && error.code === 'timeout')) await this.#takeOut(device).catch(stillThere);
        throw error;
      }
    });
  }

  /** As `Instance.takeBack`. */
  async takeBack(device: ComputerDevice, options: PlugOptions = {}): Promise<void> {
    checkDevice(device);
    const { timeout = HANDS_TIMEOUT } = checkOptions('how it is taken back', options);
    checkTimeout(timeout);
    return this.byHands.inTurn(async () => {
      const { os, byHands } = this;
      const hands = byHands.hands();
      const { slot } = device;
      if (slot === undefined || !device.isOn(os.board)) {
        throw new InterpositionError('mode', `${os.name} has not got ${device.id}`);
      }
      if (device.kind === 'console') {
        throw new SystemError('invalid', `${device.id} stays: its hands are reached through it`);
      }
      if (device.kind === 'balloon') {
        throw new SystemError('invalid', `${device.id} stays: what is in it is memory of ${os.name}`);
      }
      if (device.uses.length > 0) {
        const [{ what }] = device.uses;
        throw new InterpositionError('in-use', `${device.id} stays with the monitor: ${what}`);
      }
      await byHands.within(timeout, `${os.name} does not let go of ${device.id}`, () =>
        letGo(hands, device, slot, os.name),
      );
      await this.#takeOut(device);
    });
  }

  async #takeOut(device: ComputerDevice): Promise<void> {
    await this.os.unplug(device).catch(async (error: unknown) => {
      if (!this.byHands.isOver) throw error;
      throw await this.byHands.ended();
    });
    this.#unplugCable(device);
  }

  #unplugCable(device: ComputerDevice): void {
    this.#cables.get(device)?.unplug();
    this.#cables.delete(device);
  }
}

/** Throws SystemError `invalid`. */
function checkDevice(device: ComputerDevice): void {
  checkKind('what is given or taken back', device, ComputerDevice, 'a device of the computer (`addDisk`, `addNic`)');
}

async function letGo(hands: Hands, device: ComputerDevice, slot: number, os: string): Promise<void> {
  const found = await guest.look(hands, slot);
  // It has done so already, or has never found it.
  if (!found.isThere) return;
  if (device.kind === 'nic' && found.isDriven && found.name === undefined) {
    throw new SystemError('in-use', `${device.id} is a domain's in ${os}`);
  }
  const { name } = found;
  const answer =
    device.kind === 'disk' && name !== undefined
      ? await guest.letGoOfDisk(hands, slot, name)
      : await guest.letGo(hands, slot);
  if (answer === 'done') return;
  if (answer === 'in-use') {
    throw new SystemError('in-use', `${device.id} is mounted, or used otherwise, in ${os}: /dev/${name ?? ''}`);
  }
  throw refused(`${os} does not let go of ${device.id}: ${answer.what} failed`, answer.errno);
}

/** It stays where it is, which `Instance.takeBack` can change; what went wrong first is told. */
const stillThere = (): undefined => undefined;
