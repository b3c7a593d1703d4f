import { HandsError } from './errors.js';
import { Hands } from './hands.js';
import { SYS } from './syscalls.js';
import { SCRATCH_SIZE } from './mailbox.js';
import { MailboxTransport, type RingHost } from './transport.js';
import type { Mailbox } from './mailbox.js';

const MCL_CURRENT = 1;
const MADV_DONTFORK = 10;
const O_RDWR = 2;
/** OOM_SCORE_ADJ_MIN. */
const NEVER_KILLED = '-1000';
const O_CLOEXEC = 0o2000000;
/** While the hands were busy a moment ago they are likely wanted again (µs). */
const LINGER = 300;

/** What the hands need of their OS instance; `OsInstance` has all of it. */
export interface HandsHost extends RingHost {
  readonly name: string;
  readonly mailbox: Mailbox;
  /** Device of the console port the hands sleep on, such as `/dev/vport0p1`; {@link RingHost.wake} sends a byte there. */
  readonly wakePort: string;
  /** Called by the OS instance on the host's thread after each doorbell. */
  onRing: () => void;
}

/**
 * Waits for the hands of a booting OS instance and makes them ready: memory that stays where the VMM can
 * find it, and a bed to sleep in. The mailbox must have been reset with the token that is in their file
 * (elf.ts) before the instance started. Throws `timeout`, `call-failed`.
 */
export async function connectHands(
  host: HandsHost,
  timeoutMs = 60_000,
): Promise<{ hands: Hands; transport: MailboxTransport }> {
  const transport = new MailboxTransport(host.mailbox, host);
  host.onRing = () => transport.doorbell();
  await transport.bound(timeoutMs);
  const hands = new Hands(transport, host.name);

  // Until its pages are there, the scratch memory cannot be used: these two calls need none.
  const first = hands.batch();
  const locked = first.call(SYS.mlockall, MCL_CURRENT);
  // Children of the hands must not share the scratch memory: the VMM writes to it behind the kernel's back.
  const kept = first.call(SYS.madvise, transport.base, SCRATCH_SIZE, MADV_DONTFORK);
  const r = await first.run();
  r.ok(locked, 'locking the memory of the hands');
  r.ok(kept, 'keeping the scratch memory of the hands to themselves');

  const b = hands.batch();
  const opened = b.call(SYS.openat, -100, b.str(host.wakePort), O_RDWR | O_CLOEXEC, 0);
  const fd = (await b.run()).value(opened);
  if (fd < 0) throw new HandsError('call-failed', `the hands cannot open ${host.wakePort}: errno ${-fd}`, -fd);
  // A kernel that runs out of memory shall end anything but its hands: what they began could not be taken back.
  const spared = hands.batch();
  const file = spared.must(SYS.openat, -100, spared.str('/proc/self/oom_score_adj'), O_RDWR | O_CLOEXEC, 0);
  spared.must(SYS.write, file, spared.str(NEVER_KILLED), NEVER_KILLED.length);
  spared.call(SYS.close, file);
  (await spared.run()).ok(file, 'sparing the hands when memory runs out');
  transport.setLinger(LINGER);
  transport.setWakeFd(fd);
  return { hands, transport };
}
