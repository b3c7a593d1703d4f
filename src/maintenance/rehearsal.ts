/**
 * A rehearsal: a small domain moves into the understudy and back, again and again, before anything real does. What does not
 * work there is found out while nothing depends on it; and every way through the host's and the guests' code that the
 * real move takes has been gone once, which is half of the time a first move would take.
 */
import { launch, type Program, type RunningDomain } from '../domain/tree/launch.js';
import { SYS } from '../guest/hands/syscalls.js';
import type { Carrier } from './carrier.js';
import { MaintenanceError } from './errors.js';
import { moveDomain } from './move.js';

const NAME = 'rehearsal';
/** Four processes, a pipe and both ends of a connection, of what every image of ours has. */
const PROGRAM: Program = {
  argv: ['/usr/bin/busybox', 'sh', '-c', 'nc -l -p 9 & sleep 1000000 | { until nc 127.0.0.1 9; do sleep 0.1; done; }'],
};
/** Odd: it ends in the understudy, as the real one does. */
const HOPS = 9;

/** Throws MaintenanceError `rehearsal-failed`; nothing of the rehearsal is left either way. */
export async function rehearse(active: Carrier, understudy: Carrier): Promise<void> {
  let [from, to] = [active, understudy];
  try {
    let domain = await launch(from.hands, { name: NAME }, PROGRAM);
    try {
      for (let hop = 0; hop < HOPS; hop++) {
        const moved = await moveDomain(domain, from, to, { underLoad: true });
        domain = moved.domain;
        const [untidied] = moved.report.untidied;
        if (untidied !== undefined) throw new Error(`after the move, ${untidied.what}: ${untidied.why}`);
        [from, to] = [to, from];
      }
    } finally {
      await end(domain);
    }
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause);
    throw new MaintenanceError('rehearsal-failed', `${understudy.name} cannot take over from ${active.name}: ${why}`, {
      cause,
    });
  }
}

async function end({ hands, anchor }: RunningDomain): Promise<void> {
  await anchor.cgroup.kill();
  await hands.syscall(SYS.close, anchor.netns);
  await anchor.cgroup.remove();
}
