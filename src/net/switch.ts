/**
 * An Ethernet switch: it knows which address belongs to which port (registry.ts), lets nobody speak in another's name
 * (admission.ts), floods what it does not know, waits for stations that are full, delivers in turns (lanes.ts, turns.ts),
 * and holds the traffic of an address that is moving (gate.ts).
 *
 * Frames are delivered one after the other from the outermost `send`, never from inside a station's own handler: two
 * stations that answer each other at once do not grow the stack.
 */
import { isGroupMac } from './address.js';
import { isIntact, NO_ADDRESS, NOT_CARRIED, senderOf, withoutPadding } from './admission.js';
import { compact } from './arena.js';
import type { Clock } from './clock.js';
import { NetError } from './errors.js';
import { addressedTo, comesFrom, GateState, type Gate } from './gate.js';
import { copyFrame, segmentSize, segmentsOf } from './large.js';
import { Queue } from './queue.js';
import type { GateTarget, Port, PortOptions, Release } from './port.js';
import { Registry } from './registry.js';
import { Stays, type Connection, type Stay } from './stays.js';
import { SwitchPort, type SwitchSide } from './switch-port.js';
import { Turns } from './turns.js';
import { getMac, setMac } from './wire/bytes.js';
import { ETHERNET_HEADER } from './wire/ethernet.js';

/** Milliseconds of each turn of the event loop that delivering may take. */
const SHARE = 3;

/** What a switch is made with. */
export interface SwitchOptions {
  /** Left out, everything is delivered at once, however long that takes: for simulated time. */
  readonly clock?: Clock;
}

/** An Ethernet switch that learns which address is behind which port. */
export class Switch {
  readonly #ports = new Set<SwitchPort>();
  readonly #registry = new Registry<SwitchPort>();
  readonly #gates: GateState<SwitchPort>[] = [];
  readonly #stays = new Stays<SwitchPort>();
  readonly #active = new Queue<SwitchPort>();
  readonly #turns: Turns;
  readonly #side: SwitchSide;
  #delivering = false;
  #count = 0;
  #router: SwitchPort | undefined;

  constructor({ clock }: SwitchOptions = {}) {
    this.#turns = new Turns(clock, SHARE, () => this.#run());
    const registry = this.#registry;
    this.#side = {
      forward: (from, frame) => this.#forward(from, frame),
      deliver: (to) => {
        this.#activate(to);
        this.#run();
      },
      close: (closing) => this.#detach(closing),
      weigh: () => {
        for (const port of this.#ports) port.waiting.weigh();
      },
      clock,
      register: (port, target) => registry.register(this.#own(port), target),
      has: (port, ip) => registry.portOfIp(ip) === port,
      route: (port, subnet) => {
        this.#router = this.#own(port);
        registry.route(port, subnet);
      },
      common: {
        lease: (ip, mac) => registry.lease(ip, mac),
        mayUse: (ip, mac) => registry.mayUse(ip, mac),
        stationOf: (ip) => registry.portOfIp(ip)?.station ?? 0,
        stationOfMac: (mac) => registry.portOfMac(mac)?.station ?? 0,
        stations: () => Math.max(1, registry.stations),
      },
    };
  }

  /** What is plugged in. */
  get ports(): Iterable<Port> {
    return this.#ports;
  }

  attach(options: PortOptions): Port {
    const port = new SwitchPort(++this.#count, options, this.#side);
    this.#ports.add(port);
    // Two ports may be given the same address: the first has it until a gate releases it to the other.
    for (const mac of port.macs) if (!this.#registry.isRegisteredMac(mac)) this.#registry.register(port, { mac });
    return port;
  }

  /**
   * Starts to hold an address. See gate.ts for what that means, `Gate.release` for its end.
   * `owner`: where the address is now; left out, the switch takes what it knows of the MAC address.
   */
  hold(target: GateTarget, owner?: Port): Gate {
    const origin =
      (owner === undefined ? undefined : this.#own(owner)) ??
      (target.mac === undefined ? undefined : this.#registry.portOfMac(target.mac)) ??
      (target.ip === undefined ? undefined : this.#registry.portOfIp(target.ip));
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

  /** These connections under an address stay at a port, wherever the address goes, until they are told to have ended. */
  stay(port: Port, target: Required<GateTarget>, connections: readonly Connection[]): Stay {
    return this.#stays.add(this.#own(port), target, connections);
  }

  #own(port: Port): SwitchPort {
    if (port instanceof SwitchPort && this.#ports.has(port)) return port;
    throw new NetError('BAD_CONFIG', `port "${port.name}" is not attached to this switch`);
  }

  #release(state: GateState<SwitchPort>, to: Port | undefined, newMac: number | undefined): void {
    const at = this.#gates.indexOf(state);
    if (at < 0) return;
    const owner = to === undefined ? state.origin : this.#own(to);
    this.#gates.splice(at, 1);
    if (owner !== undefined && this.#ports.has(owner)) this.#registry.register(owner, state.target);
    const { ip } = state.target;
    if (ip !== undefined && newMac !== undefined && this.#registry.isLeased(ip)) this.#registry.lease(ip, newMac);
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
  #forward(from: SwitchPort, given: Uint8Array): boolean {
    if (this.#stays.size > 0 && given.length >= ETHERNET_HEADER) return this.#forwardBeside(from, given);
    if (!this.#admit(from, given)) return true;
    const frame = from === this.#router ? given : withoutPadding(given);
    if (this.#gates.length > 0 && this.#hold(from, frame)) return true;
    return this.#pass(from, frame);
  }

  /** As {@link #forward}, while connections stay at ports that have not their address any more. */
  #forwardBeside(from: SwitchPort, given: Uint8Array): boolean {
    const stays = this.#stays;
    const speaker = stays.speaker(given);
    if (speaker !== undefined && speaker !== from) {
      from.counters.refused++;
      return true;
    }
    if (speaker === from) return this.#pass(from, withoutPadding(given));
    if (stays.asks(from, given) && this.#registry.portOfMac(getMac(given, 6)) !== from) return this.#pass(from, given);
    if (!this.#admit(from, given)) return true;
    const frame = from === this.#router ? given : withoutPadding(given);
    const listener = stays.listener(frame);
    if (listener !== undefined) return this.#deliver(listener, from, frame);
    for (const asker of stays.askers(frame)) {
      if (asker !== this.#registry.portOfMac(getMac(frame, 0))) this.#deliver(asker, from, frame);
    }
    if (this.#gates.length > 0 && this.#hold(from, frame)) return true;
    return this.#pass(from, frame);
  }

  #deliver(to: SwitchPort, from: SwitchPort, frame: Uint8Array): boolean {
    const roomy = segmentSize(frame) > 0 ? this.#forwardLarge(to, from, frame) : this.#enqueue(to, from, frame);
    this.#run();
    return roomy;
  }

  /** To who has the address. */
  #pass(from: SwitchPort, frame: Uint8Array): boolean {
    let roomy = true;
    const to = this.#registry.portOfMac(getMac(frame, 0));
    if (segmentSize(frame) > 0) roomy = this.#forwardLarge(to, from, frame);
    else if (to !== undefined) {
      if (to !== from) roomy = this.#enqueue(to, from, frame);
    } else {
      for (const port of this.#ports) if (port !== from) this.#enqueue(port, from, frame);
    }
    this.#run();
    return roomy;
  }

  /** Who cannot take a large frame gets its segments. */
  #forwardLarge(to: SwitchPort | undefined, from: SwitchPort, frame: Uint8Array): boolean {
    let roomy = true;
    let segments: Uint8Array[] | undefined;
    for (const port of to === undefined ? this.#ports : [to]) {
      if (port === from) continue;
      const frames = port.acceptsLarge?.() === true ? [frame] : (segments ??= segmentsOf(frame));
      for (const each of frames) if (!this.#enqueue(port, from, each) && to !== undefined) roomy = false;
    }
    return roomy;
  }

  /** Whether the frame may speak in the name it speaks in; counts it if not. New names become the port's. */
  #admit(from: SwitchPort, frame: Uint8Array): boolean {
    if (frame.length < ETHERNET_HEADER) {
      from.counters.refused++;
      return false;
    }
    if (from === this.#router) return true;
    const mac = getMac(frame, 6);
    const ip = senderOf(frame);
    if (ip === NOT_CARRIED) {
      from.counters.notCarried++;
      return false;
    }
    const registry = this.#registry;
    if (mac === from.admittedMac && registry.version === from.admittedAt) {
      if (ip === from.admittedIp || ip === NO_ADDRESS) return true;
    }
    // What comes in the name of somebody who is moving waits, and is looked at when it is known where to.
    if (ip >= 0 && this.#gates.some((gate) => gate.origin !== undefined && comesFrom(gate.target, frame))) return true;
    const allowed =
      ip >= 0 &&
      !isGroupMac(mac) &&
      (from.macs.size === 0 || from.macs.has(mac)) &&
      (!from.claimsNone || registry.has(from, mac, ip)) &&
      registry.allowsMac(from, mac) &&
      (ip === NO_ADDRESS || registry.allowsIp(from, ip));
    if (!allowed) {
      from.counters.refused++;
      return false;
    }
    if (!isIntact(frame)) return true;
    registry.claimMac(from, mac);
    if (ip !== NO_ADDRESS) registry.claimIp(from, ip, mac);
    from.admittedMac = mac;
    from.admittedIp = ip;
    from.admittedAt = registry.version;
    return true;
  }

  #hold(from: SwitchPort, frame: Uint8Array): boolean {
    for (const gate of this.#gates) {
      if (comesFrom(gate.target, frame)) {
        if (gate.origin === undefined) continue;
        if (from !== gate.origin) gate.hold({ frame: compact(frame), from, outbound: true }, this.#isBounded(from));
        return true;
      }
      if (addressedTo(gate.target, frame)) {
        gate.hold({ frame: compact(frame), from, outbound: false }, this.#isBounded(from));
        return true;
      }
    }
    return false;
  }

  #isBounded(from: SwitchPort): boolean {
    return this.#router !== undefined && from !== this.#router;
  }

  #enqueue(port: SwitchPort, from: SwitchPort, frame: Uint8Array): boolean {
    const { taken, roomy } = port.waiting.push(from, port.stands ? compact(frame) : frame);
    if (taken) this.#activate(port);
    else port.counters.overflowed++;
    return roomy;
  }

  #activate(port: SwitchPort): void {
    if (port.active || port.stands || port.waiting.frames === 0) return;
    port.active = true;
    this.#active.push(port);
  }

  #run(): void {
    if (this.#delivering || this.#active.length === 0 || !this.#turns.hasTime) return;
    this.#delivering = true;
    try {
      for (let port = this.#active.shift(); port !== undefined; port = this.#active.shift()) {
        port.active = false;
        // Others first: it was its turn.
        if (port.drain(this.#turns)) this.#activate(port);
        for (const sender of port.waiting.release()) sender.onReady?.();
        if (!this.#turns.hasTime) break;
      }
    } finally {
      this.#delivering = false;
    }
  }

  #detach(port: SwitchPort): void {
    if (!this.#ports.delete(port)) return;
    const released = port.waiting.clear();
    this.#registry.remove(port);
    this.#stays.forget(port);
    if (port === this.#router) this.#router = undefined;
    for (const other of this.#ports) {
      other.waiting.forget(port);
      // Another port may have been given the same address while this one held it.
      for (const mac of other.macs) {
        if (this.#registry.portOfMac(mac) === undefined) this.#registry.register(other, { mac });
      }
    }
    for (const sender of released) sender.onReady?.();
  }
}

function readdressed(frame: Uint8Array, mac: number): Uint8Array {
  if (isGroupMac(getMac(frame, 0))) return frame;
  const copy = copyFrame(frame);
  setMac(copy, 0, mac);
  return copy;
}
