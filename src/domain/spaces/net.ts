import { unsupported } from '../errors.js';
import { applyNetwork, sameNetwork } from '../kinds/network/apply.js';
import { refuseRulesAt } from '../kinds/network/rules.js';
import { lookAtNetwork, type NetworkState } from '../kinds/network/state.js';
import { applySettings, readSettings, type Settings } from '../kinds/network/sysctls.js';
import { CLONE } from '../linux/flags.js';
import { readMounts } from '../mounts/look.js';
import { allMounts } from '../mounts/state.js';
import { together } from '../together.js';
import { spaceSort } from './space.js';

interface Network extends NetworkState {
  /** As they were before the freeze. */
  readonly settings: Settings;
}

/** Network namespaces without sockets: interfaces, addresses, routes, rules, neighbours, settings. */
export const net = spaceSort<Network>({
  name: 'net',
  flag: CLONE.NEWNET,
  async look({ hands, anchor, mountSpaces }, at, known) {
    const [, state, settings, mounts] = await together([
      known === undefined ? refuseRulesAt(hands, at) : undefined,
      lookAtNetwork(hands, { pid: at }),
      known?.settings ?? readSettings(hands, { pid: at }),
      readMounts({ hands, anchor }),
    ]);
    const before = new Set(anchor.mounts.map((m) => m.dev));
    const shown = allMounts({ mounts, spaces: mountSpaces }).find((m) => m.type === 'sysfs' && !before.has(m.dev));
    // It shows the interfaces of one of them, and does not say of which.
    if (shown !== undefined) throw unsupported('a mount of sysfs beside a network namespace of its own', shown.point);
    return known !== undefined && sameNetwork(known, state) ? known : { ...state, settings };
  },
  async give({ hands }, at, state, before) {
    const within = { pid: at };
    await applyNetwork(hands, within, state);
    if (before !== undefined) return;
    await applySettings(hands, within, state.settings);
    // A setting may have taken an address or a route away, or given one.
    await applyNetwork(hands, within, state);
  },
});
