/** The configuration of an apt with a root folder of its own: apt.conf(5), sources.list(5). */
import type { Mirror } from './sources.js';

export const ARCHITECTURE = 'riscv64';
/** The Debian release guests are made of. */
export const RELEASE = 'trixie';

/**
 * What the private apt takes over from the machine's configuration (lines of `apt-config dump`): how
 * to reach the mirrors, and the owner's decision on stale Release files. Nothing that weakens signatures.
 */
export function inheritedConfig(dump: string): string[] {
  const inherited =
    /^Acquire::(http|https|ftp|socks|Retries|ForceIPv[46]|Queue-Mode|Check-Valid-Until|Check-Date|Max-ValidTime|Proxy)\b/i;
  const weak = /Allow|Verify-(Peer|Host)/i;
  return dump.split('\n').filter((line) => inherited.test(line) && !weak.test(line) && /^\S+ ".*";$/.test(line));
}

/**
 * @param root the private root folder, absolute.
 * @param inherited lines from {@link inheritedConfig}.
 */
export function aptConf(root: string, inherited: readonly string[], architecture = ARCHITECTURE): string {
  // Trusted keys and passwords for mirrors are the machine's; everything else is private.
  return `${[
    `Dir "${root}/";`,
    `Dir::State::status "${root}/var/lib/dpkg/status";`,
    'Dir::Etc::trusted "/etc/apt/trusted.gpg";',
    'Dir::Etc::trustedparts "/etc/apt/trusted.gpg.d";',
    'Dir::Etc::netrc "/etc/apt/auth.conf";',
    'Dir::Etc::netrcparts "/etc/apt/auth.conf.d";',
    `APT::Architecture "${architecture}";`,
    `APT::Architectures { "${architecture}"; };`,
    'APT::Install-Recommends "false";',
    // As root, apt would fetch as a user who may not enter the cache's folder.
    'APT::Sandbox::User "";',
    'Acquire::Languages "none";',
    ...inherited,
  ].join('\n')}\n`;
}

/** Folders that apt wants to find in its root. */
export const APT_FOLDERS = [
  'etc/apt/apt.conf.d',
  'etc/apt/preferences.d',
  'etc/apt/sources.list.d',
  'var/lib/apt/lists/partial',
  'var/cache/apt/archives/partial',
  'var/lib/dpkg',
];

/** One suite of one mirror as a `.sources` stanza. */
export function sourceStanza(
  mirror: Mirror,
  suite: string,
  keyring: string | undefined,
  architecture = ARCHITECTURE,
): string {
  const signedBy = mirror.signedBy ?? keyring;
  return `${[
    'Types: deb',
    `URIs: ${mirror.uri}`,
    `Suites: ${suite}`,
    'Components: main',
    `Architectures: ${architecture}`,
    ...(signedBy === undefined ? [] : [`Signed-By: ${signedBy}`]),
  ].join('\n')}\n`;
}
