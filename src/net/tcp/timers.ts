/** What happens when nothing arrives: retransmission, window probes, delayed acknowledgments, keep-alive, TIME-WAIT. */
import { finish } from './input.js';
import { output, sendAck, sendProbe, sendReset } from './output.js';
import { goBack } from './recovery.js';
import { TcpState, type Tcb, type TcpWorld } from './tcb.js';

/** Probes of an idle peer without an answer before it counts as gone. */
const KEEP_ALIVE_PROBES = 5;

/** The earliest of the connection's deadlines; Infinity if there is none. While held, time stands still for it. */
export function nextDeadline(t: Tcb): number {
  if (t.suspended) return Infinity;
  return Math.min(t.rtoAt, t.persistAt, t.delayedAckAt, t.keepAliveAt, t.timeWaitAt);
}

/** Does what is due at `now`. */
export function runTimers(t: Tcb, world: TcpWorld, now: number): void {
  if (t.suspended || t.state === TcpState.Closed) return;
  if (now >= t.timeWaitAt) {
    finish(t, world);
    return;
  }
  if (now >= t.delayedAckAt) {
    t.delayedAckAt = Infinity;
    sendAck(t, world);
  }
  if (now >= t.rtoAt) retransmissionTimeout(t, world, now);
  if (now >= t.persistAt) persistTimeout(t, world, now);
  if (now >= t.keepAliveAt) keepAliveTimeout(t, world, now);
}

function retransmissionTimeout(t: Tcb, world: TcpWorld, now: number): void {
  const opening = t.state === TcpState.SynSent || t.state === TcpState.SynReceived;
  if (t.retries++ >= (opening ? t.config.maxSynRetries : t.config.maxRetries)) {
    giveUp(t, world);
    return;
  }
  t.rto = Math.min(t.config.maxRto, t.rto * 2);
  t.rtoAt = now + t.rto;
  // Frames wait for the peer to make room: more of them would not help.
  if (t.blocked) return;
  if (opening) {
    t.sndNxt = t.sndUna;
    t.timing = false;
  } else {
    goBack(t, world);
  }
  output(t, world);
}

function persistTimeout(t: Tcb, world: TcpWorld, now: number): void {
  t.persistAt = Infinity;
  if (t.probes++ >= t.config.maxRetries) {
    giveUp(t, world);
    return;
  }
  if (!t.blocked) sendProbe(t, world);
  t.persistAt = now + Math.min(t.config.maxRto, t.rto * 2 ** Math.min(t.probes, 16));
}

function keepAliveTimeout(t: Tcb, world: TcpWorld, now: number): void {
  const due = t.lastHeard + t.config.keepAliveIdle;
  if (now < due) {
    t.keepAliveAt = due;
    return;
  }
  if (t.probes++ >= KEEP_ALIVE_PROBES) {
    giveUp(t, world);
    return;
  }
  sendProbe(t, world);
  t.keepAliveAt = now + t.config.keepAliveInterval;
}

function giveUp(t: Tcb, world: TcpWorld): void {
  if (t.state !== TcpState.SynSent) sendReset(t, world);
  finish(t, world, 'timeout');
}
