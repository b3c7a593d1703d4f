/** A card as another OS instance uses it: a cable from its own card to the monitor's switch in front of the real one. */
import type { VirtioNet } from '../../computer/virtio/net.js';
import { InterpositionError } from '../errors.js';
import { getMac } from '../../net/wire/bytes.js';
import type { NicPath, NicUser } from './nic-path.js';
import type { NicAddress } from './nic-types.js';

const MAC_LENGTH = 6;

/** The six bytes of an address as a number. Throws InterpositionError `invalid` for what is none, or a group's. */
export function macOf(mac: Uint8Array): number {
  if (!(mac instanceof Uint8Array) || mac.length !== MAC_LENGTH || (mac[0] & 1) !== 0 || mac.every((b) => b === 0)) {
    throw new InterpositionError(
      'invalid',
      `a card's MAC address has six bytes, is not all zero and no group's: ${String(mac)}`,
    );
  }
  return getMac(mac, 0);
}

/** Where another's card is plugged in. */
export class NicShare {
  #unplug: (() => void) | undefined;
  #closed = false;

  constructor(
    private readonly of: string,
    private readonly path: NicPath,
    private readonly user: NicUser,
  ) {}

  /** As `SharedNic.plug`. */
  plug(nic: VirtioNet, { mac, ip }: NicAddress): () => void {
    if (this.#closed) throw new InterpositionError('closed', `${this.of} is not shared any more`);
    if (this.#unplug !== undefined)
      throw new InterpositionError('in-use', `another card is plugged in where ${this.of} is shared`);
    const { path, user } = this;
    path.name(user, macOf(mac), ip);
    user.end = {
      give: ({ frame, segment }) => nic.receive(frame, segment),
      acceptsLarge: () => nic.acceptsLarge,
      resume: () => nic.resume(),
    };
    nic.onFrame = (frame, segment) => path.fromUser(user, { frame, segment });
    nic.onRoom = () => path.room(user);
    const unplug = (): void => {
      if (this.#unplug !== unplug) return;
      this.#unplug = undefined;
      nic.onFrame = () => true;
      nic.onRoom = () => undefined;
      // As a cable that is pulled out at the other end: it may send again, into nothing.
      nic.resume();
      path.forget(user);
    };
    this.#unplug = unplug;
    this.#pulled = () => {
      unplug();
      nic.setLink(false);
    };
    return unplug;
  }

  #pulled: () => void = () => undefined;

  /** The share has ended: the other's cable is out. */
  close(): void {
    this.#closed = true;
    if (this.#unplug !== undefined) this.#pulled();
  }
}
