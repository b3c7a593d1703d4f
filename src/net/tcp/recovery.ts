/**
 * Acknowledgments, round-trip times (RFC 6298), and what to send again: fast retransmit and recovery by SACK (RFC 6675)
 * or by partial acknowledgments (RFC 6582), and the retransmission timeout.
 */
import { retransmit } from './output.js';
import type { Segment } from './segment.js';
import { after, before, diff } from './sequence.js';
import type { Tcb, TcpWorld } from './tcb.js';

const DUPLICATE_THRESHOLD = 3;
/** Segments sent again per acknowledgment that arrives. */
const HOLES_PER_ACK = 4;

/** The acknowledgment field of an acceptable segment, SND.UNA ≤ SEG.ACK ≤ SND.MAX. */
export function acknowledge(t: Tcb, world: TcpWorld, s: Segment): void {
  const news = takeSacks(t, s);
  const advanced = after(s.ack, t.sndUna);
  const windowBefore = t.sndWnd;
  updateWindow(t, s);
  if (advanced) {
    advanceUna(t, world, s.ack);
  } else if (s.dataLength === 0 && t.sndUna !== t.sndMax && (t.sack ? news : t.sndWnd === windowBefore)) {
    // With SACK only what reports something new counts (RFC 6675, 2): other duplicates have other reasons.
    t.duplicates++;
  }
  if (t.sndUna === t.sndMax) return;
  // After a timeout everything goes again in order; duplicates it causes say nothing.
  if (t.flightLimit !== Infinity) return;
  if (!t.recovering) {
    const lost = t.duplicates >= DUPLICATE_THRESHOLD || (t.sack && t.sacked.total > DUPLICATE_THRESHOLD * t.mss);
    if (!lost) return;
    t.recovering = true;
    t.recoveryPoint = t.sndMax;
    beginPass(t);
    resendHead(t, world);
  } else if (advanced && t.sacked.isEmpty) {
    // A partial acknowledgment without SACK: the segment it asks for was lost too.
    resendHead(t, world);
  } else if (t.rexmitNext !== t.sndUna && !t.sacked.isEmpty && diff(t.sacked.highest, t.passMark) > 3 * t.mss) {
    // What was sent after this pass began has arrived, and the head has not: it was lost again.
    beginPass(t);
  }
  fillHoles(t, world);
}

/** Notes the peer's SACK blocks that make sense. True if one was news. */
function takeSacks(t: Tcb, s: Segment): boolean {
  if (!t.sack || s.sackCount === 0) return false;
  let news = false;
  for (let i = 0; i < s.sackCount; i++) {
    const left = s.sacks[2 * i];
    const right = s.sacks[2 * i + 1];
    // Blocks at or below the acknowledgment report duplicates (RFC 2883).
    if (!after(left, s.ack) || !before(left, right) || after(right, t.sndMax)) continue;
    if (t.sacked.add(left, right)) news = true;
  }
  return news;
}

/** RFC 9293, 3.10.7.4: only segments not older than the last update change the window. */
function updateWindow(t: Tcb, s: Segment): void {
  if (before(t.sndWl1, s.seq) || (t.sndWl1 === s.seq && !after(t.sndWl2, s.ack))) {
    t.sndWnd = s.window << t.sndScale;
    if (t.sndWnd > t.maxSndWnd) t.maxSndWnd = t.sndWnd;
    t.sndWl1 = s.seq;
    t.sndWl2 = s.ack;
  }
}

function advanceUna(t: Tcb, world: TcpWorld, ack: number): void {
  if (t.timing && !before(ack, t.timedSeq)) {
    t.timing = false;
    sampleRtt(t, world.now() - t.timedAt);
  }
  if (t.flightLimit !== Infinity) t.flightLimit += diff(ack, t.sndUna);
  t.sndUna = ack;
  if (before(t.sndNxt, ack)) t.sndNxt = ack;
  const bytes = Math.min(diff(ack, t.outSeq), t.out.length);
  if (bytes > 0) {
    t.out.drop(bytes);
    t.outSeq = (t.outSeq + bytes) | 0;
  }
  t.sacked.trim(ack);
  t.duplicates = 0;
  t.retries = 0;
  if (t.srtt >= 0) t.rto = boundedRto(t);
  if (!before(ack, t.recoveryPoint)) {
    t.recovering = false;
    t.flightLimit = Infinity;
  }
  t.rtoAt = t.sndUna === t.sndMax ? Infinity : world.now() + t.rto;
}

function sampleRtt(t: Tcb, rtt: number): void {
  if (t.srtt < 0) {
    t.srtt = rtt;
    t.rttvar = rtt / 2;
  } else {
    t.rttvar = 0.75 * t.rttvar + 0.25 * Math.abs(t.srtt - rtt);
    t.srtt = 0.875 * t.srtt + 0.125 * rtt;
  }
  t.rto = boundedRto(t);
}

function boundedRto(t: Tcb): number {
  return Math.min(t.config.maxRto, Math.max(t.config.minRto, t.srtt + 4 * t.rttvar));
}

function beginPass(t: Tcb): void {
  t.rexmitNext = t.sndUna;
  t.passMark = t.sndMax;
}

function resendHead(t: Tcb, world: TcpWorld): void {
  const limit = t.sacked.isEmpty ? Infinity : diff(t.sacked.nextLeft(t.sndUna, t.sndMax), t.sndUna);
  const sent = retransmit(t, world, t.sndUna, limit);
  const next = (t.sndUna + sent) | 0;
  if (after(next, t.rexmitNext)) t.rexmitNext = next;
}

/** Sends again what lies between the peer's SACK blocks and was not yet sent again in this pass. */
function fillHoles(t: Tcb, world: TcpWorld): void {
  if (before(t.rexmitNext, t.sndUna)) t.rexmitNext = t.sndUna;
  for (let i = 0; i < HOLES_PER_ACK && !t.sacked.isEmpty && !t.blocked; i++) {
    const hole = t.sacked.skip(t.rexmitNext);
    if (!before(hole, t.sacked.highest)) return;
    const sent = retransmit(t, world, hole, diff(t.sacked.nextLeft(hole, t.sacked.highest), hole));
    if (sent === 0) return;
    t.rexmitNext = (hole + sent) | 0;
  }
}

/**
 * Goes back to the first octet not acknowledged and begins with one segment (RFC 6298, 5.4; RFC 2018, 8: what was
 * reported by SACK is forgotten, as the peer may have dropped it).
 */
export function goBack(t: Tcb, world: TcpWorld): void {
  t.sacked.clear();
  t.recovering = false;
  t.duplicates = 0;
  t.recoveryPoint = t.sndMax;
  t.flightLimit = t.mss;
  // The peer's window may be shut by now: the head goes out all the same, it asks for a new one.
  const sent = retransmit(t, world, t.sndUna, t.sndWnd > 0 ? t.sndWnd : Infinity);
  t.sndNxt = (t.sndUna + sent) | 0;
}
