import { SYS } from '../../../guest/hands/syscalls.js';
import { unsupported } from '../../errors.js';
import { AT_FDCWD, O } from '../../linux/flags.js';
import { check } from '../../linux/os.js';
import { addForget } from '../../trace/stop-job.js';
import { domainKind, processKind } from '../kind.js';
import { TTY } from './ioctl.js';
import { indexOf } from './number.js';
import { pairsOf } from './pairs.js';

const SIGWINCH = 28;

interface ControlState {
  readonly controlled: boolean;
  /** Id in the domain of the process group in the foreground, at the leader of the session; 0: none that is known. */
  readonly foreground: number;
}

/**
 * The terminal that controls a session. The processes have it already: the leader got it before its children were born
 * (restore.ts).
 */
export const controllingTerminal = processKind<ControlState>({
  name: 'controlling terminal',
  keeps: 'the terminal of each session, who has given it up, the process group in the foreground',
  refuses: 'a console or a serial line as controlling terminal',
  stage: 'early',
  describe({ pid, stat }) {
    if (stat.ttyNr !== 0 && indexOf(stat.ttyNr) < 0)
      throw unsupported('a controlling terminal that is no pseudoterminal', `process ${pid}`);
  },
  checkpoint({ context: { views }, view: { pid, stat, status } }) {
    const leads = stat.ttyNr !== 0 && status.nsSid.at(-1) === pid;
    const group = views.find((v) => v.status.nsPgid[0] === stat.foreground)?.status.nsPgid.at(-1);
    return Promise.resolve({ controlled: stat.ttyNr !== 0, foreground: leads ? (group ?? 0) : 0 });
  },
  async restore({ leader }, { controlled, foreground }) {
    if (!controlled) return;
    const b = leader.batch();
    // Its window got its size with them in the foreground: they knew it already.
    addForget(b, SIGWINCH);
    if (foreground === 0) {
      await b.run();
      return;
    }
    const fd = b.call(SYS.openat, AT_FDCWD, b.str('/dev/tty'), O.RDWR | O.NOCTTY | O.CLOEXEC, 0);
    const group = b.bytes(new Uint8Array(new Int32Array([foreground, 0]).buffer));
    const put = b.call(SYS.ioctl, fd, TTY.TIOCSPGRP, group);
    b.call(SYS.close, fd);
    const r = await b.run();
    check(r.value(fd), 'opening a controlling terminal');
    check(r.value(put), `putting process group ${foreground} into the foreground`);
  },
});

/** Terminals that were made only to get the right numbers are let go. */
export const terminals = domainKind<null>({
  name: 'terminals',
  keeps: 'their numbers in the domain',
  checkpoint: () => Promise.resolve(null),
  restore: () => Promise.resolve(),
  finish: (context) => pairsOf(context).close(),
});
