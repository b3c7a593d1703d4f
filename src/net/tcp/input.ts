/**
 * Arriving segments (RFC 9293, 3.10.7), with the checks of RFC 5961 against what a stranger might send.
 */
import { output, sendAck, sendReset } from './output.js';
import { acknowledge } from './recovery.js';
import { ACK, FIN, RST, SYN, type Segment } from './segment.js';
import { add, after, before, diff } from './sequence.js';
import { TcpState, type Tcb, type TcpFault, type TcpWorld } from './tcb.js';

/** What a piece that came too early costs at least, in bytes of the connection's share, however short it is. */
const BYTES_PER_PIECE = 512;

/** Challenge acknowledgments per second and connection (RFC 5961, 7). */
const CHALLENGES_PER_SECOND = 20;

/** A new connection's SYN, to be decided on by the application. */
export function synArrives(t: Tcb, s: Segment, now: number): void {
  t.state = TcpState.SynReceived;
  t.undecided = true;
  t.lastHeard = now;
  t.irs = s.seq;
  t.rcvNxt = add(s.seq, 1);
  t.rcvAdv = t.rcvNxt;
  t.rcvAcked = t.rcvNxt;
  takeSynOptions(t, s);
  t.sndWnd = s.window;
  t.maxSndWnd = s.window;
  t.sndWl1 = s.seq;
  t.sndWl2 = t.sndUna;
}

/** A segment for an existing connection; its checksum and ports were checked. */
export function segmentArrives(t: Tcb, world: TcpWorld, s: Segment): void {
  t.lastHeard = world.now();
  t.probes = 0;
  if (t.state === TcpState.SynSent) inSynSent(t, world, s);
  else if (t.undecided) {
    // The SYN again, while the application is deciding; or the peer gave up.
    if ((s.flags & RST) !== 0 && s.seq === t.rcvNxt) finish(t, world, 'reset');
  } else synchronized(t, world, s);
  if (t.state !== TcpState.Closed) output(t, world);
}

/** Ends the connection without a word to the peer. */
export function finish(t: Tcb, world: TcpWorld, fault?: TcpFault): void {
  if (t.state === TcpState.Closed) return;
  t.state = TcpState.Closed;
  t.out.clear();
  t.ahead.clear();
  t.sacked.clear();
  t.rtoAt = t.persistAt = t.delayedAckAt = t.keepAliveAt = t.timeWaitAt = Infinity;
  world.forget(t);
  t.events.closed(fault);
}

function takeSynOptions(t: Tcb, s: Segment): void {
  // RFC 9293, 3.7.1: 536 where the option is absent. A tiny MSS would turn data into headers.
  t.mss = Math.min(t.config.mss, Math.max(64, s.mss < 0 ? 536 : s.mss));
  t.scaling = s.scale >= 0;
  t.sndScale = t.scaling ? s.scale : 0;
  t.sack = s.sackPermitted && t.config.sack;
}

/** RFC 9293, 3.10.7.3. */
function inSynSent(t: Tcb, world: TcpWorld, s: Segment): void {
  const acks = (s.flags & ACK) !== 0;
  if (acks && s.ack !== t.sndMax) {
    if ((s.flags & RST) === 0) resetStranger(t, world, s);
    return;
  }
  if ((s.flags & RST) !== 0) {
    if (acks) finish(t, world, 'refused');
    return;
  }
  if ((s.flags & SYN) === 0) return;
  t.irs = s.seq;
  t.rcvNxt = add(s.seq, 1);
  t.rcvAcked = t.rcvNxt;
  // What our SYN promised, unscaled.
  t.rcvAdv = add(t.rcvNxt, Math.min(0xffff, t.config.receiveWindow));
  takeSynOptions(t, s);
  t.sndWnd = s.window;
  t.maxSndWnd = s.window;
  // One more than the SYN: its window, which is not scaled, is not read again as one that is.
  t.sndWl1 = t.rcvNxt;
  t.sndWl2 = s.ack;
  if (!acks) {
    // Both sides opened at once: our SYN goes again, with an acknowledgment.
    t.state = TcpState.SynReceived;
    t.sndNxt = t.sndUna;
    t.timing = false;
    return;
  }
  establish(t, world, s);
  t.ackNow = true;
  receive(t, world, s, add(s.seq, 1));
}

function establish(t: Tcb, world: TcpWorld, s: Segment): void {
  t.state = t.finQueued ? TcpState.FinWait1 : TcpState.Established;
  acknowledge(t, world, s);
  t.keepAliveAt = world.now() + t.config.keepAliveIdle;
  t.events.connected();
}

function resetStranger(t: Tcb, world: TcpWorld, s: Segment): void {
  const saved = t.sndMax;
  t.sndMax = s.ack;
  sendReset(t, world);
  t.sndMax = saved;
}

/** SYN-RECEIVED and later (RFC 9293, 3.10.7.4). */
function synchronized(t: Tcb, world: TcpWorld, s: Segment): void {
  const end = add(s.seq, s.span);
  // A little older than the RFC wants is acceptable: an acknowledgment that was overtaken by data still counts.
  const acceptable = !before(end, t.rcvAcked) && !after(s.seq, later(t.rcvAdv, t.rcvNxt));
  if ((s.flags & RST) !== 0) {
    if (s.seq === t.rcvNxt) finish(t, world, t.state === TcpState.TimeWait ? undefined : 'reset');
    else if (acceptable) challenge(t, world);
    return;
  }
  if (t.state === TcpState.SynReceived && (s.flags & SYN) !== 0 && s.seq === t.irs) {
    if ((s.flags & ACK) === 0) {
      // The peer did not get our SYN: once more.
      t.sndNxt = t.sndUna;
      return;
    }
  } else if (!acceptable || (s.flags & SYN) !== 0) {
    challenge(t, world);
    return;
  }
  if ((s.flags & ACK) === 0) return;
  if (t.state === TcpState.SynReceived) {
    if (!after(s.ack, t.sndUna) || after(s.ack, t.sndMax)) {
      resetStranger(t, world, s);
      return;
    }
    t.sndWl1 = add(s.seq, -1);
    establish(t, world, s);
    if (isClosed(t)) return;
  } else if (after(s.ack, t.sndMax) || diff(t.sndUna, s.ack) > t.maxSndWnd) {
    // It acknowledges what was never sent, or is far too old (RFC 5961, 5).
    challenge(t, world);
    return;
  } else if (!before(s.ack, t.sndUna)) {
    acknowledge(t, world, s);
    if (t.wantsWritable && t.out.length * 2 <= Math.min(t.config.sendBuffer, world.share(t))) {
      t.wantsWritable = false;
      t.events.writable();
      if (isClosed(t)) return;
    }
  }
  if (t.finSent && t.sndUna === add(t.finSeq, 1) && !finAcknowledged(t, world)) return;
  receive(t, world, s, s.seq);
}

/** Another view of the state: the events may have changed it. */
function isClosed(t: Tcb): boolean {
  return t.state === TcpState.Closed;
}

function later(a: number, b: number): number {
  return after(a, b) ? a : b;
}

/** Our FIN has arrived. False if that was the end of the connection. */
function finAcknowledged(t: Tcb, world: TcpWorld): boolean {
  if (t.state === TcpState.FinWait1) t.state = TcpState.FinWait2;
  else if (t.state === TcpState.Closing) enterTimeWait(t, world);
  else if (t.state === TcpState.LastAck) {
    finish(t, world);
    return false;
  }
  return true;
}

function enterTimeWait(t: Tcb, world: TcpWorld): void {
  t.state = TcpState.TimeWait;
  t.rtoAt = t.persistAt = t.keepAliveAt = Infinity;
  t.timeWaitAt = world.now() + t.config.timeWait;
  world.linger(t);
}

/** Data and FIN of an acceptable segment; `seq` is its first data octet's number. */
function receive(t: Tcb, world: TcpWorld, s: Segment, seq: number): void {
  const fin = (s.flags & FIN) !== 0;
  if (s.dataLength === 0 && !fin) return;
  if (t.state === TcpState.TimeWait) {
    t.timeWaitAt = world.now() + t.config.timeWait;
    world.linger(t);
    t.ackNow = true;
    return;
  }
  if (t.state !== TcpState.Established && t.state !== TcpState.FinWait1 && t.state !== TcpState.FinWait2) {
    t.ackNow = true;
    return;
  }
  const skip = Math.max(0, diff(t.rcvNxt, seq));
  const beyond = Math.max(0, diff(add(seq, s.dataLength), t.rcvAdv));
  const length = s.dataLength - skip - beyond;
  // Duplicates and what exceeds the window are answered at once: the peer is wrong about where we stand.
  if (skip > 0 || beyond > 0) t.ackNow = true;
  const start = s.dataStart + skip;
  const from = add(seq, skip);
  if (length > 0) {
    const data = s.bytes.subarray(start, start + length);
    if (from === t.rcvNxt) deliver(t, data);
    else {
      t.ahead.insert(from, data, world.share(t) / BYTES_PER_PIECE);
      t.ackNow = true;
    }
    if (isClosed(t)) return;
  }
  if (fin && beyond === 0) {
    t.finAhead = true;
    t.finAheadSeq = add(seq, s.dataLength);
  }
  if (t.finAhead && t.rcvNxt === t.finAheadSeq) finArrives(t, world);
  else if (fin) t.ackNow = true;
  else if (!t.ackNow) acknowledgeLater(t, world);
}

function deliver(t: Tcb, first: Uint8Array): void {
  if (!t.ahead.isEmpty) t.ackNow = true;
  let data: Uint8Array | undefined = first;
  while (data !== undefined) {
    t.rcvNxt = add(t.rcvNxt, data.length);
    t.held += data.length;
    t.events.data(data);
    if (isClosed(t)) return;
    data = t.ahead.isEmpty ? undefined : t.ahead.take(t.rcvNxt);
  }
}

function finArrives(t: Tcb, world: TcpWorld): void {
  t.finAhead = false;
  t.rcvNxt = add(t.rcvNxt, 1);
  if (before(t.rcvAdv, t.rcvNxt)) t.rcvAdv = t.rcvNxt;
  t.ackNow = true;
  if (t.state === TcpState.Established) t.state = TcpState.CloseWait;
  else if (t.state === TcpState.FinWait1) t.state = TcpState.Closing;
  else enterTimeWait(t, world);
  t.events.end();
}

/**
 * RFC 9293, 3.8.6.3: every second full segment is acknowledged, but not before the batch of frames in hand is done: an
 * acknowledgment costs an emulated guest thousands of instructions. Less than that waits for data to carry it.
 */
function acknowledgeLater(t: Tcb, world: TcpWorld): void {
  if (diff(t.rcvNxt, t.rcvAcked) >= 2 * t.mss) {
    if (!t.ackSoon) {
      t.ackSoon = true;
      world.soon(t);
    }
  } else if (t.delayedAckAt === Infinity) {
    t.delayedAckAt = world.now() + t.config.delayedAck;
  }
}

function challenge(t: Tcb, world: TcpWorld): void {
  const second = Math.floor(world.now() / 1000);
  if (second !== t.challengeWindow) {
    t.challengeWindow = second;
    t.challenges = 0;
  }
  if (t.challenges++ < CHALLENGES_PER_SECOND) sendAck(t, world);
}
