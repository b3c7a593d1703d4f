/**
 * Sending (RFC 9293, 3.7.4, 3.8.6). There is no congestion window: the link is this process, a full receiver says so
 * (Port.send gives false), and the peer's window bounds the rest. Only after a timeout the flight grows from one segment.
 */
import { PROTOCOL_TCP } from '../wire/ipv4.js';
import { transportChecksum } from '../wire/checksum.js';
import { set16 } from '../wire/bytes.js';
import {
  ACK,
  FIN,
  PSH,
  RST,
  SYN,
  synOptionsLength,
  TCP_HEADER,
  writeHeader,
  writeSacks,
  writeSynOptions,
} from './segment.js';
import { after, before, diff } from './sequence.js';
import { TcpState, type Endpoints, type Tcb, type TcpWorld } from './tcb.js';

/** Sends what may be sent: SYN, data, FIN, and the acknowledgment that is due. */
export function output(t: Tcb, world: TcpWorld): void {
  if (t.suspended || t.undecided || t.state === TcpState.Closed) return;
  if (t.state === TcpState.SynSent || t.state === TcpState.SynReceived) {
    if (t.sndNxt === t.sndUna) sendSyn(t, world);
  } else if (t.state !== TcpState.TimeWait && !t.blocked) {
    sendData(t, world);
  }
  if (t.ackNow) sendAck(t, world);
  world.schedule(t);
}

function sendSyn(t: Tcb, world: TcpWorld): void {
  const answer = t.state === TcpState.SynReceived;
  emit(t, world, answer ? SYN | ACK : SYN, t.sndNxt, 0);
}

function sendData(t: Tcb, world: TcpWorld): void {
  while (!t.blocked) {
    if (!t.sacked.isEmpty && before(t.sndNxt, t.sndMax)) t.sndNxt = t.sacked.skip(t.sndNxt);
    const offset = diff(t.sndNxt, t.outSeq);
    const waiting = t.out.length - offset;
    const room = Math.min(t.sndWnd, t.flightLimit) - diff(t.sndNxt, t.sndUna);
    let length = Math.min(waiting, t.mss === t.config.mss ? world.burst : t.mss, room);
    // Of a large frame only the last segment may be a short one, and only if the data ends with it.
    if (length > t.mss && length < waiting) length -= length % t.mss;
    if (length > 0 && before(t.sndNxt, t.sndMax)) {
      // Going back over what was sent: stop where the peer has it already.
      length = Math.min(length, t.mss, diff(t.sacked.nextLeft(t.sndNxt, (t.sndNxt + length) | 0), t.sndNxt));
    }
    const fin = t.finQueued && length === waiting && (length > 0 || (waiting === 0 && room >= 0));
    if (length <= 0 && !fin) break;
    // Silly window avoidance, sender's side (RFC 9293, 3.8.6.2.1): whole segments, the rest of the data, or half of the
    // largest window; and anything if nothing is in flight that would bring a better window.
    const small = length < t.mss && length < waiting && length < t.maxSndWnd / 2;
    if (small && !before(t.sndNxt, t.sndMax) && t.sndNxt !== t.sndUna) break;
    emit(t, world, ACK | (length > 0 && length === waiting ? PSH : 0) | (fin ? FIN : 0), t.sndNxt, Math.max(0, length));
  }
  const stuck = t.sndUna === t.sndMax && (diff(t.sndNxt, t.outSeq) < t.out.length || (t.finQueued && !t.finSent));
  if (!stuck || t.blocked) t.persistAt = Infinity;
  else if (t.persistAt === Infinity) t.persistAt = world.now() + t.rto;
}

/** Sends one segment's worth from `seq` again, without moving SND.NXT. Gives the octets of sequence space it took. */
export function retransmit(t: Tcb, world: TcpWorld, seq: number, limit: number): number {
  const offset = diff(seq, t.outSeq);
  const length = Math.max(0, Math.min(t.out.length - offset, diff(t.sndMax, seq), t.mss, limit));
  const fin = t.finSent && ((seq + length) | 0) === t.finSeq;
  if (length === 0 && !fin) return 0;
  t.timing = false;
  const next = t.sndNxt;
  emit(t, world, ACK | (length > 0 ? PSH : 0) | (fin ? FIN : 0), seq, length);
  t.sndNxt = next;
  return length + (fin ? 1 : 0);
}

/**
 * An acknowledgment without data, with SACK blocks if there is something ahead. It carries SND.MAX: while going back,
 * SND.NXT may be a number the peer is past, and two sides in that state would refuse each other's acknowledgments forever.
 * But never a number beyond the peer's window, which may have shrunk since: that would be refused as well, and a peer
 * that needs our acknowledgment to drain its queues would never open the window again.
 */
export function sendAck(t: Tcb, world: TcpWorld): void {
  if (t.suspended || t.undecided || t.state === TcpState.Closed) return;
  const edge = (t.sndUna + t.sndWnd) | 0;
  emit(t, world, ACK, after(t.sndMax, edge) ? edge : t.sndMax, 0);
}

/**
 * Asks for an answer: an octet of sequence space the peer has acknowledged already obliges it to say where it stands.
 * Serves window probes (RFC 9293, 3.8.6.1), keep-alives (3.8.4) and a connection whose peer has moved.
 */
export function sendProbe(t: Tcb, world: TcpWorld): void {
  emit(t, world, ACK, (t.sndUna - 1) | 0, 0);
}

/** RST with the number the peer expects (RFC 9293, 3.10.4, ABORT). */
export function sendReset(t: Tcb, world: TcpWorld): void {
  if (t.undecided) {
    emitBare(t.ends, world, RST | ACK, 0, t.rcvNxt);
  } else {
    emitBare(t.ends, world, RST | ACK, t.sndMax, t.rcvNxt);
  }
}

/** A segment without data, options or connection. */
export function emitBare(ends: Endpoints, world: TcpWorld, flags: number, seq: number, ack: number): void {
  const frame = world.allocate(ends, TCP_HEADER);
  writeHeader(frame, world.at, TCP_HEADER, ends.localPort, ends.remotePort, seq, ack, flags, 0);
  world.transmit(ends, frame);
}

/** The window to advertise, in bytes: never less than promised, and not a few bytes more (RFC 9293, 3.8.6.2.2). */
function receiveWindow(t: Tcb, world: TcpWorld): number {
  const promised = diff(t.rcvAdv, t.rcvNxt);
  const bound = Math.min(t.config.receiveWindow, world.share(t));
  const free = bound - t.held;
  const step = Math.min(t.config.mss, bound / 2);
  return free - promised < step ? Math.max(0, promised) : free;
}

function emit(t: Tcb, world: TcpWorld, flags: number, seq: number, length: number): void {
  const syn = (flags & SYN) !== 0;
  const sacks = t.sack && !syn && !t.ahead.isEmpty && length === 0 ? t.ahead.blocks() : NONE;
  const offerScale = syn && (t.state === TcpState.SynSent || t.scaling) ? t.rcvScale : -1;
  const offerSack = syn && (t.state === TcpState.SynSent ? t.config.sack : t.sack);
  const options = syn ? synOptionsLength(offerScale, offerSack) : sacks.length > 0 ? 4 + 4 * sacks.length : 0;
  const header = TCP_HEADER + options;
  const frame = world.allocate(t.ends, header + length);
  const at = world.at;

  const window = receiveWindow(t, world);
  // The window of a SYN is never scaled (RFC 7323, 2.2).
  const scale = syn || !t.scaling ? 0 : t.rcvScale;
  const field = Math.min(0xffff, window >> scale);
  writeHeader(frame, at, header, t.ends.localPort, t.ends.remotePort, seq, t.rcvNxt, flags, field);
  if (syn) writeSynOptions(frame, at + TCP_HEADER, t.config.mss, offerScale, offerSack);
  else if (sacks.length > 0) writeSacks(frame, at + TCP_HEADER, sacks);
  if (length > 0) t.out.copy(diff(seq, t.outSeq), length, frame, at + header);

  if ((flags & ACK) !== 0) {
    const edge = (t.rcvNxt + (field << scale)) | 0;
    if (after(edge, t.rcvAdv)) t.rcvAdv = edge;
    t.rcvAcked = t.rcvNxt;
    t.ackNow = false;
    t.ackSoon = false;
    t.delayedAckAt = Infinity;
  }
  if (length > 0 || (flags & (SYN | FIN)) !== 0) advance(t, world, flags, seq, length);
  if (!world.transmit(t.ends, frame, t.mss)) {
    t.blocked = true;
    world.block(t);
  }
}

/** Accounts for a segment that takes sequence space. */
function advance(t: Tcb, world: TcpWorld, flags: number, seq: number, length: number): void {
  const now = world.now();
  if ((flags & FIN) !== 0) {
    t.finSent = true;
    t.finSeq = (seq + length) | 0;
  }
  const end = (seq + length + ((flags & (SYN | FIN)) !== 0 ? 1 : 0)) | 0;
  t.sndNxt = end;
  if (after(end, t.sndMax)) {
    // Karn: only what is sent for the first time is timed.
    if (!t.timing && seq === t.sndMax) {
      t.timing = true;
      t.timedSeq = end;
      t.timedAt = now;
    }
    t.sndMax = end;
  }
  if (t.rtoAt === Infinity) t.rtoAt = now + t.rto;
  t.persistAt = Infinity;
}

/** Fills in the TCP checksum of a whole frame. */
export function seal(frame: Uint8Array, at: number, ends: Endpoints): void {
  const length = frame.length - at;
  set16(frame, at + 16, transportChecksum(frame, at, length, ends.localAddress, ends.remoteAddress, PROTOCOL_TCP));
}

const NONE: number[] = [];
