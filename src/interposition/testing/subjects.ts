import assert from 'node:assert/strict';
import { VirtioBalloon, type BalloonPages } from '../../computer/virtio/balloon.js';
import * as b from '../../computer/virtio/balloon-format.js';
import type { BlockBackend } from '../../computer/virtio/block-backend.js';
import { VirtioBlock } from '../../computer/virtio/block.js';
import { VirtioConsole } from '../../computer/virtio/console.js';
import * as c from '../../computer/virtio/console-format.js';
import { VirtioEntropy } from '../../computer/virtio/entropy.js';
import * as n from '../../computer/virtio/net-offload.js';
import { VirtioNet } from '../../computer/virtio/net.js';
import type { Buffer } from '../../computer/virtio/testing/driver.js';
import type { BalloonDriver } from '../driver/balloon.js';
import type { BlockDriver } from '../driver/block.js';
import type { ConsoleDriver } from '../driver/console.js';
import type { EntropyDriver } from '../driver/entropy.js';
import type { NetDriver } from '../driver/net.js';
import { balloonKind } from '../kinds/balloon.js';
import { consoleKind } from '../kinds/console.js';
import { diskKind } from '../kinds/disk.js';
import { entropyKind } from '../kinds/entropy.js';
import { nicKind } from '../kinds/nic.js';
import { settle } from './bench.js';
import type { Guest } from './guest.js';
import type { Subject, Traffic } from './subject.js';

const SECTOR = 512;

/** Bytes of which each length and each number has its own. */
const bytesOf = (seed: number, length: number): Uint8Array =>
  Uint8Array.from({ length }, (_, i) => (seed * 31 + i * 7 + (i >> 8)) & 0xff);

const le = (...words: number[]): Uint8Array => new Uint8Array(Uint32Array.from(words).buffer);

/** A disk that takes some turns of the event loop for a request, and notes each. */
export class SlowDisk implements BlockBackend {
  readonly sectors = 512;
  readonly readOnly = false;
  readonly id = 'slow';
  readonly bytes = new Uint8Array(512 * SECTOR);
  readonly log: string[] = [];
  constructor(private readonly turns = 3) {}
  async read(sector: number, into: Uint8Array): Promise<void> {
    await settle(this.turns);
    into.set(this.bytes.subarray(sector * SECTOR, sector * SECTOR + into.length));
  }
  async write(sector: number, from: Uint8Array): Promise<void> {
    await settle(this.turns);
    this.log.push(`write ${sector} ${from.length}`);
    this.bytes.set(from, sector * SECTOR);
  }
  async flush(): Promise<void> {
    await settle(this.turns);
    this.log.push('flush');
  }
}

/** Writes, reads them back, flushes, asks for the name: in turn. */
class DiskTraffic implements Traffic {
  #next = 0;
  readonly #asked = new Map<number, { type: number; sector: number; data: Buffer; status: Buffer }>();
  readonly #held = new Map<number, Uint8Array>();
  constructor(private readonly disk: SlowDisk) {}

  get left(): number {
    return this.#asked.size;
  }

  begin(): void {
    // All of it begins with the driver.
  }

  ask(guest: Guest): void {
    const { driver } = guest;
    const number = this.#next++;
    const type = [1, 0, 4, 8][number % 4] ?? 0;
    const sector = (Math.floor(number / 4) * 8) % 400;
    const length = type === 4 ? 0 : type === 8 ? 20 : SECTOR * (1 + (Math.floor(number / 4) % 3));
    const header = { address: driver.allocate(16), length: 16, write: false };
    guest.bench.machine.poke(header.address, le(type, 0, sector, 0));
    const data = { address: driver.allocate(Math.max(length, 1), 1), length, write: type !== 1 };
    const status = { address: driver.allocate(1, 1), length: 1, write: true };
    guest.bench.machine.poke(status.address, Uint8Array.of(0xee));
    if (type === 1) {
      guest.bench.machine.poke(data.address, bytesOf(number, length));
      this.#held.set(sector, bytesOf(number, length));
    }
    const head = guest.put(0, length === 0 ? [header, status] : [header, data, status]);
    this.#asked.set(head, { type, sector, data, status });
  }

  send(): void {
    // Nothing comes from outside.
  }

  take(guest: Guest): void {
    const { machine } = guest.bench;
    for (const { head, length } of guest.harvest(0)) {
      const asked = this.#asked.get(head);
      assert.ok(asked !== undefined, 'what is done was asked for, and is done once');
      this.#asked.delete(head);
      assert.equal(machine.peek(asked.status.address, 1)[0], 0, `request type ${asked.type}`);
      const got = machine.peek(asked.data.address, asked.data.length);
      assert.equal(length, asked.type === 1 || asked.type === 4 ? 1 : 1 + asked.data.length);
      const { sector } = asked;
      const held = this.#held.get(sector)?.subarray(0, got.length);
      if (asked.type === 0 && held?.length === got.length) assert.deepEqual(got, held, `sector ${sector}`);
      if (asked.type === 1) assert.deepEqual(this.disk.bytes.slice(sector * SECTOR, sector * SECTOR + got.length), got);
      if (asked.type === 8) assert.equal(new TextDecoder().decode(got.subarray(0, 4)), 'slow');
    }
  }

  forget(): void {
    this.#asked.clear();
    this.#held.clear();
  }
}

const DISK_FEATURES = { 'no flush': 1 << 9, 'no write zeroes': 1 << 14 };

export const disk: Subject<VirtioBlock, BlockDriver> = {
  name: 'disk',
  slot: 4,
  queues: 1,
  optional: DISK_FEATURES,
  kind: () => diskKind((through) => through),
  make: () => {
    const backend = new SlowDisk();
    return { device: (host) => new VirtioBlock(host, backend), traffic: () => new DiskTraffic(backend) };
  },
};

/** Frames out, and frames in, of all lengths. */
class NicTraffic implements Traffic {
  #sent = 0;
  #gone: Uint8Array[] = [];
  #came = 0;
  readonly #expected: Uint8Array[] = [];
  readonly #outgoing: Uint8Array[] = [];
  readonly #offered = new Map<number, Buffer>();
  #transmitting = 0;

  constructor(private readonly nic: VirtioNet) {
    nic.onFrame = (frame) => {
      assert.deepEqual(frame, this.#gone.shift(), 'the frames leave as the driver sent them, in order');
      return true;
    };
    nic.onRoom = () => this.#push();
  }

  get left(): number {
    return this.#transmitting + this.#gone.length + this.#outgoing.length + this.#expected.length;
  }

  begin(guest: Guest): void {
    this.#offered.clear();
    for (let i = 0; i < 12; i++) this.#offer(guest, guest.driver.allocate(this.#room(guest), 1));
  }

  #room(guest: Guest): number {
    return (guest.manner.features & n.F_MRG_RXBUF) !== 0 ? 400 : 1600;
  }

  #offer(guest: Guest, address: number): void {
    const buffer = { address, length: this.#room(guest), write: true };
    this.#offered.set(guest.put(0, [buffer]), buffer);
  }

  ask(guest: Guest): void {
    const frame = bytesOf(this.#sent, 60 + ((this.#sent * 331) % 1400));
    this.#sent++;
    const { driver, bench } = guest;
    const header = { address: driver.allocate(12), length: 12, write: false };
    bench.machine.poke(header.address, new Uint8Array(12));
    const data = { address: driver.allocate(frame.length, 1), length: frame.length, write: false };
    bench.machine.poke(data.address, frame);
    this.#gone.push(frame);
    this.#transmitting++;
    guest.put(1, [header, data]);
  }

  send(): void {
    const frame = bytesOf(1000 + this.#came, 60 + ((this.#came * 457) % 1400));
    this.#came++;
    this.#outgoing.push(frame);
    this.#push();
  }

  #push(): void {
    for (let frame = this.#outgoing[0]; frame !== undefined; frame = this.#outgoing[0]) {
      // It may come to the driver, and be taken, before this is back.
      this.#expected.push(frame);
      if (!this.nic.receive(frame)) {
        this.#expected.pop();
        return;
      }
      this.#outgoing.shift();
    }
  }

  take(guest: Guest): void {
    const { machine } = guest.bench;
    for (const { length } of guest.harvest(1)) {
      assert.equal(length, 0);
      this.#transmitting--;
    }
    const done = guest.harvest(0);
    const free: number[] = [];
    for (let first = done.shift(); first !== undefined; first = done.shift()) {
      const buffers = [first];
      const at = this.#offered.get(first.head)?.address ?? 0;
      const header = machine.peek(at, 12);
      const merged = (header[10] ?? 0) | ((header[11] ?? 0) << 8);
      const count = (guest.manner.features & n.F_MRG_RXBUF) !== 0 ? merged : 1;
      for (let i = 1; i < count; i++) buffers.push(done.shift() ?? assert.fail('a frame comes as a whole'));
      const parts: number[] = [];
      for (const { head, length } of buffers) {
        const buffer = this.#offered.get(head);
        assert.ok(buffer !== undefined, 'a buffer that was offered, used once');
        this.#offered.delete(head);
        parts.push(...machine.peek(buffer.address, length));
        free.push(buffer.address);
      }
      assert.deepEqual(Uint8Array.from(parts.slice(12)), this.#expected.shift(), 'the frames come in order');
    }
    for (const address of free) this.#offer(guest, address);
  }

  forget(): void {
    this.#transmitting = 0;
    this.#gone = [];
    // Those that a driver of the past was given are gone with it.
    this.#expected.length = 0;
    this.#outgoing.length = 0;
  }
}

export const nic: Subject<VirtioNet, NetDriver> = {
  name: 'network card',
  slot: 5,
  queues: 2,
  optional: { 'no merged buffers': n.F_MRG_RXBUF, 'no checksums': n.F_CSUM | n.F_GUEST_CSUM },
  kind: () => nicKind(),
  make: () => ({
    device: (host) => new VirtioNet(host, { mac: Uint8Array.of(2, 0, 0, 0, 0, 1) }),
    traffic: (device) => new NicTraffic(device),
  }),
};

/** Text that a driver writes to a port: what it wrote before a reset may still come, as far as it was taken by then. */
class Said {
  said: number[] = [];
  #before: number[] = [];
  #came: number[] = [];

  came(bytes: Uint8Array): void {
    this.#came.push(...bytes);
    assert.ok(this.left >= 0, 'the text leaves as it was written');
  }

  /** Bytes that are yet to come; -1 if what came is not what was written. */
  get left(): number {
    for (let k = 0; k <= this.#before.length; k++) {
      const text = [...this.#before.slice(0, k), ...this.said];
      if (this.#came.length >= k && this.#came.every((byte, i) => byte === text[i]))
        return text.length - this.#came.length;
    }
    return -1;
  }

  reset(): void {
    // What has come of the text before is all of it up to some byte; the rest may come or not.
    const text = [...this.#before, ...this.said];
    this.#before = text.slice(this.#came.length);
    this.said = [];
    this.#came = [];
  }
}

/** Lines out of and into two ports, after the control exchange that opens them. */
class ConsoleTraffic implements Traffic {
  #asked = 0;
  #sent = 0;
  readonly #out = [new Said(), new Said()];
  readonly #in: [number[], number[]] = [[], []];
  readonly #offered = new Map<string, Buffer>();
  #transmitting = 0;
  #open = 0;
  #ports = 1;

  constructor(private readonly console: VirtioConsole) {
    for (const port of console.ports) {
      port.onData = (bytes) => {
        this.#out[port.index]?.came(bytes);
      };
    }
  }

  get left(): number {
    const bytes = this.#out.reduce((sum, { left }) => sum + left, 0) + this.#in[0].length + this.#in[1].length;
    return this.#transmitting + bytes + (this.#ports - this.#open);
  }

  begin(guest: Guest): void {
    this.#offered.clear();
    const several = (guest.manner.features & c.F_MULTIPORT) !== 0;
    this.#ports = several ? 2 : 1;
    this.#open = several ? 0 : 1;
    for (let p = 0; p < this.#ports; p++) {
      for (let i = 0; i < 3; i++) this.#offer(guest, c.rxQueue(p), guest.driver.allocate(48, 1), 48);
    }
    if (!several) return;
    for (let i = 0; i < 8; i++) this.#offer(guest, c.CONTROL_RX, guest.driver.allocate(64, 1), 64);
    this.#tell(guest, 0, c.DEVICE_READY, 1);
  }

  #offer(guest: Guest, q: number, address: number, length: number): void {
    const buffer = { address, length, write: true };
    this.#offered.set(`${q} ${guest.put(q, [buffer])}`, buffer);
  }

  #tell(guest: Guest, port: number, event: number, value: number): void {
    this.#write(guest, c.CONTROL_TX, le(port, event | (value << 16)));
  }

  #write(guest: Guest, q: number, bytes: Uint8Array): void {
    const address = guest.driver.allocate(bytes.length, 1);
    guest.bench.machine.poke(address, bytes);
    this.#transmitting++;
    guest.put(q, [{ address, length: bytes.length, write: false }]);
  }

  ask(guest: Guest): void {
    const p = (this.#asked % this.#ports) as 0 | 1;
    const text = bytesOf(this.#asked, 1 + ((this.#asked * 13) % 90));
    this.#asked++;
    this.#out[p]?.said.push(...text);
    this.#write(guest, c.txQueue(p), text);
  }

  send(): void {
    const p = (this.#sent % this.#ports) as 0 | 1;
    const text = bytesOf(500 + this.#sent, 1 + ((this.#sent * 17) % 90));
    this.#sent++;
    this.#in[p].push(...text);
    this.console.ports[p]?.write(text);
  }

  take(guest: Guest): void {
    const free: (() => void)[] = [];
    for (let q = 0; q < guest.queues.length; q++) {
      const toGuest = q % 2 === 0;
      for (const { head, length } of guest.harvest(q)) {
        if (!toGuest) {
          this.#transmitting--;
          continue;
        }
        const buffer = this.#offered.get(`${q} ${head}`);
        assert.ok(buffer !== undefined, 'a buffer that was offered, used once');
        this.#offered.delete(`${q} ${head}`);
        const bytes = guest.bench.machine.peek(buffer.address, length);
        free.push(() => this.#offer(guest, q, buffer.address, buffer.length));
        if (q === c.CONTROL_RX) this.#told(guest, bytes);
        else {
          const lane = this.#in[q === 0 ? 0 : 1];
          for (const byte of bytes) assert.equal(byte, lane.shift(), 'the text comes as it was sent');
        }
      }
    }
    for (const offer of free) offer();
  }

  #told(guest: Guest, message: Uint8Array): void {
    const view = new DataView(message.buffer);
    const p = view.getUint32(0, true);
    const event = view.getUint16(4, true);
    if (event === c.DEVICE_ADD) this.#tell(guest, p, c.PORT_READY, 1);
    if (event === c.PORT_OPEN && view.getUint16(6, true) === 1) {
      this.#open++;
      this.#tell(guest, p, c.PORT_OPEN, 1);
    }
  }

  forget(): void {
    this.#transmitting = 0;
    for (const lane of this.#in) lane.length = 0;
    for (const lane of this.#out) lane.reset();
  }
}

const consoleIn = (name: string, slot: number): Subject<VirtioConsole, ConsoleDriver> => ({
  name,
  slot,
  queues: 6,
  optional: { 'no several ports': c.F_MULTIPORT },
  kind: () => consoleKind(),
  make: () => ({
    device: (host) => new VirtioConsole(host, { ports: [{}, { name: 'second' }] }),
    traffic: (device) => new ConsoleTraffic(device),
  }),
});
/** In slot 1 the harts take the text out of its queues. */
export const console = consoleIn('console', 1);
export const plainConsole = consoleIn('console in another slot', 6);

/** A stream of numbers, of which each comes once. */
class EntropyTraffic implements Traffic {
  #asked = 0;
  #seen = 0;
  readonly #buffers = new Map<number, Buffer>();

  get left(): number {
    return this.#buffers.size;
  }

  begin(): void {
    // All of it begins with the driver.
  }

  ask(guest: Guest): void {
    const length = [4, 64, 2000, 4096, 4 * 1500][this.#asked++ % 5] ?? 4;
    const buffer = { address: guest.driver.allocate(length, 1), length, write: true };
    this.#buffers.set(guest.put(0, [buffer]), buffer);
  }

  send(): void {
    // Nothing comes from outside.
  }

  take(guest: Guest): void {
    for (const { head, length } of guest.harvest(0)) {
      const buffer = this.#buffers.get(head);
      assert.ok(buffer !== undefined, 'what is done was asked for, and is done once');
      this.#buffers.delete(head);
      assert.equal(length, Math.min(4096, buffer.length));
      const bytes = guest.bench.machine.peek(buffer.address, length);
      if (this.#seen < 0) this.#seen = bytes[0] ?? 0;
      bytes.forEach((byte) => assert.equal(byte, this.#seen++ & 0xff, 'each byte of the source comes once, in order'));
    }
  }

  forget(): void {
    this.#buffers.clear();
    this.#seen = -1;
  }
}

export const entropy: Subject<VirtioEntropy, EntropyDriver> = {
  name: 'entropy',
  slot: 7,
  queues: 1,
  optional: {},
  kind: () => entropyKind(),
  make: () => {
    let next = 0;
    return {
      device: (host) =>
        new VirtioEntropy(host, (into) => {
          for (let i = 0; i < into.length; i++) into[i] = next++ & 0xff;
        }),
      traffic: () => new EntropyTraffic(),
    };
  },
};

/** Pages that know how often each was given back, and which are inflated; it takes some turns to give one back. */
export class CountedPages implements BalloonPages {
  readonly extent = { first: 0x8_0000, count: 4096 };
  readonly given = new Map<number, number>();
  readonly inflated = new Set<number>();
  constructor(private readonly turns = 2) {}
  async inflate(runs: readonly b.PageRun[]): Promise<void> {
    await this.report(runs);
    for (const page of pagesOf(runs)) this.inflated.add(page);
  }
  async deflate(runs: readonly b.PageRun[]): Promise<void> {
    await settle(this.turns);
    for (const page of pagesOf(runs)) this.inflated.delete(page);
  }
  async report(runs: readonly b.PageRun[]): Promise<void> {
    await settle(this.turns);
    for (const page of pagesOf(runs)) this.given.set(page, (this.given.get(page) ?? 0) + 1);
  }
  reset(): void {
    this.inflated.clear();
  }
}

const pagesOf = (runs: readonly b.PageRun[]): number[] =>
  runs.flatMap(({ first, count }) => Array.from({ length: count }, (_, i) => first + i));

/** Pages into the balloon, out of it, and reported free; and the guest's statistics, when the outside asks. */
class BalloonTraffic implements Traffic {
  #next = 0;
  readonly #asked = new Map<string, { readonly pages: readonly number[]; readonly before: readonly number[] }>();
  #numbers: Buffer | undefined;
  #written = 0;
  #wantedAfter: number | undefined;
  #statistics = false;

  constructor(
    private readonly device: VirtioBalloon,
    private readonly pages: CountedPages,
  ) {
    device.onStatistics = ({ free = -1 }) => {
      assert.ok(free >= 0 && free <= this.#written, 'what the guest has said');
      if (this.#wantedAfter !== undefined && free > this.#wantedAfter) this.#wantedAfter = undefined;
    };
  }

  get left(): number {
    return this.#asked.size + (this.#wantedAfter === undefined ? 0 : 1);
  }

  begin(guest: Guest): void {
    this.#statistics = (guest.manner.features & b.F_STATS_VQ) !== 0;
    if (!this.#statistics) return;
    this.#numbers = { address: guest.driver.allocate(20), length: 20, write: false };
    this.#say(guest);
  }

  #say(guest: Guest): void {
    const bytes = new Uint8Array(20);
    const view = new DataView(bytes.buffer);
    view.setUint16(0, 4, true);
    view.setUint32(2, ++this.#written, true);
    view.setUint16(10, 99, true);
    guest.bench.machine.poke(this.#numbers?.address ?? 0, bytes);
    guest.put(b.STATS, [this.#numbers ?? assert.fail('there is no buffer')]);
  }

  ask(guest: Guest): void {
    const number = this.#next++;
    const reports = (guest.manner.features & b.F_PAGE_REPORTING) !== 0;
    const q = [b.INFLATE, b.DEFLATE, ...(reports ? [b.STATS + 1] : [])][number % (reports ? 3 : 2)] ?? 0;
    const { first } = this.pages.extent;
    // What was put into the balloon is taken out of it next.
    const base = first + 64 + ((7 * (q === b.DEFLATE ? number - 1 : number)) % 4000);
    const pages = q > b.STATS ? [base, base + 1, base + 2] : [base, base + 2, base + 3, base + 5];
    let head;
    if (q > b.STATS) {
      head = guest.put(q, [
        { address: base * 4096, length: 2 * 4096, write: true },
        { address: (base + 2) * 4096, length: 4096, write: true },
      ]);
    } else {
      const list = { address: guest.driver.allocate(16), length: 16, write: false };
      guest.bench.machine.poke(list.address, le(...pages));
      head = guest.put(q, [list]);
    }
    const before = pages.map((page) => this.pages.given.get(page) ?? 0);
    this.#asked.set(`${q} ${head}`, { pages, before });
  }

  send(): void {
    if (!this.#statistics) return;
    this.#wantedAfter ??= this.#written;
    this.device.askStatistics();
  }

  take(guest: Guest): void {
    for (const q of [b.INFLATE, b.DEFLATE, b.STATS + 1]) {
      for (const { head, length } of guest.harvest(q)) {
        const asked = this.#asked.get(`${q} ${head}`);
        assert.ok(asked !== undefined, 'what is done was asked for, and is done once');
        this.#asked.delete(`${q} ${head}`);
        assert.equal(length, 0);
        asked.pages.forEach((page, i) => {
          const given = (this.pages.given.get(page) ?? 0) - (asked.before[i] ?? 0);
          if (q !== b.DEFLATE) assert.ok(given > 0, `page ${page.toString(16)} was given back`);
          if (q === b.DEFLATE)
            assert.ok(!this.pages.inflated.has(page), `page ${page.toString(16)} is out of the balloon`);
        });
      }
    }
    for (const { length } of guest.harvest(b.STATS)) {
      assert.equal(length, 0);
      this.#say(guest);
    }
  }

  forget(): void {
    this.#asked.clear();
    this.#wantedAfter = undefined;
    this.#statistics = false;
  }
}

export const balloon: Subject<VirtioBalloon, BalloonDriver> = {
  name: 'balloon',
  slot: 8,
  queues: 4,
  optional: { 'no statistics': b.F_STATS_VQ, 'no reports': b.F_PAGE_REPORTING },
  kind: () => balloonKind(),
  make: () => {
    const pages = new CountedPages();
    return {
      device: (host) => new VirtioBalloon(host, pages),
      traffic: (device) => new BalloonTraffic(device, pages),
    };
  },
};
