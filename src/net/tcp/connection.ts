/** A TCP connection as its application sees it. Shapes and promises: TcpEvents in tcb.ts. */
import { finish } from './input.js';
import { output, retransmit, sendAck, sendProbe, sendReset } from './output.js';
import { diff } from './sequence.js';
import { TcpState, type Tcb, type TcpWorld } from './tcb.js';

/** Octets sent again at once when a peer has moved; the rest follows as it answers. */
const KICK_SEGMENTS = 10;

export class TcpConnection {
  constructor(
    readonly tcb: Tcb,
    readonly world: TcpWorld,
  ) {}

  /** Answers a SYN that is waiting for a decision: the connection opens. */
  accept(): void {
    if (!this.tcb.undecided) return;
    this.tcb.undecided = false;
    output(this.tcb, this.world);
  }

  /** Bytes not acknowledged yet. */
  get queued(): number {
    return this.tcb.out.length;
  }

  /**
   * Queues bytes; the array must not change any more. False: queued, but `writable` should be awaited before more.
   * Bytes given after `close`, or after the connection is gone, are dropped.
   */
  send(chunk: Uint8Array): boolean {
    const t = this.tcb;
    if (t.finQueued || t.state === TcpState.Closed) return true;
    t.out.push(chunk);
    if (isOpen(t)) output(t, this.world);
    if (t.out.length <= Math.min(t.config.sendBuffer, this.world.share(t))) return true;
    t.wantsWritable = true;
    return false;
  }

  /** Sends no more, after what is queued. The other direction goes on. */
  close(): void {
    const t = this.tcb;
    if (t.finQueued || t.state === TcpState.Closed) return;
    t.finQueued = true;
    // Before the connection is open the FIN waits, behind the data, for the handshake: see `establish`.
    if (t.state === TcpState.Established) t.state = TcpState.FinWait1;
    else if (t.state === TcpState.CloseWait) t.state = TcpState.LastAck;
    if (isOpen(t)) output(t, this.world);
  }

  /** Ends the connection with RST. `closed('aborted')` is called. */
  abort(): void {
    const t = this.tcb;
    if (t.state === TcpState.Closed) return;
    if (t.state !== TcpState.SynSent && t.state !== TcpState.TimeWait) sendReset(t, this.world);
    finish(t, this.world, 'aborted');
  }

  /** Ends the connection without a word to the peer; `closed('aborted')` is called. */
  drop(): void {
    finish(this.tcb, this.world, 'aborted');
  }

  /** The application is done with `bytes` of what `data` gave: the window opens. */
  consumed(bytes: number): void {
    const t = this.tcb;
    t.held = Math.max(0, t.held - bytes);
    if (t.state !== TcpState.Established && t.state !== TcpState.FinWait1 && t.state !== TcpState.FinWait2) return;
    // Tell the peer when it matters: a quarter of the window gained, or the window was nearly shut.
    const promised = diff(t.rcvAdv, t.rcvNxt);
    const bound = Math.min(t.config.receiveWindow, this.world.share(t));
    const gained = bound - t.held - promised;
    const quarter = bound / 4;
    if (gained >= quarter || (promised < 2 * t.config.mss && gained >= t.config.mss)) {
      if (t.ackSoon) return;
      t.ackSoon = true;
      this.world.soon(t);
    }
  }

  /** Traffic to the peer is held from now on: nothing is sent, no time runs. */
  suspend(): void {
    this.tcb.suspended = true;
  }

  /** Ends `suspend`, and `kick`s. */
  resume(): void {
    this.tcb.suspended = false;
    this.kick();
  }

  /** The peer may have missed something, having moved: sends again what is not acknowledged, now. */
  kick(): void {
    const t = this.tcb;
    if (t.suspended || t.undecided || t.state === TcpState.Closed || t.state === TcpState.TimeWait) return;
    const now = this.world.now();
    t.lastHeard = now;
    t.retries = 0;
    t.probes = 0;
    t.rto = t.srtt < 0 ? t.config.initialRto : Math.max(t.config.minRto, t.srtt + 4 * t.rttvar);
    if (t.state === TcpState.SynSent || t.state === TcpState.SynReceived) {
      t.sndNxt = t.sndUna;
      t.timing = false;
    } else if (t.sndUna !== t.sndMax) {
      t.rtoAt = now + t.rto;
      this.#resend();
    } else {
      // Nothing of ours is under way, but the last acknowledgment may have been missed.
      sendAck(t, this.world);
      if (t.persistAt !== Infinity) {
        sendProbe(t, this.world);
        t.persistAt = now + t.rto;
      }
    }
    output(t, this.world);
  }

  #resend(): void {
    const t = this.tcb;
    let seq = t.sndUna;
    for (let i = 0; i < KICK_SEGMENTS && diff(t.sndMax, seq) > 0 && !t.blocked; i++) {
      seq = t.sacked.skip(seq);
      const limit = t.sacked.isEmpty ? Infinity : diff(t.sacked.nextLeft(seq, t.sndMax), seq);
      const sent = retransmit(t, this.world, seq, limit);
      if (sent === 0) return;
      seq = (seq + sent) | 0;
    }
  }
}

/** Past the handshake: before it, data waits in the queue. */
function isOpen(t: Tcb): boolean {
  return t.state >= TcpState.Established;
}
