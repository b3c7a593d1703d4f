/**
 * A network card of the computer: its place on the network, and the cable that is in the switch while an OS instance has
 * the card. What waited for one instance never reaches the next: each has a port of its own.
 */
import type { NicDevice } from '../interposition/kinds/nic.js';
import type { Port, PortShare } from '../net/index.js';
import { connectCable } from './cable.js';
import type { Network, Place } from './network.js';

/** Where a card of the computer is on its network. */
export class NicLink {
  #port: Port | undefined;
  #unplug: (() => void) | undefined;

  constructor(
    private readonly network: Network,
    private readonly place: Place,
    private readonly nic: NicDevice,
    private readonly share: PortShare = {},
  ) {}

  /** The IPv4 address that its user has by DHCP, dotted. */
  get address(): string {
    return this.place.address;
  }

  /** The switch's end of its cable, while an OS instance has the card. */
  get port(): Port | undefined {
    return this.#port;
  }

  plug(user: string): void {
    this.unplug();
    this.#port = this.network.attach(user, this.place, this.share);
    this.#unplug = connectCable(this.nic.device, this.#port);
  }

  unplug(): void {
    this.#unplug?.();
    this.#port = this.#unplug = undefined;
  }

  /** The card is taken out of the computer. */
  close(): void {
    this.unplug();
    this.network.leavePlace(this.place);
  }
}
