/**
 * The way of a network card's frames while the monitor stands between: a small switch between those who use the card and
 * the driver. What nobody asked for costs nothing: frames of one user alone pass as they are.
 *
 *   user ──▶ watched ──▶ may it? ──▶ disturbed ──▶ limited, in fair turns ──▶ to the card, or to another user here
 *   user ◀── watched ◀── limited, in fair turns ◀── disturbed ◀── whose is it? ◀── from the card, or from another user
 *
 *   to a group address   out, and to every other user
 *   to a user's address  to that user, not out
 *   to any other         from a user: out; from outside: to the OS instance that has the card, which may have learned more
 *
 * Who has no room makes the other wait, as with a cable, while there is one user; with several, who does not take what
 * comes loses it, and holds nobody up.
 */
import { makeLarge, segmentsOf } from '../../net/large.js';
import { NO_ADDRESS, senderOf } from '../../net/admission.js';
import { getMac } from '../../net/wire/bytes.js';
import type { PassingFrame } from '../driver/net.js';
import { DelayLine } from './delay-line.js';
import type { FrameDirection, NicDisturbance } from './nic-types.js';
import type { FrameCounter } from './nic-watch.js';
import { delayOf, fraction, milliseconds, refuseIdle, type Rates } from './options.js';
import { InterpositionError } from '../errors.js';
import { Flow, Turnstile } from './turnstile.js';

/** Bytes that may be on the way from a user, or to it, before it has to wait, or loses what comes. */
const MOST_WAITING = 1024 * 1024;
/** Addresses that the OS instance may have beside its own, as process domains bring them. */
const MOST_LEARNED = 64;

/** The user's end of the cable. */
export interface NicEnd {
  /** A frame for it. False: no room now, offer it again after `room`. */
  give(frame: PassingFrame): boolean;
  /** Whether it takes frames that stand for many. */
  acceptsLarge(): boolean;
  /** It may send again after `fromUser` said false. */
  resume(): void;
}

/** Who uses a card. */
export class NicUser {
  end: NicEnd | undefined;
  /** Its own addresses; undefined: it has others than those of the other users. */
  mac: number | undefined;
  ip: number | undefined;
  readonly out: Flow<Passage>;
  readonly in: Flow<Passage>;
  /** What it had no room for. */
  readonly waiting: PassingFrame[] = [];
  /** Bytes on the way from it, and to it. */
  readonly bytes = { in: 0, out: 0 };
  /** What else it has spoken as, of the OS instance that has the card. */
  readonly learned = new Set<number>();
  /** It was told to wait. */
  waits = false;
  /** Frames that it lost because it did not take them, and that it sent under another's address. */
  dropped = 0;
  refused = 0;

  constructor(
    readonly name: string,
    weight: number,
    bandwidth?: number,
  ) {
    this.out = new Flow(weight, bandwidth);
    this.in = new Flow(weight, bandwidth);
  }
}

interface Passage {
  readonly user: NicUser;
  readonly frame: PassingFrame;
}

interface Rule {
  readonly latency: number;
  readonly jitter: number;
  readonly loss: number;
  readonly duplicate: number;
  readonly direction: FrameDirection | undefined;
  readonly random: () => number;
}

/** Throws InterpositionError `invalid`. */
export function nicRule(rule: NicDisturbance): Rule {
  const { direction, random = Math.random } = rule;
  if (direction !== undefined && !['in', 'out'].includes(direction)) {
    throw new InterpositionError('invalid', `a direction is in or out, not ${direction as string}`);
  }
  const latency = milliseconds('latency', rule.latency);
  const jitter = milliseconds('jitter', rule.jitter);
  const loss = fraction('loss', rule.loss);
  const duplicate = fraction('duplicate', rule.duplicate);
  refuseIdle('a rule for a network card', latency, jitter, loss, duplicate);
  return { latency, jitter, loss, duplicate, direction, random };
}

/** One way through: late, lost or doubled by rule; then limited, in fair turns. */
class Way {
  readonly line: DelayLine<Passage>;
  readonly turnstile: Turnstile<Passage>;

  constructor(
    private readonly direction: FrameDirection,
    private readonly rules: ReadonlySet<Rule>,
    pass: (passage: Passage) => void,
  ) {
    this.turnstile = new Turnstile<Passage>((passage) => {
      this.turnstile.done();
      pass(passage);
    });
    this.line = new DelayLine((passage) => {
      if (this.turnstile.isOpen) return pass(passage);
      this.turnstile.push(passage.user[this.direction], passage.frame.frame.length, passage);
    });
  }

  /** Whether frames pass at once and unchanged. */
  get isOpen(): boolean {
    return this.turnstile.isOpen && this.line.size === 0 && this.rules.size === 0;
  }

  get isEmpty(): boolean {
    return this.line.size === 0 && !this.turnstile.waits;
  }

  send(passage: Passage): void {
    let [delay, copies] = [0, 1];
    for (const { direction, latency, jitter, loss, duplicate, random } of this.rules) {
      if (direction !== undefined && direction !== this.direction) continue;
      if (loss > 0 && random() < loss) return;
      if (duplicate > 0 && random() < duplicate) copies++;
      delay += delayOf(latency, jitter, random);
    }
    passage.user.bytes[this.direction] += copies * passage.frame.frame.length;
    for (let i = 0; i < copies; i++) this.line.push(passage, delay);
  }

  /** What is on its way is nobody's any more. */
  clear(user: NicUser): void {
    this.line.clear();
    this.turnstile.leave(user[this.direction]);
    this.turnstile.join(user[this.direction]);
    user.bytes[this.direction] = 0;
  }
}

export class NicPath {
  /** The OS instance that has the card. */
  readonly owner = new NicUser('the OS instance', 1);
  readonly counters = new Set<FrameCounter>();
  readonly rules = new Set<Rule>();
  readonly #users = new Set<NicUser>([this.owner]);
  readonly #out = new Way('out', this.rules, (passage) => this.#leaves(passage));
  readonly #in = new Way('in', this.rules, (passage) => this.#arrives(passage));
  #toCard: ((frame: PassingFrame) => boolean) | undefined;
  /** The card's frames are wanted again. */
  #wanted: () => void = none;
  #cardFull = false;
  #cardWaits = false;

  constructor() {
    this.#join(this.owner);
  }

  /** The emulation stands. `toCard`: false: taken, but no more until `cardHasRoom`. */
  connect(toCard: (frame: PassingFrame) => boolean, wanted: () => void, owner: NicEnd): void {
    this.#toCard = toCard;
    this.#wanted = wanted;
    this.#cardFull = this.#cardWaits = this.owner.waits = false;
    this.#out.turnstile.blocked = false;
    // Whatever an OS instance that is gone has left behind.
    this.#out.clear(this.owner);
    this.#in.clear(this.owner);
    this.owner.waiting.length = 0;
    this.owner.end = owner;
  }

  join(user: NicUser): void {
    this.#users.add(user);
    this.#join(user);
  }

  #join(user: NicUser): void {
    this.#out.turnstile.join(user.out);
    this.#in.turnstile.join(user.in);
  }

  leave(user: NicUser): void {
    this.#users.delete(user);
    if (this.#users.size === 1) this.owner.learned.clear();
    this.#out.turnstile.leave(user.out);
    this.#in.turnstile.leave(user.in);
    this.forget(user);
  }

  /** Nothing is plugged in there any more; what it had waiting is gone. */
  forget(user: NicUser): void {
    user.end = user.mac = user.ip = undefined;
    user.waiting.length = 0;
    user.bytes.in = user.bytes.out = 0;
    user.waits = false;
  }

  /** Throws InterpositionError `invalid` for an address of another user. */
  name(user: NicUser, mac: number, ip: number | undefined): void {
    for (const other of this.#users) {
      if (other === user) continue;
      if (other.mac === mac || (ip !== undefined && other.ip === ip)) {
        throw new InterpositionError('invalid', `the address is that of ${other.name}`);
      }
    }
    user.mac = mac;
    user.ip = ip;
  }

  /** Answers what takes the limit away again. */
  limit(rates: Rates): () => void {
    const ends = [this.#out.turnstile.limit(rates), this.#in.turnstile.limit(rates)];
    return () => ends.forEach((end) => end());
  }

  /** Answers what takes the rule away again; what it keeps back goes on then. */
  disturb(rule: Rule): () => void {
    this.rules.add(rule);
    return () => {
      this.rules.delete(rule);
      this.#out.line.end();
      this.#in.line.end();
    };
  }

  /** Only the OS instance that has the card uses it. */
  get isAlone(): boolean {
    return this.#users.size === 1;
  }

  /** Frames are only passed on: none is kept, or looked at. */
  get isPlain(): boolean {
    return this.isAlone && this.counters.size === 0 && this.#out.isOpen && this.#in.isOpen;
  }

  /** What is on its way out, in words. What is on its way in is given back with the card. */
  get goesOn(): string | undefined {
    return this.#out.isEmpty && this.#in.isEmpty ? undefined : 'frames under way';
  }

  /** Frames that the OS instance has not got; they are the caller's from now on. */
  takeWaiting(): readonly PassingFrame[] {
    this.owner.bytes.in = 0;
    return this.owner.waiting.splice(0);
  }

  /** A frame of a user. False: taken, but no more until its `resume`. */
  fromUser(user: NicUser, frame: PassingFrame): boolean {
    if (!this.#users.has(user)) return true;
    if (this.counters.size > 0) this.#hear(user, frame, 'out');
    if (this.#users.size === 1 && this.#out.isOpen) return this.#send(frame) || this.#wait(user);
    if (!this.#mayUse(user, frame.frame)) {
      user.refused++;
      return true;
    }
    this.#out.send({ user, frame });
    return user.bytes.out < MOST_WAITING && !this.#cardFull ? true : this.#wait(user);
  }

  /** A frame from outside. False: not taken, until it is wanted. */
  fromCard(frame: PassingFrame): boolean {
    const { owner } = this;
    if (this.#users.size === 1) {
      if (owner.bytes.in >= MOST_WAITING || owner.waiting.length > 0) return this.#cardWait();
      if (this.#in.isOpen && this.counters.size === 0 && this.#fits(owner, frame)) {
        return owner.end?.give(frame) ?? true;
      }
    }
    // Its bytes are the driver's: what may be kept is kept as a copy.
    const kept = { frame: frame.frame.slice(), segment: frame.segment };
    if (this.isAlone) this.#deliver(owner, kept);
    else if (isGroup(kept.frame)) for (const user of this.#users) this.#deliver(user, kept);
    else this.#deliver(this.#userOf(getMac(kept.frame, 0)) ?? owner, kept);
    return true;
  }

  /** The card has room again. */
  cardHasRoom(): void {
    this.#cardFull = false;
    this.#out.turnstile.blocked = false;
    this.#resumeAll();
  }

  /** A user has room again. */
  room(user: NicUser): void {
    for (let next = user.waiting[0] as PassingFrame | undefined; next !== undefined; [next] = user.waiting) {
      if (!this.#offer(user, next)) return;
      user.waiting.shift();
    }
    if (user === this.owner) this.#wanted();
  }

  #cardWait(): false {
    this.#cardWaits = true;
    return false;
  }

  #wait(user: NicUser): false {
    user.waits = true;
    return false;
  }

  #resumeAll(): void {
    for (const user of this.#users) {
      if (!user.waits || this.#cardFull || user.bytes.out >= MOST_WAITING / 2) continue;
      user.waits = false;
      user.end?.resume();
    }
  }

  #send(frame: PassingFrame): boolean {
    if (this.#toCard?.(frame) !== false) return true;
    this.#cardFull = true;
    this.#out.turnstile.blocked = true;
    return false;
  }

  /** Its turn has come: out, or to who uses the card here. */
  #leaves({ user, frame }: Passage): void {
    user.bytes.out = Math.max(0, user.bytes.out - frame.frame.length);
    if (!this.#users.has(user)) return;
    const { frame: bytes } = frame;
    const to = this.#users.size > 1 ? this.#userOf(getMac(bytes, 0)) : undefined;
    if (to !== undefined) {
      if (to !== user) this.#deliver(to, frame);
    } else {
      if (isGroup(bytes)) for (const other of this.#users) if (other !== user) this.#deliver(other, frame);
      this.#send(frame);
    }
    if (user.waits) this.#resumeAll();
  }

  #userOf(mac: number): NicUser | undefined {
    for (const user of this.#users) if (user.mac === mac) return user;
    return this.owner.learned.has(mac) ? this.owner : undefined;
  }

  /** Whether the frame may speak in the name it speaks in: the owner in any but another's, others in their own only. */
  #mayUse(user: NicUser, frame: Uint8Array): boolean {
    const mac = getMac(frame, 6);
    if (user === this.owner) {
      if (this.#users.size === 1) return true;
      const ip = senderOf(frame);
      for (const other of this.#users) {
        if (other === user) continue;
        if (other.mac === mac || (other.ip !== undefined && other.ip === ip)) return false;
      }
      if (mac !== user.mac && user.learned.size < MOST_LEARNED) user.learned.add(mac);
      return true;
    }
    if (user.mac !== mac) return false;
    const ip = senderOf(frame);
    return ip === NO_ADDRESS || (user.ip === undefined ? ip >= 0 : ip === user.ip);
  }

  /** On its way to a user; who has too much waiting loses it. */
  #deliver(user: NicUser, { frame, segment }: PassingFrame): void {
    if (user.end === undefined) return;
    const frames =
      segment === 0 || user.end.acceptsLarge()
        ? [{ frame, segment }]
        : segmentsOf(makeLarge(frame, segment)).map((each) => ({ frame: each, segment: 0 }));
    for (const each of frames) {
      if (user.bytes.in >= MOST_WAITING && this.#users.size > 1) user.dropped++;
      else this.#in.send({ user, frame: each });
    }
  }

  #fits(user: NicUser, { segment }: PassingFrame): boolean {
    return segment === 0 || user.end?.acceptsLarge() === true;
  }

  #arrives({ user, frame }: Passage): void {
    if (!this.#users.has(user)) return;
    if (user.waiting.length > 0 || !this.#offer(user, frame)) user.waiting.push(frame);
  }

  #offer(user: NicUser, frame: PassingFrame): boolean {
    if (user.end !== undefined && !user.end.give(frame)) return false;
    user.bytes.in = Math.max(0, user.bytes.in - frame.frame.length);
    if (this.counters.size > 0) this.#hear(user, frame, 'in');
    if (this.#cardWaits && this.owner.bytes.in < MOST_WAITING / 2) {
      this.#cardWaits = false;
      // Not amid what the driver does just now.
      queueMicrotask(() => this.#wanted());
    }
    return true;
  }

  #hear(user: NicUser, { frame }: PassingFrame, direction: FrameDirection): void {
    for (const counter of this.counters) counter.hear(user.name, frame, direction);
  }
}

const isGroup = (frame: Uint8Array): boolean => (frame[0] & 1) !== 0;
const none = (): void => undefined;
