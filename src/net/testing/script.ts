/** A hand-driven TCP peer: a test says which segment comes next and looks at every one that goes out. */
import type { Clock } from '../clock.js';
import { parseIpv4, parseMac } from '../address.js';
import { Ipv4Link, PAYLOAD } from '../link.js';
import type { Port } from '../port.js';
import { ACK, FIN, parseSegment, PSH, RST, Segment, SYN, TCP_HEADER, writeHeader } from '../tcp/segment.js';
import { seal } from '../tcp/output.js';
import { PROTOCOL_TCP } from '../wire/ipv4.js';

const LETTERS: readonly (readonly [number, string])[] = [
  [SYN, 'S'],
  [FIN, 'F'],
  [RST, 'R'],
  [PSH, 'P'],
  [ACK, 'A'],
];

export interface Seen {
  readonly flags: string;
  readonly seq: number;
  readonly ack: number;
  readonly window: number;
  readonly data: string;
  readonly sacks: number[];
}

export class Script {
  readonly seen: Seen[] = [];
  readonly link: Ipv4Link;
  readonly #ip: number;

  constructor(
    port: Port,
    clock: Clock,
    ip: string,
    mac: string,
    readonly remote: string,
    readonly ports: { local: number; remote: number },
  ) {
    this.#ip = parseIpv4(ip);
    this.link = new Ipv4Link({
      port,
      clock,
      mac: parseMac(mac),
      mtu: 1500,
      address: this.#ip,
      owns: (address) => address === this.#ip,
      nextHop: (address) => address,
      mayClaim: () => true,
      neighbourFound: () => undefined,
      packet: ({ bytes, start, length }) => {
        const s = new Segment();
        if (!parseSegment(bytes, start, length, s)) throw new Error('a malformed segment was sent');
        this.ports.remote = s.sourcePort;
        this.seen.push({
          flags: LETTERS.filter(([bit]) => (s.flags & bit) !== 0)
            .map(([, letter]) => letter)
            .join(''),
          seq: s.seq,
          ack: s.ack,
          window: s.window,
          data: new TextDecoder().decode(bytes.subarray(s.dataStart, s.dataStart + s.dataLength)),
          sacks: [...s.sacks.subarray(0, 2 * s.sackCount)],
        });
      },
    });
  }

  /** What went out since the last call. */
  take(): Seen[] {
    return this.seen.splice(0);
  }

  /** Sends a segment; `flags` in the letters S F R P A. */
  send(flags: string, seq: number, ack: number, data = '', window = 65535, options: readonly number[] = []): void {
    const payload = new TextEncoder().encode(data);
    const header = TCP_HEADER + options.length;
    const ends = {
      localAddress: this.#ip,
      localPort: this.ports.local,
      remoteAddress: parseIpv4(this.remote),
      remotePort: this.ports.remote,
    };
    const frame = this.link.allocate(PROTOCOL_TCP, ends.localAddress, ends.remoteAddress, header + payload.length);
    const bits = LETTERS.reduce((sum, [bit, letter]) => (flags.includes(letter) ? sum | bit : sum), 0);
    writeHeader(frame, PAYLOAD, header, ends.localPort, ends.remotePort, seq, ack, bits, window);
    frame.set(options, PAYLOAD + TCP_HEADER);
    frame.set(payload, PAYLOAD + header);
    seal(frame, PAYLOAD, ends);
    this.link.transmit(frame);
  }
}
