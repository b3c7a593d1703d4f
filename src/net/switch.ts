/**
 * An Ethernet switch: it learns which address is behind which port, floods what it does not know, waits for stations
 * that are full, and holds the traffic of an address that is moving (gate.ts).
 *
 * Frames are delivered one after the other from the outermost `send`, never from inside a station's own handler: two
 * stations that answer each other at once do not grow the stack.
 */
import { NetError } from './errors.js';
import { isGroupMac } from './address.js';
import { addressedTo, comesFrom, GateState, sourceIp, type Gate } from './gate.js';
import { Queue } from './queue.js';
import type { GateTarget, Port, PortCounters, PortOptions, Release } from './port.js';
import { getMac, setMac } from './wire/bytes.js';
import { ETHERNET_HEADER } from './wire/ethernet.js';

/** Learned addresses per port: a guest that invents addresses loses its own, not its neighbours'. */
const MAX_LEARNED = 64;
/** Frames that may wait for one station, whatever their size. */
const MAX_FRAMES = 8192;
const DEFAULT_QUEUE_BYTES = 4 * 1024 * 1024;

export class Switch {
  readonly #ports = new Set<SwitchPort>();
  readonly #table = new Map<number, SwitchPort>();
  /** Who may speak for an address that was released to a port: learning does not move these. */
  readonly #macPins = new Map<number, SwitchPort>();
  readonly #ipPins = new Map<number, SwitchPort>();
  readonly #gates: GateState<SwitchPort>[] = [];
  readonly #active = new Queue<SwitchPort>();
  #delivering = false;

  attach(options: PortOptions): Port {
    const port = new SwitchPort(options, {
      forward: (from, frame) => this.#forward(from, frame),
      deliver: (to) => {
        this.#activate(to);
        this.#run();
      },
      close: (closing) => this.#detach(closing),
    });
    // Two ports may be given the same address: the first has it until a gate releases it to the other.
    for (const mac of port.macs) {
      if (this.#table.get(mac)?.macs.has(mac) !== true) this.#table.set(mac, port);
    }
    this.#ports.add(port);
    return port;
  }

  /**
   * Starts to hold an address. See gate.ts for what that means, `Gate.release` for its end.
   * `owner`: where the address is now; left out, the switch takes what it knows of the MAC address.
   */
  hold(target: GateTarget, owner?: Port): Gate {
    const origin =
      (owner === undefined ? undefined : this.#own(owner)) ??
      (target.mac === undefined ? undefined : this.#table.get(target.mac)) ??
      (target.ip === undefined ? undefined : this.#ipPins.get(target.ip));
    const state = new GateState(target, origin);
    this.#gates.push(state);
    for (const port of this.#ports) port.onHold?.(target);
    return {
      target,
      get queued() {
        return state.waiting.length;
      },
      get dropped() {
        return state.dropped;
      },
      release: (to, newMac) => this.#release(state, to, newMac),
    };
  }

  #own(port: Port): SwitchPort {
    if (port instanceof SwitchPort && this.#ports.has(port)) return port;
    throw new NetError('BAD_CONFIG', `port "${port.name}" is not attached to this switch`);
  }

  #isHeld(mac: number): boolean {
    return this.#gates.some((g) => g.target.mac === mac);
  }

  #release(state: GateState<SwitchPort>, to: Port | undefined, newMac: number | undefined): void {
    const at = this.#gates.indexOf(state);
    if (at < 0) return;
    const owner = to === undefined ? state.origin : this.#own(to);
    this.#gates.splice(at, 1);
    const { mac, ip } = state.target;
    if (owner !== undefined && this.#ports.has(owner)) {
      if (mac !== undefined) {
        this.#macPins.set(mac, owner);
        this.#table.set(mac, owner);
      }
      if (ip !== undefined) this.#ipPins.set(ip, owner);
    }
    for (let item = state.waiting.shift(); item !== undefined; item = state.waiting.shift()) {
      if (item.outbound) {
        if (item.from === owner) this.#forward(owner, item.frame);
        continue;
      }
      this.#forward(item.from, newMac === undefined ? item.frame : readdressed(item.frame, newMac));
    }
    const release: Release = { ...state.target, ...(newMac === undefined ? {} : { newMac }) };
    for (const port of this.#ports) port.onRelease?.(release);
  }

  /** Queues a frame at its destinations. False if one of them has much to digest. */
  #forward(from: SwitchPort, frame: Uint8Array): boolean {
    if (frame.length < ETHERNET_HEADER || !this.#admit(from, frame)) {
      from.counters.refused++;
      return true;
    }
    if (this.#gates.length > 0 && this.#hold(from, frame)) return true;
    let roomy = true;
    const to = this.#table.get(getMac(frame, 0));
    if (to !== undefined) {
      if (to !== from) roomy = this.#enqueue(to, frame);
    } else {
      for (const port of this.#ports) if (port !== from) this.#enqueue(port, frame);
    }
    this.#run();
    return roomy;
  }

  /** Checks the source address, and learns it. */
  #admit(from: SwitchPort, frame: Uint8Array): boolean {
    const source = getMac(frame, 6);
    if (isGroupMac(source)) return false;
    if (from.macs.size > 0 && !from.macs.has(source)) return false;
    const known = this.#table.get(source);
    // A port that is told its addresses cannot lose them to one that claims them; nor can a pinned address move.
    const pinned = this.#macPins.get(source);
    if (pinned !== undefined && pinned !== from) return this.#isHeld(source);
    if (this.#ipPins.size > 0) {
      const pin = this.#ipPins.get(sourceIp(frame));
      if (pin !== undefined && pin !== from && !this.#gates.some((g) => comesFrom(g.target, frame))) return false;
    }
    if (known === from || this.#isHeld(source)) return true;
    if (known !== undefined && known.macs.has(source)) return false;
    if (known === undefined && from.learned.size >= MAX_LEARNED) this.#forget(from);
    known?.learned.delete(source);
    from.learned.add(source);
    this.#table.set(source, from);
    return true;
  }

  #forget(port: SwitchPort): void {
    for (const mac of port.learned) {
      port.learned.delete(mac);
      if (this.#table.get(mac) === port) this.#table.delete(mac);
      return;
    }
  }

  #hold(from: SwitchPort, frame: Uint8Array): boolean {
    for (const gate of this.#gates) {
      if (comesFrom(gate.target, frame)) {
        if (gate.origin === undefined) continue;
        if (from !== gate.origin) gate.hold({ frame, from, outbound: true });
        return true;
      }
      if (addressedTo(gate.target, frame)) {
        gate.hold({ frame, from, outbound: false });
        return true;
      }
    }
    return false;
  }

  #enqueue(port: SwitchPort, frame: Uint8Array): boolean {
    if (port.queuedBytes + frame.length > port.limit || port.queue.length >= MAX_FRAMES) {
      port.counters.overflowed++;
      port.senderWaits = true;
      return false;
    }
    port.queue.push(frame);
    port.queuedBytes += frame.length;
    this.#activate(port);
    if (port.queuedBytes * 2 <= port.limit) return true;
    port.senderWaits = true;
    return false;
  }

  #activate(port: SwitchPort): void {
    if (port.active || port.full || port.queue.length === 0 || port.onFrame === undefined) return;
    port.active = true;
    this.#active.push(port);
  }

  #run(): void {
    if (this.#delivering) return;
    this.#delivering = true;
    try {
      for (let port = this.#active.shift(); port !== undefined; port = this.#active.shift()) {
        port.active = false;
        port.drain();
        if (port.senderWaits && port.queuedBytes * 4 <= port.limit) {
          port.senderWaits = false;
          for (const sender of this.#ports) sender.onReady?.();
        }
      }
    } finally {
      this.#delivering = false;
    }
  }

  #detach(port: SwitchPort): void {
    if (!this.#ports.delete(port)) return;
    port.queue.clear();
    port.queuedBytes = 0;
    for (const map of [this.#table, this.#macPins, this.#ipPins]) {
      for (const [address, owner] of map) if (owner === port) map.delete(address);
    }
    // Another port may have been given the same address while this one held it.
    for (const other of this.#ports) {
      for (const mac of other.macs) if (!this.#table.has(mac)) this.#table.set(mac, other);
    }
    if (port.senderWaits) for (const sender of this.#ports) sender.onReady?.();
  }
}

interface SwitchSide {
  forward(from: SwitchPort, frame: Uint8Array): boolean;
  deliver(to: SwitchPort): void;
  close(port: SwitchPort): void;
}

class SwitchPort implements Port {
  readonly name: string;
  readonly macs: ReadonlySet<number>;
  readonly learned = new Set<number>();
  readonly limit: number;
  readonly queue = new Queue<Uint8Array>();
  queuedBytes = 0;
  /** In the switch's list of ports to deliver to. */
  active = false;
  /** The station said it has no room. */
  full = false;
  /** A sender was told to wait. */
  senderWaits = false;
  onReady: (() => void) | undefined;
  onHold: ((target: GateTarget) => void) | undefined;
  onRelease: ((release: Release) => void) | undefined;
  readonly counters: PortCounters = { delivered: 0, deliveredBytes: 0, overflowed: 0, refused: 0 };
  #onFrame: ((frame: Uint8Array) => boolean) | undefined;
  readonly #switch: SwitchSide;
  #closed = false;

  constructor(options: PortOptions, side: SwitchSide) {
    this.name = options.name;
    this.macs = new Set(options.macs);
    this.limit = options.queueBytes ?? DEFAULT_QUEUE_BYTES;
    this.#switch = side;
  }

  get onFrame(): ((frame: Uint8Array) => boolean) | undefined {
    return this.#onFrame;
  }

  set onFrame(handler: ((frame: Uint8Array) => boolean) | undefined) {
    this.#onFrame = handler;
    if (handler !== undefined && this.queue.length > 0) this.#switch.deliver(this);
  }

  send(frame: Uint8Array): boolean {
    return this.#closed || this.#switch.forward(this, frame);
  }

  ready(): void {
    this.full = false;
    if (this.queue.length > 0) this.#switch.deliver(this);
  }

  close(): void {
    this.#closed = true;
    this.#onFrame = undefined;
    this.#switch.close(this);
  }

  /** Offers what waits until it is gone or the station is full. */
  drain(): void {
    for (let frame = this.queue.peek(); frame !== undefined && !this.full; frame = this.queue.peek()) {
      if (this.#onFrame === undefined) return;
      // Said before the call: the station may call ready() from within.
      this.full = true;
      if (!this.#onFrame(frame)) return;
      this.full = false;
      if (this.#closed) return;
      this.queue.shift();
      this.queuedBytes -= frame.length;
      this.counters.delivered++;
      this.counters.deliveredBytes += frame.length;
    }
  }
}

function readdressed(frame: Uint8Array, mac: number): Uint8Array {
  if (isGroupMac(getMac(frame, 0))) return frame;
  const copy = frame.slice();
  setMac(copy, 0, mac);
  return copy;
}
