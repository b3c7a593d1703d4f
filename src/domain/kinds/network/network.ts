import { together } from '../../together.js';
import { domainKind } from '../kind.js';
import { applyNetwork, sameNetwork } from './apply.js';
import { refuseRules } from './rules.js';
import { lookAtNetwork, type NetworkState } from './state.js';
import { applySettings, readSettings, type Settings } from './sysctls.js';
import { isUnchanged, watchNetwork } from './watch.js';

interface Network extends NetworkState {
  /** As they were before the freeze: there are some hundred, and nothing tells that one has changed. */
  readonly settings: Settings;
}

/** Who is told of changes since the look before the freeze, by what was foreseen then. */
const watches = new WeakMap<object, number>();

/**
 * The network namespace of the domain: interfaces, addresses, routes, rules, permanent neighbours. It is made before
 * the freeze; what has changed since is looked at again, but for settings.
 */
export const network = domainKind<Network>({
  name: 'network',
  keeps:
    'interfaces (the loopback one, the NIC, veth pairs, dummies) with flags, MTU and address; addresses, routes, policy rules, permanent neighbours; settings in /proc/sys/net as of just before the freeze',
  refuses:
    'other kinds of interfaces, routes with several next hops, queueing disciplines, rules of iptables and nftables, IPsec, XDP',
  describe: refuseRules,
  async foresee({ hands, anchor, hold }) {
    const watch = await watchNetwork(hands, anchor);
    hold(watch);
    const [state, settings] = await together([lookAtNetwork(hands, anchor), readSettings(hands, anchor)]);
    const foreseen = { ...state, settings };
    watches.set(foreseen, watch);
    return foreseen;
  },
  async prepare({ hands, anchor }, state) {
    await applyNetwork(hands, anchor, state);
    await applySettings(hands, anchor, state.settings);
    // A setting may have taken an address or a route away, or given one.
    await applyNetwork(hands, anchor, state);
  },
  async checkpoint({ hands, anchor, foreseen }) {
    const before = foreseen.get('network') as Network;
    if (await isUnchanged(hands, watches.get(before) ?? -1)) return before;
    return { ...(await lookAtNetwork(hands, anchor)), settings: before.settings };
  },
  async restore({ hands, anchor, prepared }, state) {
    const before = prepared.get('network') as Network | undefined;
    if (before !== undefined && sameNetwork(before, state)) return;
    await applyNetwork(hands, anchor, state);
  },
});
