/**
 * Network cards of an OS instance for domains: one for each domain that has a network of its own. A card is added while
 * the instance runs, has a port of the switch for itself, which carries the domain's addresses and no others, and is
 * used again when its domain has ended or moved away:
 *
 *             take                  the domain is made              it ends, or is elsewhere
 *   at home ────────▶ promised ─────────────────────▶ in its ─────────────────────────────────▶ at home
 *                        └──────── letGo ──▶ at home   namespace     and the kernel took that down
 */
import { DomainError } from '../domain/errors.js';
import { inTurn } from '../domain/in-turn.js';
import { cardsAtHome, isPciAddress, noteAdded } from '../domain/tree/cards.js';
import type { DomainNetwork } from '../domain/tree/netlink.js';
import type { Hands } from '../guest/hands/hands.js';
import { GuestError } from '../guest/errors.js';
import { rescan } from '../guest/hot-plug.js';
import { parseIpv4, parseMac, type GateTarget, type Port } from '../net/index.js';
import type { Instance, Network } from '../system/index.js';
import type { AddedCard } from '../system/cards.js';

/** A card, and who is to have it, or has it. */
interface Card {
  readonly card: AddedCard;
  /** The addresses of who has it, or had it last. */
  user: GateTarget;
  /** Taken for a domain that is not there yet. */
  promised: boolean;
}

/** Of each network, the instances on it that have cards for domains: no two domains have the same address. */
const onNetwork = new WeakMap<Network, Set<DomainCards>>();

/** The addresses of a domain as numbers. Throws NetError `BAD_CONFIG`. */
export const targetOf = ({ mac, address }: DomainNetwork): { readonly mac: number; readonly ip: number } => ({
  mac: parseMac(mac),
  ip: parseIpv4(address.split('/')[0]),
});

/** The network cards that an OS instance has for domains. */
export class DomainCards {
  readonly #cards: Card[] = [];

  constructor(
    private readonly instance: Instance,
    private readonly hands: Hands,
    private readonly network: Network | undefined,
  ) {
    if (network === undefined) return;
    const all = onNetwork.get(network) ?? new Set<DomainCards>();
    onNetwork.set(network, all.add(this));
  }

  /** The switch's end of the cable of the card that a domain has here; undefined: it is none of these. */
  portOf({ nic }: DomainNetwork): Port | undefined {
    return this.#cards.find(({ card }) => card.pci === nic)?.card.port;
  }

  /** Takes a card for a new domain, which has its addresses from now on. Throws DomainError `state` where another has them. */
  async takeNew(network: DomainNetwork): Promise<DomainNetwork> {
    const target = targetOf(network);
    await this.#refuseTaken(network, target);
    const given = await this.take(network);
    this.portOf(given)?.addresses.register(target);
    return given;
  }

  /**
   * Takes a card for a domain that is to be made here, one that nobody has, or another is added. It carries nothing until
   * addresses are registered with its port. Throws DomainError `state` where there is no room, SystemError `no-network`.
   */
  take(network: DomainNetwork): Promise<DomainNetwork> {
    return inTurn([this.hands], async () => {
      const user = targetOf(network);
      const home = await cardsAtHome(this.hands);
      for (const card of this.#cards) if (!home.has(card.card.pci)) card.promised = false;
      const free = this.#cards.find(
        (c) => home.has(c.card.pci) && (!c.promised || (c.user.mac === user.mac && c.user.ip === user.ip)),
      );
      const card = free ?? (await this.#add());
      Object.assign(card, { user, promised: true });
      card.card.plug(`${this.instance.name} ${card.card.pci}`);
      return { ...network, nic: card.card.pci };
    });
  }

  /** The domain that it was taken for was not made. */
  letGo({ nic }: DomainNetwork): void {
    const card = this.#cards.find((c) => c.card.pci === nic);
    if (card?.promised === true) card.promised = false;
  }

  /** Whether a NIC is there to be given, by its name or as one of these cards. */
  async isFree(nic: string): Promise<boolean> {
    const home = await inTurn([this.hands], () => cardsAtHome(this.hands));
    return isPciAddress(nic)
      ? home.has(nic)
      : [...home].some(([pci, name]) => name === nic && !this.#cards.some(({ card }) => card.pci === pci));
  }

  async #add(): Promise<Card> {
    const { hands, instance } = this;
    let added: AddedCard;
    try {
      added = instance.addCard();
    } catch (cause) {
      if (!(cause instanceof GuestError)) throw cause;
      const message = `OS instance ${instance.name} has no room for another domain with a network: ${this.#cards.length} network cards were added to it already`;
      throw new DomainError('state', message, { resource: 'network cards', cause });
    }
    noteAdded(hands, added.pci);
    const card: Card = { card: added, user: {}, promised: false };
    this.#cards.push(card);
    const scanned = await rescan(hands);
    if (scanned < 0 || !(await cardsAtHome(hands)).has(added.pci))
      throw new DomainError(
        'state',
        `OS instance ${instance.name} does not find the network card that was added to it`,
      );
    return card;
  }

  /** Throws DomainError `state` where a domain of this network, or an OS instance, has one of the addresses. */
  async #refuseTaken({ address }: DomainNetwork, { mac, ip }: { mac: number; ip: number }): Promise<void> {
    const { network } = this;
    if (network === undefined) return;
    const [dotted = ''] = address.split('/');
    if (network.isPlaceOf(dotted)) throw new DomainError('state', `${dotted} is the address of an OS instance`);
    const all = onNetwork.get(network) ?? new Set<DomainCards>();
    for (const other of all) {
      if (await other.hands.hasEnded()) {
        all.delete(other);
        continue;
      }
      const alike = other.#cards.filter(({ user, card }) => {
        if (user.mac !== mac && user.ip !== ip) return false;
        // After a move, or an end, the port has it no more.
        return card.port !== undefined && this.#has(card.port, user);
      });
      if (alike.length === 0) continue;
      const home = await inTurn([other.hands], () => cardsAtHome(other.hands));
      if (alike.some(({ card }) => !home.has(card.pci)))
        throw new DomainError(
          'state',
          `a domain in ${other.instance.name} has the address ${dotted}, or its MAC address`,
        );
    }
  }

  /** Whether a port has the address: only one of the network has. */
  #has(port: Port, { ip }: GateTarget): boolean {
    return ip !== undefined && port.addresses.has(ip);
  }
}
