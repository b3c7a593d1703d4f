import type { Hands } from '../../guest/hands/hands.js';
import { SYS } from '../../guest/hands/syscalls.js';
import { CLONE } from '../linux/flags.js';
import { inside, type Where } from '../linux/inside.js';
import { check } from '../linux/os.js';
import { domainKind } from './kind.js';

/** `struct new_utsname`: six fields of 65 bytes; the second is the node's name, the last the NIS domain's. */
const FIELD = 65;
const UTSNAME = 6 * FIELD;

export interface HostnameState {
  readonly nodename: Uint8Array;
  readonly domainname: Uint8Array;
}

/** The names that the UTS namespace has now, whoever set them. */
export const hostname = domainKind<HostnameState>({
  name: 'host name',
  keeps: 'the host name and the NIS domain name, whoever set them',
  foresee: ({ hands, anchor }) => namesOf(hands, anchor.pid),
  prepare: ({ hands, anchor }, state) => giveNames(hands, anchor.pid, state),
  checkpoint: ({ hands, anchor }) => namesOf(hands, anchor.pid),
  async restore({ hands, anchor, prepared }, state) {
    const before = prepared.get('host name') as HostnameState | undefined;
    const isSame = String(before?.nodename) === String(state.nodename);
    if (isSame && String(before?.domainname) === String(state.domainname)) return;
    await giveNames(hands, anchor.pid, state);
  },
});

export const namesOf = (hands: Hands, where: Where): Promise<HostnameState> =>
  inside(hands, where, CLONE.NEWUTS, (b) => {
    const out = b.out(UTSNAME);
    const asked = b.call(SYS.uname, out);
    return (r) => {
      check(r.value(asked), 'asking for the host name');
      const field = (i: number): Uint8Array => {
        const bytes = r.bytes(out).slice(i * FIELD, (i + 1) * FIELD);
        const end = bytes.indexOf(0);
        return bytes.subarray(0, end < 0 ? FIELD - 1 : end);
      };
      return { nodename: field(1), domainname: field(5) };
    };
  });

export const giveNames = (hands: Hands, where: Where, names: HostnameState): Promise<void> =>
  inside(hands, where, CLONE.NEWUTS, (b) => {
    const calls = [
      b.call(SYS.sethostname, b.bytes(names.nodename), names.nodename.length),
      b.call(SYS.setdomainname, b.bytes(names.domainname), names.domainname.length),
    ];
    return (r) => {
      for (const call of calls) check(r.value(call), 'setting the host name');
    };
  });
