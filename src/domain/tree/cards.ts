/** The network cards of an OS instance, as its sysfs has them: which are in the hands' network namespace, and where. */
import type { Hands } from '../../guest/hands/hands.js';
import { readDir, readLinks } from '../linux/os.js';

const NETS = '/sys/class/net';
/** A card in a slot of the first bus: `0000:00:05.0`. */
const PCI = /\/([0-9a-f]{4}:[0-9a-f]{2}:[0-9a-f]{2}\.[0-7])\//;
export const isPciAddress = (nic: string): boolean => /^[0-9a-f]{4}:[0-9a-f]{2}:[0-9a-f]{2}\.[0-7]$/.test(nic);

/** Cards that were added to running instances, for domains: nobody gets one by its name, which is whatever was free. */
const added = new WeakMap<Hands, Set<string>>();

export function noteAdded(hands: Hands, pci: string): void {
  const cards = added.get(hands);
  if (cards === undefined) added.set(hands, new Set([pci]));
  else cards.add(pci);
}

/** Names of interfaces that are cards in PCI slots, by the slots' addresses. Those that some domain has are not among them. */
export async function cardsAtHome(hands: Hands): Promise<Map<string, string>> {
  const names = (await readDir(hands, NETS)) ?? [];
  const links = await readLinks(
    hands,
    names.map((name) => `${NETS}/${name}`),
  );
  return new Map(
    names.flatMap((name, i) => {
      const pci = PCI.exec(links[i] ?? '')?.[1];
      return pci === undefined ? [] : [[pci, name]];
    }),
  );
}

/** The name of the interface that is meant by a name, or by the address of its slot; undefined: it is not there now. */
export async function interfaceOf(hands: Hands, nic: string): Promise<string | undefined> {
  if (isPciAddress(nic)) return (await cardsAtHome(hands)).get(nic);
  const others = added.get(hands);
  if (others === undefined) return nic;
  for (const [pci, name] of await cardsAtHome(hands)) if (name === nic && others.has(pci)) return undefined;
  return nic;
}
