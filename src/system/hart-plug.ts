/**
 * Harts that a running OS instance is given, and that are taken back from it. Those that it has not do not exist for its
 * kernel's SBI; one that is given is there, stopped, and the kernel begins to run on it when its hands ask it to.
 */
import { setOnline } from '../guest/hot-plug.js';
import type { Hands } from '../guest/hands/hands.js';
import type { OsInstance } from '../guest/os-instance.js';
import { HANDS_TIMEOUT, refused, type ByHands } from './by-hands.js';
import { checkCount, checkOptions } from './checks.js';
import { SystemError } from './errors.js';
import type { PlugOptions } from './hot-plug.js';
import { checkTimeout } from './timeout.js';

/** How long a hart on which its kernel does not run any more may take to stop (ms), and how often one looks. */
const TO_STOP = 2000;
const LOOK = 1;

/** As `Instance.setHarts`. */
export async function setHarts(
  os: OsInstance,
  byHands: ByHands,
  count: number,
  options: PlugOptions = {},
): Promise<void> {
  const { timeout = HANDS_TIMEOUT } = checkOptions('how harts are set', options);
  checkTimeout(timeout);
  const most = os.partition.blocks.length;
  checkCount(`the number of harts of ${os.name}`, count, 1, most);
  return byHands.inTurn(async () => {
    while (os.harts !== count) {
      const hands = byHands.hands();
      if (os.harts < count) await giveOne(os, byHands, hands, timeout);
      else await takeOne(os, byHands, hands, timeout);
    }
    // A kernel that was asked to stop running on one may have done so when nobody waited for it any more.
    for (let id = 1; id < count; id++) await runOn(os, byHands, id, timeout);
  });
}

async function giveOne(os: OsInstance, byHands: ByHands, hands: Hands, timeout: number): Promise<void> {
  const id = os.partition.giveHart();
  const what = `${os.name} does not begin to run on hart ${id}`;
  try {
    await byHands.within(timeout, what, async () => {
      const answer = await setOnline(hands, id, true);
      if (answer < 0) throw refused(what, -answer);
    });
  } catch (error) {
    // A hart that its kernel has not begun is nobody's again; one that is being begun stays.
    if (!byHands.isOver) await os.partition.takeHart();
    throw error;
  }
}

/** Has the guest run on a hart that it has. It does so without having been asked if it cannot stop doing so. */
async function runOn(os: OsInstance, byHands: ByHands, id: number, timeout: number): Promise<void> {
  const hands = byHands.hands();
  const what = `${os.name} does not run on hart ${id}`;
  await byHands.within(timeout, what, async () => {
    const answer = await setOnline(hands, id, true);
    if (answer < 0 && os.partition.hasStopped(id)) throw refused(what, -answer);
  });
}

async function takeOne(os: OsInstance, byHands: ByHands, hands: Hands, timeout: number): Promise<void> {
  const id = os.harts - 1;
  const what = `${os.name} does not stop running on hart ${id}`;
  await byHands.within(timeout, what, async () => {
    const answer = await setOnline(hands, id, false);
    if (answer < 0) throw refused(what, -answer);
  });
  for (const end = performance.now() + TO_STOP; !(await os.partition.takeHart());) {
    if (byHands.isOver) throw await byHands.ended();
    if (performance.now() > end) throw new SystemError('timeout', what);
    await new Promise<void>((resolve) => setTimeout(resolve, LOOK));
  }
}
