/**
 * What a driver does at a device's registers in more than one step. Between the steps the driver counts on the device
 * it began with: whoever wants to take the device's place waits until they are over.
 *
 * | sequence      | begins with                                        | is over with                                     |
 * |---------------|----------------------------------------------------|--------------------------------------------------|
 * | reset         | status 0 is written                                | status 0 is read                                 |
 * | set-up        | ACKNOWLEDGE is written: negotiation, queues        | DRIVER_OK or FAILED is written, or a reset       |
 * | configuration | the generation is read, and again if it has changed | the same generation is read, a kick, or a reset |
 * | BAR size      | all ones are written to a BAR                      | an address is written to it                      |
 *
 * The table below is that table. Which sequences go on is a word of the device's state, so a new answerer goes on with
 * them as well. (virtio 1.2: reset 2.4.1, set-up 3.1.1, generation 2.5.1; PCI 3.0: BAR size 6.2.5.1.)
 */
import * as s from './state.js';

/** What a driver does that begins or ends a sequence. */
export type RegisterEvent =
  | 'status zero written'
  | 'status zero read'
  | 'acknowledge written'
  | 'driver-ok written'
  | 'failed written'
  | 'generation read'
  | 'generation read again'
  | 'kick'
  | 'all ones written to BAR'
  | 'address written to BAR';

interface Sequence {
  readonly name: string;
  readonly begins: readonly RegisterEvent[];
  readonly ends: readonly RegisterEvent[];
}

export const SEQUENCES = [
  { name: 'reset', begins: ['status zero written'], ends: ['status zero read', 'acknowledge written'] },
  {
    name: 'set-up',
    begins: ['acknowledge written'],
    ends: ['driver-ok written', 'failed written', 'status zero written'],
  },
  {
    name: 'configuration',
    begins: ['generation read'],
    ends: ['generation read again', 'kick', 'status zero written'],
  },
  { name: 'BAR size', begins: ['all ones written to BAR'], ends: ['address written to BAR'] },
] as const satisfies readonly Sequence[];

export type SequenceName = (typeof SEQUENCES)[number]['name'];

/** All bits that the word of sequences can have. */
export const ALL_SEQUENCES = (1 << SEQUENCES.length) - 1;

const bitsOf = (which: 'begins' | 'ends', event: RegisterEvent): number =>
  SEQUENCES.reduce((bits, sequence, i) => {
    const events: readonly RegisterEvent[] = sequence[which];
    return events.includes(event) ? bits | (1 << i) : bits;
  }, 0);

/** What an event does to the word of sequences. */
export interface Effect {
  readonly begins: number;
  readonly ends: number;
}

/** The table by event, as the registers use it. */
export const EFFECTS: Readonly<Record<RegisterEvent, Effect>> = (() => {
  const effect = (event: RegisterEvent): Effect => ({ begins: bitsOf('begins', event), ends: bitsOf('ends', event) });
  return {
    'status zero written': effect('status zero written'),
    'status zero read': effect('status zero read'),
    'acknowledge written': effect('acknowledge written'),
    'driver-ok written': effect('driver-ok written'),
    'failed written': effect('failed written'),
    'generation read': effect('generation read'),
    'generation read again': effect('generation read again'),
    kick: effect('kick'),
    'all ones written to BAR': effect('all ones written to BAR'),
    'address written to BAR': effect('address written to BAR'),
  };
})();

/** Notes an event in the state page at word index `page`. On any thread. */
export function noteEvent(words: Int32Array, page: number, { begins, ends }: Effect): void {
  const at = page + (s.SEQUENCES >>> 2);
  const now = Atomics.load(words, at);
  if ((now & ends) !== 0) Atomics.and(words, at, ~ends);
  if ((now & begins) !== begins) Atomics.or(words, at, begins);
}

/** Notes that the driver has read the configuration's generation. */
export function noteGeneration(words: Int32Array, page: number, generation: number): void {
  const seen = page + (s.GENERATION_SEEN >>> 2);
  const begun = (Atomics.load(words, page + (s.SEQUENCES >>> 2)) & EFFECTS['generation read'].begins) !== 0;
  const again = begun && Atomics.load(words, seen) === generation;
  Atomics.store(words, seen, generation);
  noteEvent(words, page, again ? EFFECTS['generation read again'] : EFFECTS['generation read']);
}

/** Names of the sequences that go on. */
export function sequencesIn(bits: number): SequenceName[] {
  return SEQUENCES.filter((_, i) => (bits & (1 << i)) !== 0).map(({ name }) => name);
}
