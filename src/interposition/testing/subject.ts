/** What the suite must know of a kind of device: how to make one, and traffic through it of which nothing may go astray. */
import type { VirtioDevice } from '../../computer/virtio/device.js';
import type { Driver } from '../driver/driver.js';
import type { Kind } from '../kind.js';
import type { Route } from '../route.js';
import type { Guest } from './guest.js';

/** A driver's traffic and the outside's, numbered, checked as it comes. */
export interface Traffic {
  /** The driver has begun: it offers what buffers it has to offer. */
  begin(guest: Guest): void;
  /** The driver asks for the next thing. */
  ask(guest: Guest): void;
  /** The outside world sends the next thing, if it can. */
  send(): void;
  /** The driver takes what is done; throws if it is not what was to come next. */
  take(guest: Guest): void;
  /** What was asked for or sent and is not there yet. */
  readonly left: number;
  /** The driver has reset the device: what was under way may be done or not. */
  forget(): void;
}

export interface Subject<T extends VirtioDevice, D extends Driver> {
  readonly name: string;
  readonly slot: number;
  readonly queues: number;
  /** Features without which a driver may well be, bit by bit. */
  readonly optional: Readonly<Record<string, number>>;
  kind(): Kind<T, D>;
  /** A device, with whatever is behind it. */
  make(): { device: (host: Route) => T; traffic: (device: T) => Traffic };
}
