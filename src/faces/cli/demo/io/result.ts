/** What the demonstration of switches finds out. With --json this is what is printed. */

/** What a kernel says when its host was busy, of devices or not. */
export const OF_TIME = /hrtimer: interrupt took|clocksource|sched_clock|rcu: |perf: interrupt took/;

/** Of all measurements, in milliseconds: as many are above the p99 as one in a hundred. */
export interface Spread {
  p50: number;
  p99: number;
  max: number;
}

export interface DemoIoResult {
  /** Nothing was lost, done twice, reordered or reset, and everything held what was written. */
  ok: boolean;
  /** As `uname -r` says. */
  kernel: string;
  harts: number;
  /** Steps in and steps away that were made, of all devices. */
  switches: number;
  /** Switches that were asked for and refused, because something was not over in time; each was asked for again. */
  refused: number;
  /** Until the device stood still, and the switch itself. */
  waitMs: Spread;
  switchMs: Spread;
  /** Requests that reached the disk: blocks written and read, flushes. */
  requests: number;
  /** Of them and of the transfers (src/interposition/ledger.ts says what counts). */
  lost: number;
  doubled: number;
  reordered: number;
  /** Of the devices, from the workload's beginning to its end, as their driver would see them. */
  resets: number;
  /** Times that the monitor's code ran for a device while the guest drove it directly. */
  monitorEntriesWhenDirect: number;
  /** Blocks and transfers whose contents were not what they should be, at either end. */
  differing: number;
  /** Requests that were answered with an error. */
  failed: number;
  /** Transfers through the network card, each a POST of some data and its answer, and bytes of both directions. */
  transfers: number;
  transferredBytes: number;
  /** What the guest's kernel said while it went on, but for its time. */
  kernelMessages: string[];
  /** By device: switches, and the times that the monitor's code ran. */
  devices: Record<string, { switches: number; monitorEntries: number }>;
  bootSeconds: number;
  seconds: number;
  error?: { code: string; message: string };
}

export function emptyResult(): DemoIoResult {
  return {
    ok: false,
    kernel: '',
    harts: 0,
    switches: 0,
    refused: 0,
    waitMs: spreadOf([]),
    switchMs: spreadOf([]),
    requests: 0,
    lost: 0,
    doubled: 0,
    reordered: 0,
    resets: 0,
    monitorEntriesWhenDirect: 0,
    differing: 0,
    failed: 0,
    transfers: 0,
    transferredBytes: 0,
    kernelMessages: [],
    devices: {},
    bootSeconds: 0,
    seconds: 0,
  };
}

/** By nearest rank; 0 where nothing was measured. */
export function spreadOf(measured: readonly number[]): Spread {
  const sorted = [...measured].sort((a, b) => a - b);
  const at = (share: number): number =>
    Number((sorted[Math.max(0, Math.ceil(share * sorted.length) - 1)] ?? 0).toFixed(4));
  return { p50: at(0.5), p99: at(0.99), max: at(1) };
}
