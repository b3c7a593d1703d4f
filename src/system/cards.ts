/** Network cards that an OS instance gets while it runs, each with a port of the switch for itself. */
import { pciAddress } from '../guest/hot-plug.js';
import type { OsInstance } from '../guest/os-instance.js';
import type { NicDevice } from '../interposition/kinds/nic.js';
import type { Port } from '../net/index.js';
import { connectCable } from './cable.js';
import { macBytes } from './mac.js';
import type { Network } from './network.js';

/** A network card that was added to a running instance. */
export class AddedCard {
  #port: Port | undefined;
  #unplug: (() => void) | undefined;

  constructor(
    private readonly network: Network,
    readonly device: NicDevice,
    /** As its instance's kernel names the card: `0000:00:05.0`. */
    readonly pci: string,
  ) {}

  /** The switch's end of its cable; undefined: it is in nothing. */
  get port(): Port | undefined {
    return this.#port;
  }

  /**
   * Puts its cable into a new port of the switch, which carries what is registered with it and nothing else: whatever
   * waited for who used the card before is gone.
   */
  plug(name: string): void {
    this.unplug();
    this.#port = this.network.switch.attach({ name, claimsNone: true });
    this.#unplug = connectCable(this.device.device, this.#port);
  }

  unplug(): void {
    this.#unplug?.();
    this.#port = this.#unplug = undefined;
  }
}

/** Adds a card; the kernel of the instance finds it when it scans its bus. Throws as `OsInstance.addNic`. */
export function addCard(os: OsInstance, network: Network): AddedCard {
  const { device, slot } = os.addNic({ mac: macBytes(network.cardMac()), checksumsVerified: true });
  return new AddedCard(network, device, pciAddress(slot));
}
