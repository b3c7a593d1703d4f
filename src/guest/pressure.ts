/**
 * Who gives memory back when the computer runs out of it. OS instances that have more than what they were guaranteed are
 * asked, through their balloons, to do with less: step by step, and none below its guarantee. First those whose kernels say
 * that they could free some: they drop caches. Only where it is urgent those who use what they have: they swap, or end a
 * process. When there is enough again they may have more, step by step too.
 *
 * Pages, all of it. Pure: what is done with the answer is memory-pressure.ts.
 *
 *     0 ──── guaranteed ──── ceiling ──── size ──── maxMemory
 *                            │ what it may have now
 *            resident: what it has now, below the ceiling once the guest has followed
 */

/** One OS instance's memory. */
export interface Holder {
  /** Frames that it has. */
  readonly resident: number;
  /** Frames that it keeps, whatever others do: those that are its own, and those without which its kernel panics. */
  readonly guaranteed: number;
  /** What it was given. */
  readonly size: number;
  /** What it may have of that now. */
  readonly ceiling: number;
  /** Frames that it could free without harm, as its kernel has said just now; undefined: it has said nothing. */
  readonly reclaimable?: number | undefined;
  /**
   * It was asked for some and has had time, or cannot be asked. What it says, has and owes is reckoned with no more, or
   * nobody else would be asked in its stead.
   */
  readonly heedless?: boolean;
}

/** More than so much nobody is asked for at a time: 16 MiB. */
export const STEP = 4096;

/** What of its memory a holder was asked for already, and has not given. */
const owes = ({ resident, ceiling, heedless }: Holder): number => (heedless ? 0 : Math.max(0, resident - ceiling));

/** What could be asked of it beside that. */
const spare = (holder: Holder): number =>
  holder.heedless
    ? 0
    : Math.max(0, Math.min(holder.resident, holder.ceiling) - Math.min(holder.guaranteed, holder.size));

/**
 * What it could free of that. Little is none: who is asked for some can have no more than he has now, and who keeps little
 * that he does not need may be about to need more.
 */
const idle = (holder: Holder): number => {
  const { reclaimable = 0 } = holder;
  return reclaimable < STEP ? 0 : Math.min(spare(holder), Math.max(0, reclaimable - owes(holder)));
};

/**
 * The ceilings with which `wanted` frames come free, as far as one step goes: each gives in proportion to what it could
 * free, or, where that is nothing and it is urgent, to what it has beyond its guarantee.
 */
export function press(wanted: number, isUrgent: boolean, holders: readonly Holder[]): number[] {
  const left = wanted - holders.reduce((sum, holder) => sum + owes(holder), 0);
  let has = idle;
  let all = holders.reduce((sum, holder) => sum + has(holder), 0);
  if (all === 0 && isUrgent) {
    has = spare;
    all = holders.reduce((sum, holder) => sum + has(holder), 0);
  }
  return holders.map((holder) => {
    if (left <= 0 || all === 0) return holder.ceiling;
    const share = Math.min(STEP - owes(holder), has(holder), Math.ceil((left * has(holder)) / all));
    return share <= 0 ? holder.ceiling : Math.min(holder.resident, holder.ceiling) - share;
  });
}

/** The ceilings when `available` frames are free that nobody needs: what is taken back of what was asked for, in proportion, and no more than that. */
export function ease(available: number, holders: readonly Holder[]): number[] {
  const missing = holders.map(({ size, ceiling }) => Math.max(0, size - ceiling));
  const all = missing.reduce((sum, count) => sum + count, 0);
  if (available <= 0 || all === 0) return holders.map(({ ceiling }) => ceiling);
  return holders.map(({ ceiling }, i) => {
    const share = all <= available ? missing[i] : Math.floor((available * missing[i]) / all);
    return ceiling + share;
  });
}
