/**
 * Where this machine gets its Debian packages: sources.list(5), in the deb822 and the one-line
 * format. The guest's packages come from the same mirrors, under the same keys.
 */

/** One repository of the machine's own configuration. */
export interface AptSource {
  uris: string[];
  suites: string[];
  components: string[];
  /** A keyring's path or an armoured key, as it stands in the file. */
  signedBy?: string;
}

/** The mirrors to take Debian from. */
export interface Mirrors {
  debian: Mirror;
  security?: Mirror;
}

/** A mirror of Debian packages. */
export interface Mirror {
  uri: string;
  signedBy?: string;
}

/** Entries for binary packages that are enabled; anything else is left out. */
export function parseSources(file: string, text: string): AptSource[] {
  return file.endsWith('.sources') ? parseDeb822(text) : parseOneLine(text);
}

function parseDeb822(text: string): AptSource[] {
  const sources: AptSource[] = [];
  for (const stanza of stanzas(text)) {
    const words = (key: string): string[] => (stanza.get(key) ?? '').split(/\s+/).filter((w) => w !== '');
    if (!words('types').includes('deb') || /^(no|false|0|off)$/i.test(stanza.get('enabled') ?? 'yes')) continue;
    const signedBy = stanza.get('signed-by');
    sources.push({
      uris: words('uris'),
      suites: words('suites'),
      components: words('components'),
      ...(signedBy === undefined || signedBy === '' ? {} : { signedBy }),
    });
  }
  return sources;
}

/**
 * RFC 822 stanzas as Debian writes them: `Key: value`, a line that begins with white space goes on
 * with the value, `#` begins a comment line, an empty line ends the stanza. Keys in lower case.
 */
export function stanzas(text: string): Map<string, string>[] {
  const out: Map<string, string>[] = [];
  let stanza = new Map<string, string>();
  let last = '';
  for (const line of text.split('\n')) {
    if (line.startsWith('#')) continue;
    if (line.trim() === '') {
      if (stanza.size > 0) out.push(stanza);
      stanza = new Map();
      last = '';
    } else if (/^\s/.test(line)) {
      if (last !== '') stanza.set(last, `${stanza.get(last) ?? ''}\n${line.trimEnd()}`);
    } else {
      const colon = line.indexOf(':');
      if (colon < 0) continue;
      last = line.slice(0, colon).trim().toLowerCase();
      stanza.set(last, line.slice(colon + 1).trim());
    }
  }
  if (stanza.size > 0) out.push(stanza);
  return out;
}

function parseOneLine(text: string): AptSource[] {
  const sources: AptSource[] = [];
  for (const line of text.split('\n')) {
    const [, options, rest] = /^\s*deb\s+(?:\[([^\]]*)\]\s*)?([^#]*)/.exec(line) ?? [];
    const [uri, suite, ...components] = (rest ?? '').trim().split(/\s+/);
    if (uri === undefined || uri === '' || suite === undefined) continue;
    const signedBy = /(?:^|\s)signed-by=(\S+)/i.exec(options ?? '')?.[1];
    sources.push({ uris: [uri], suites: [suite], components, ...(signedBy === undefined ? {} : { signedBy }) });
  }
  return sources;
}

/** Names of Debian's suites: other distributions and other people's repositories have others. */
const RELEASE =
  /^(stable|testing|unstable|oldstable|oldoldstable|sid|buster|bullseye|bookworm|trixie|forky|duke)(-updates|-backports)?$/;
const SECURITY = /^(stable|testing|oldstable|bullseye|bookworm|trixie|forky|duke)-security$/;

/**
 * The machine's mirrors of Debian and of its security updates, or undefined when it has none
 * (another distribution). What cannot be fetched over a network, such as a CD, does not count.
 */
export function findMirrors(sources: readonly AptSource[]): Mirrors | undefined {
  const find = (suite: RegExp): Mirror | undefined => {
    for (const source of sources) {
      if (!source.components.includes('main') || !source.suites.some((s) => suite.test(s))) continue;
      const uri = source.uris.find((u) => !u.startsWith('cdrom:'));
      if (uri === undefined) continue;
      return { uri, ...(source.signedBy === undefined ? {} : { signedBy: source.signedBy }) };
    }
    return undefined;
  };
  const debian = find(RELEASE);
  const security = find(SECURITY);
  if (debian === undefined) return undefined;
  return { debian, ...(security === undefined ? {} : { security }) };
}
