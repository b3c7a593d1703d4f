/** What apt's commands print, read. */
import { stanzas } from './sources.js';

/** A package at one version, as `apt-cache show` describes it. */
export interface PackageRecord {
  name: string;
  version: string;
  architecture: string;
  section: string;
  /** Names in Depends and Pre-Depends, alternatives included. */
  depends: string[];
  /** Names that it answers to besides. */
  provides: string[];
  /** Bytes of the .deb. */
  size: number;
  /** Bytes of what it holds, roughly. */
  installed: number;
  /** No Debian system is without it, and nobody says that they depend on it. */
  essential: boolean;
  sha256: string;
}

/** `apt-cache show`: records of the packages that were asked for. */
export function parseShow(text: string): PackageRecord[] {
  return stanzas(text).flatMap((s) => {
    const [name, version, sha256] = [s.get('package'), s.get('version'), s.get('sha256')];
    if (name === undefined || version === undefined || sha256 === undefined) return [];
    const relations = `${s.get('pre-depends') ?? ''},${s.get('depends') ?? ''}`;
    const namesIn = (text: string): string[] =>
      text.split(/[,|]/).flatMap((r) => /^\s*([a-z0-9][a-z0-9+.-]+)/.exec(r)?.[1] ?? []);
    return {
      name,
      version,
      architecture: s.get('architecture') ?? '',
      section: s.get('section') ?? '',
      depends: namesIn(relations),
      provides: namesIn(s.get('provides') ?? ''),
      size: Number(s.get('size') ?? 0),
      installed: Number(s.get('installed-size') ?? 0) * 1024,
      essential: s.get('essential') === 'yes',
      sha256,
    };
  });
}

/** `apt-get --simulate install`: what would be installed, as name and version. */
export function parseSimulation(text: string): { name: string; version: string }[] {
  return text.split('\n').flatMap((line) => {
    const [, name, version] = /^Inst (\S+) (?:\[\S+\] )?\((\S+) /.exec(line) ?? [];
    return name === undefined || version === undefined ? [] : { name, version };
  });
}

/** What dpkg is told to do with a package on the way of an installation. */
export interface InstallStep {
  readonly act: 'unpack' | 'configure';
  readonly name: string;
}

/** `apt-get --simulate install`: the order in which apt would have packages unpacked and configured. */
export function parseOrder(text: string): InstallStep[] {
  return text.split('\n').flatMap((line) => {
    const [, act, name] = /^(Inst|Conf) ([a-z0-9][a-z0-9+.-]+)(?::\S+)? /.exec(line) ?? [];
    return name === undefined ? [] : { act: act === 'Inst' ? 'unpack' : 'configure', name };
  });
}

/** `apt-cache policy` without a package: the codenames (`n=`) whose indices are there. */
export function parseCodenames(text: string): Set<string> {
  return new Set([...text.matchAll(/^\s*release .*?\bn=([^,\s]+)/gm)].map((m) => m[1]));
}

/** `apt-cache madison NAME`: versions, newest first, with the suite each comes from. */
export function parseMadison(text: string): { version: string; suite: string }[] {
  return text.split('\n').flatMap((line) => {
    const [, version, where] = line.split('|').map((part) => part.trim());
    const suite = /^\S+ ([^/\s]+)\//.exec(where ?? '')?.[1];
    return version === undefined || suite === undefined ? [] : { version, suite };
  });
}

/** A line of apt's status descriptor while it fetches: `dlstatus:1:34.2:Retrieving file 1 of 1`, to 0..1. */
export function parseDownloadStatus(line: string): number | undefined {
  const percent = /^dlstatus:\d+:([\d.]+):/.exec(line)?.[1];
  return percent === undefined ? undefined : Math.min(1, Number(percent) / 100);
}

/** `Get:6 http://mirror/debian trixie/main riscv64 Packages [9387 kB]`, which apt writes as it begins: for people. */
export function parseIndexFetch(line: string): string | undefined {
  const [, suite, size] = /^Get:\d+ \S+ (\S+) \S+ Packages \[([\d.]+ ?k?M?B)\]/.exec(line) ?? [];
  return suite === undefined ? undefined : `fetching the package index of ${suite}, ${size}`;
}

/** The name apt gives a fetched package's file: the epoch's colon is escaped. */
export function debName({ name, version, architecture }: PackageRecord): string {
  return `${name}_${version.replaceAll(':', '%3a')}_${architecture}.deb`;
}

/** The errors in what apt wrote, without its advice. */
export function aptErrors(text: string): string {
  const lines = text.split('\n').filter((line) => /^E: /.test(line));
  return lines.map((line) => line.slice(3)).join('; ') || text.trim().split('\n').slice(-3).join('; ');
}
