/**
 * What a partition knows of its harts: plain data, and what follows from what happens. Checked together with the steps
 * at the shared words in src/computer/handshake.test.ts.
 *
 *     unstarted ──start──▶ running ──stop──▶ stopping ──the last hart is gone──▶ ended
 *                             ╰────────────── all harts are gone by themselves ───▲
 *
 * Only a partition whose harts run touches their words: when it has ended they may be somebody else's.
 */
export type Phase = 'unstarted' | 'running' | 'stopping' | 'ended';

export interface Standing {
  phase: Phase;
  /** Harts that a thread has. */
  running: number;
  /** How many want the harts to stand still. They do while there is one. */
  holds: number;
}

export const standing = (): Standing => ({ phase: 'unstarted', running: 0, holds: 0 });

/** Somebody wants the harts to stand still. True: they are to be asked. */
export function hold(s: Standing): boolean {
  return ++s.holds === 1 && s.phase === 'running';
}

/** One who wanted that lets go. True: the harts are to be let go. */
export function letGo(s: Standing): boolean {
  return --s.holds === 0 && s.phase === 'running';
}

/** The harts are given to threads: false if they have been before, or are not to be any more. */
export function start(s: Standing): boolean {
  if (s.phase !== 'unstarted') return false;
  s.phase = 'running';
  return true;
}

/** The harts are to stop for good. True: they are to be asked. */
export function stop(s: Standing): boolean {
  const ask = s.phase === 'running';
  s.phase = ask ? 'stopping' : s.phase === 'unstarted' ? 'ended' : s.phase;
  return ask;
}

/** A hart's thread has done with it. True: it was the last. */
export function gone(s: Standing): boolean {
  if (--s.running > 0) return false;
  s.phase = 'ended';
  return true;
}

/** Whether the harts have to be looked at to know that they stand still: those of no thread do. */
export const mayMove = (s: Standing): boolean => s.phase === 'running' || s.phase === 'stopping';
