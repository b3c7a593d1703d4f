import type { Batch, Buf } from '../../../guest/hands/batch.js';
import { SYS } from '../../../guest/hands/syscalls.js';
import { PR } from '../../linux/flags.js';
import { check, readTexts } from '../../linux/os.js';
import { parseStatus, type Capabilities, type Status } from '../../proc/status.js';
import { together } from '../../together.js';
import type { Tracee } from '../../trace/tracee.js';
import { processKind } from '../kind.js';

const CAPABILITY_VERSION_3 = 0x20080522;
const PR_CAPBSET_DROP = 24;
const PR_CAP_AMBIENT_RAISE = 2;

interface Credentials {
  readonly tid: number;
  /** Real, effective, saved, file-system. */
  readonly uids: readonly number[];
  readonly gids: readonly number[];
  readonly groups: readonly number[];
  readonly caps: Capabilities;
  readonly noNewPrivs: boolean;
  readonly secureBits: number;
}

interface CredentialState {
  readonly threads: readonly Credentials[];
  readonly dumpable: number;
}

/** User and group ids, capabilities, secure bits: each thread has its own. */
export const credentials = processKind<CredentialState>({
  name: 'credentials',
  keeps: 'ids, groups, capabilities, secure bits, no_new_privs, per thread',
  stage: 'last',
  async checkpoint({ view, frozen, leader }) {
    const [dumpable, ...bits] = await together([
      leader.syscall(SYS.prctl, PR.GET_DUMPABLE, 0, 0, 0, 0),
      ...frozen.threads.map(async ({ tracee }) => {
        const value = await tracee.syscall(SYS.prctl, PR.GET_SECUREBITS, 0, 0, 0, 0);
        return [tracee.tid, check(value, `asking for the secure bits of thread ${tracee.tid}`)] as const;
      }),
    ]);
    const secureBits = new Map(bits);
    return {
      dumpable,
      threads: view.threads.map(({ tid, hostTid, status: s }) => {
        return {
          tid,
          uids: s.uids,
          gids: s.gids,
          groups: s.groups,
          caps: s.caps,
          noNewPrivs: s.noNewPrivs,
          secureBits: secureBits.get(hostTid) ?? 0,
        };
      }),
    };
  },
  async restore(process, state) {
    const { hands } = process.context;
    const [now] = await readTexts(hands, [`/proc/${process.leader.tid}/status`], 1);
    const present = parseStatus(now ?? '');
    await together(
      state.threads.map((c) => {
        const tracee = process.threads.get(c.tid);
        return tracee === undefined ? undefined : become(tracee, c, present);
      }),
    );
    // Changing ids made the process undumpable; only 0 and 1 can be asked for.
    if (state.dumpable === 0 || state.dumpable === 1)
      await process.leader.syscall(SYS.prctl, PR.SET_DUMPABLE, state.dumpable, 0, 0, 0);
  },
});

/** Has a thread have these credentials; `present`: what it has. */
async function become(tracee: Tracee, c: Credentials, present: Status): Promise<void> {
  const same =
    String(c.uids) === String(present.uids) &&
    String(c.gids) === String(present.gids) &&
    String(c.groups) === String(present.groups) &&
    sameCapabilities(c.caps, present.caps) &&
    c.secureBits === 0 &&
    !c.noNewPrivs;
  if (same) return;
  const b = tracee.batch();
  const must: [string, ReturnType<typeof b.call>][] = [];
  for (let cap = 0; cap < 64; cap++) {
    const bit = 1n << BigInt(cap);
    if ((present.caps.bounding & bit) !== 0n && (c.caps.bounding & bit) === 0n)
      must.push(['bounding set', b.call(SYS.prctl, PR_CAPBSET_DROP, cap, 0, 0, 0)]);
  }
  must.push(['keeping capabilities', b.call(SYS.prctl, PR.SET_KEEPCAPS, 1, 0, 0, 0)]);
  must.push([
    'setgroups',
    b.call(SYS.setgroups, c.groups.length, b.bytes(new Uint8Array(new Uint32Array([...c.groups, 0]).buffer))),
  ]);
  must.push(['setresgid', b.call(SYS.setresgid, c.gids[0] ?? 0, c.gids[1] ?? 0, c.gids[2] ?? 0)]);
  must.push(['setresuid', b.call(SYS.setresuid, c.uids[0] ?? 0, c.uids[1] ?? 0, c.uids[2] ?? 0)]);
  // Changing the effective id cleared the effective set; the permitted one was kept.
  b.call(
    SYS.capset,
    capHeader(b),
    b.bytes(capData(present.caps.permitted, present.caps.permitted, c.caps.inheritable)),
  );
  b.call(SYS.setfsgid, c.gids[3] ?? 0);
  b.call(SYS.setfsuid, c.uids[3] ?? 0);
  for (let cap = 0; cap < 64; cap++) {
    if ((c.caps.ambient & (1n << BigInt(cap))) !== 0n)
      must.push(['ambient set', b.call(SYS.prctl, PR.CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, cap, 0, 0)]);
  }
  if (c.secureBits !== 0) must.push(['secure bits', b.call(SYS.prctl, PR.SET_SECUREBITS, c.secureBits, 0, 0, 0)]);
  else b.call(SYS.prctl, PR.SET_KEEPCAPS, 0, 0, 0, 0);
  must.push([
    'capset',
    b.call(SYS.capset, capHeader(b), b.bytes(capData(c.caps.effective, c.caps.permitted, c.caps.inheritable))),
  ]);
  if (c.noNewPrivs) b.call(SYS.prctl, PR.SET_NO_NEW_PRIVS, 1, 0, 0, 0);
  const r = await b.run();
  for (const [what, ref] of must) check(r.value(ref), `${what} of thread ${c.tid}`);
}

function sameCapabilities(a: Capabilities, b: Capabilities): boolean {
  return (
    a.effective === b.effective &&
    a.permitted === b.permitted &&
    a.inheritable === b.inheritable &&
    a.bounding === b.bounding &&
    a.ambient === b.ambient
  );
}

/** `struct __user_cap_header_struct`: version u32, pid i32. */
function capHeader(b: Batch): Buf {
  return b.bytes(new Uint8Array(new Uint32Array([CAPABILITY_VERSION_3, 0]).buffer));
}

/** Two `struct __user_cap_data_struct`: effective, permitted, inheritable u32; low words first. */
function capData(effective: bigint, permitted: bigint, inheritable: bigint): Uint8Array {
  const low = (x: bigint): number => Number(x & 0xffffffffn);
  const high = (x: bigint): number => Number(x >> 32n);
  return new Uint8Array(
    new Uint32Array([
      low(effective),
      low(permitted),
      low(inheritable),
      high(effective),
      high(permitted),
      high(inheritable),
    ]).buffer,
  );
}
