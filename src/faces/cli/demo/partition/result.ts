/** What the demonstration of partitions finds out. With --json this is what is printed. */

/** Part of a hart's time, 0 to 1, that an instance was to have of what several wanted, and had. */
export interface ShareResult {
  asked: number;
  got: number;
}

export interface DemoPartitionResult {
  /** All below is as it should be. */
  ok: boolean;
  /** As `uname -r` says in the instances. */
  kernel: string;
  /** Every round of the prober beside others had the transcript of the same round on a computer that has nothing else. */
  transcriptsEqual: boolean;
  /** The first record in which one differed, in words; absent if none did. */
  difference?: string;
  /** Rounds of the prober beside others, and answers that it got in them. */
  rounds: number;
  probes: number;
  /** Accesses that its devices were asked for to what is not its memory, all of them refused. */
  refusedDmas: number;
  /** By instance. */
  shares: Record<string, ShareResult>;
  /** One of the two sleeps, the other computes on the same hart: how long the one takes to wake and answer (ms). */
  wakeMs: { p50: number; p99: number };
  /** A disk and a hart were not there for the instance, even when it looked, until it was given them; then they were. */
  hiddenUntilGiven: boolean;
  /** What the instance's kernel calls the disk. */
  given: string;
  /** In the end each frame had one owner or none, and nothing was missing. */
  booksBalance: boolean;
  seconds: number;
  error?: { code: string; message: string };
}

/** Shares are to be within so much of what was asked for. */
const TOLERANCE = 0.03;

export function emptyResult(): DemoPartitionResult {
  return {
    ok: false,
    kernel: '',
    transcriptsEqual: true,
    rounds: 0,
    probes: 0,
    refusedDmas: 0,
    shares: {},
    wakeMs: { p50: 0, p99: 0 },
    hiddenUntilGiven: false,
    given: '',
    booksBalance: false,
    seconds: 0,
  };
}

export function isAsItShouldBe(r: DemoPartitionResult): boolean {
  const shares = Object.values(r.shares);
  return (
    r.transcriptsEqual &&
    r.rounds > 0 &&
    r.refusedDmas > 0 &&
    shares.length > 0 &&
    shares.every(({ asked, got }) => Math.abs(asked - got) <= TOLERANCE) &&
    r.hiddenUntilGiven &&
    r.booksBalance
  );
}
