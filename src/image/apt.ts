/**
 * An apt of our own: a root folder in the cache, riscv64 as its only architecture, the machine's own
 * mirrors and keys. It fetches and verifies; nothing is installed, nothing of the guest runs, and
 * no rights are needed.
 */
import { sha256 } from './bytes.js';
import { APT_FOLDERS, aptConf, inheritedConfig, RELEASE, sourceStanza } from './aptconfig.js';
import {
  aptErrors,
  debName,
  parseCodenames,
  parseDownloadStatus,
  parseIndexFetch,
  parseMadison,
  parseOrder,
  parseShow,
  parseSimulation,
  type InstallStep,
  type PackageRecord,
} from './apttext.js';
import { ImageError } from './errors.js';
import type { CommandOptions, CommandResult, Commands, Files, OnProgress } from './host.js';
import { findMirrors, parseSources, type Mirrors } from './sources.js';
import { toText } from './bytes.js';
import { alike } from './alike.js';

const KEYRINGS = ['/usr/share/keyrings/debian-archive-keyring.gpg', '/usr/share/keyrings/debian-archive-keyring.pgp'];

/** What to say where Debian packages cannot be had. */
const BRING = 'Bring a kernel and an initramfs of your own: --kernel IMAGE --initrd CPIO.';

const MAKE_ROOM = 'Make room, or set UNDERSTUDY_CACHE to a folder on another disk.';

/** What no Debian system is without, as apt-patterns(7) has it. */
const ESSENTIAL = '?essential';

/** Other names of the same release, for a mirror that serves one name's index out of step. */
const ALIASES = ['stable', 'oldstable'];

/** How long package indices are taken for the newest. */
const FRESH_MS = 10 * 60 * 1000;

const megabytes = (bytes: number): string => `${(bytes / 1e6).toFixed(1)} MB`;

export interface AptOptions {
  /** Root folder, absolute. */
  root: string;
  files: Files;
  commands: Commands;
  onProgress: OnProgress;
  signal?: AbortSignal | undefined;
  /** Instead of the machine's own. */
  mirrors?: Mirrors | undefined;
  /** Of Debian's names, instead of riscv64. */
  architecture?: string;
  /** Code name, instead of the release that guests are made of. */
  release?: string;
}

export class Apt {
  readonly #options: AptOptions;
  readonly #release: string;
  #updated = false;
  /** Bytes of packages: fetched so far, and to be fetched in all, as far as it is known. */
  #done = 0;
  #total = 0;
  constructor(options: AptOptions) {
    this.#options = options;
    this.#release = options.release ?? RELEASE;
  }

  /** Packages that are whole and verified. */
  #deb(record: PackageRecord): string {
    return `${this.#options.root}/debs/${debName(record)}`;
  }

  /** Where apt writes what it fetches; an interrupted fetch goes on here. */
  #partial(record?: PackageRecord): string {
    return `${this.#options.root}/partial${record === undefined ? '' : `/${debName(record)}`}`;
  }

  async #run(command: string, args: readonly string[], options: CommandOptions = {}): Promise<CommandResult> {
    const { commands, root, signal } = this.#options;
    const env = { APT_CONFIG: `${root}/apt.conf`, LC_ALL: 'C', ...options.env };
    const result = await commands.run(command, args, { ...options, env, signal });
    const said = result.stdout + result.stderr;
    if (result.status !== 0) {
      const full = said.split('\n').find((line) => /No space left on device|enough free space/i.test(line));
      if (full !== undefined)
        throw new ImageError('disk-full', `the disk of ${root} is full (${full.trim()}). ${MAKE_ROOM}`);
    }
    return result;
  }

  async #ask(command: string, args: readonly string[]): Promise<string> {
    const result = await this.#run(command, args);
    if (result.status !== 0)
      throw new ImageError('not-found', `${command} ${args.join(' ')}: ${aptErrors(result.stderr)}`);
    return result.stdout;
  }

  /**
   * Makes the root folder and fetches the package indices, once.
   *
   * @throws ImageError `unsupported` where there is no apt or no Debian mirror, `network` where the
   * release's own index cannot be fetched and verified.
   */
  async update({ needBackports, always }: { needBackports: boolean; always: boolean }): Promise<void> {
    if (this.#updated) return;
    const { root, files, onProgress } = this.#options;
    const dump = await this.#options.commands.run('apt-config', ['dump'], { signal: this.#options.signal });
    if (dump.status !== 0) {
      throw new ImageError('unsupported', `Images are made of Debian packages, and this machine has no apt. ${BRING}`);
    }
    const mirrors = this.#options.mirrors ?? (await this.#machineMirrors());
    for (const folder of APT_FOLDERS) await files.makeFolder(`${root}/${folder}`);
    for (const folder of ['debs', 'partial']) await files.makeFolder(`${root}/${folder}`);
    await files.write(`${root}/var/lib/dpkg/status`, '');
    const conf = aptConf(root, inheritedConfig(dump.stdout), this.#options.architecture);
    await files.write(`${root}/apt.conf`, conf);
    const from = await sha256(JSON.stringify([conf, mirrors]));
    if (!always && (await this.#isFresh(from))) {
      this.#updated = true;
      return;
    }
    await files.remove(this.#stamp);

    onProgress({ step: 'index', message: `fetching the package indices of ${this.#release}`, fraction: 0 });
    const keyring = await this.#keyring();
    const suites = new Map<string, { file: string; stanza: (suite: string) => string }>();
    const want = (suffix: string, mirror: Mirrors['debian'] | undefined): void => {
      if (mirror === undefined) return;
      const file = `${root}/etc/apt/sources.list.d/${this.#release}${suffix}.sources`;
      suites.set(suffix, { file, stanza: (suite) => sourceStanza(mirror, suite, keyring, this.#options.architecture) });
    };
    want('', mirrors.debian);
    want('-backports', mirrors.debian);
    want('-security', mirrors.security);
    for (const [suffix, { file, stanza }] of suites) await files.write(file, stanza(this.#release + suffix));

    let said = await this.#fetchIndices();
    const missing = async (): Promise<string[]> => {
      const there = parseCodenames(await this.#ask('apt-cache', ['policy']));
      return [...suites.keys()].filter((suffix) => !there.has(this.#release + suffix));
    };
    let lacking = await missing();
    // Mirrors and the caches before them can serve one name's index older than its signed Release file,
    // which does not verify. The same release under its other name is signed as well, and may be in step.
    for (const alias of ALIASES) {
      if (lacking.length === 0) break;
      for (const suffix of lacking) {
        const { file, stanza } = suites.get(suffix)!;
        await files.write(file, stanza(alias + suffix));
      }
      said = (await this.#fetchIndices()) || said;
      const still = await missing();
      // A name that stands for another release by now must not remain in the configuration.
      for (const suffix of still) await files.remove(suites.get(suffix)!.file);
      lacking = still;
    }
    if (lacking.includes('') || (needBackports && lacking.includes('-backports'))) {
      const names = lacking.map((suffix) => this.#release + suffix).join(', ');
      throw new ImageError(
        'network',
        `no verified package index for ${names}: ${said}. Is the mirror reachable? ${BRING}`,
      );
    }
    if (lacking.includes('-security')) {
      onProgress({
        step: 'warning',
        message: `no verified index of ${this.#release}-security: without its updates (${said})`,
      });
    }
    this.#updated = true;
    if (lacking.length === 0) await files.write(this.#stamp, `${from} ${Date.now()}`);
  }

  get #stamp(): string {
    return `${this.#options.root}/updated`;
  }

  /** The indices were fetched from the same mirrors a short while ago: several images are often prepared in a row. */
  async #isFresh(from: string): Promise<boolean> {
    const [stampFrom, time] = toText((await this.#options.files.read(this.#stamp)) ?? new Uint8Array(0)).split(' ');
    const age = Date.now() - Number(time);
    return stampFrom === from && age >= 0 && age < FRESH_MS;
  }

  /** Returns what went wrong, or an empty string. */
  async #fetchIndices(): Promise<string> {
    const { onProgress } = this.#options;
    let message = `fetching the package indices of ${this.#release}`;
    const args = ['-q', '-o', 'APT::Status-Fd=1', '-o', 'Acquire::Retries=2', 'update'];
    const result = await this.#run('apt-get', args, {
      onLine: (line) => {
        // An index's size is known once its suite's signed list of files is there: apt names it before it fetches.
        message = parseIndexFetch(line) ?? message;
        const fraction = parseDownloadStatus(line);
        if (fraction !== undefined) onProgress({ step: 'index', message, fraction });
      },
    });
    if (result.status === 127) throw new ImageError('unsupported', `This machine has no apt-get. ${BRING}`);
    return result.status === 0 ? '' : aptErrors(result.stderr);
  }

  async #machineMirrors(): Promise<Mirrors> {
    const { files } = this.#options;
    const names = await files.list('/etc/apt/sources.list.d');
    const paths = ['/etc/apt/sources.list', ...names.map((name) => `/etc/apt/sources.list.d/${name}`)];
    const sources = [];
    for (const path of paths.filter((p) => /\.(list|sources)$/.test(p))) {
      const text = await files.read(path);
      if (text !== undefined) sources.push(...parseSources(path, toText(text)));
    }
    const mirrors = findMirrors(sources);
    if (mirrors === undefined) {
      throw new ImageError(
        'unsupported',
        `The apt of this machine knows no Debian mirror: name one with --mirror URL. ${BRING}`,
      );
    }
    return mirrors;
  }

  async #keyring(): Promise<string | undefined> {
    for (const path of KEYRINGS) if ((await this.#options.files.size(path)) !== undefined) return path;
    return undefined;
  }

  /** Versions of a package, newest first, with the suite of each. */
  async versions(name: string): Promise<{ version: string; suite: string }[]> {
    return parseMadison(await this.#ask('apt-cache', ['madison', name]));
  }

  /** Names of packages that begin so. */
  async names(prefix: string): Promise<string[]> {
    return (await this.#ask('apt-cache', ['pkgnames', prefix])).split('\n').filter((n) => n !== '');
  }

  /** Records of packages, each `name` or `name=version`; the newest version unless one is named. */
  async show(names: readonly string[]): Promise<PackageRecord[]> {
    return parseShow(await this.#ask('apt-cache', ['show', '--no-all-versions', ...names]));
  }

  /**
   * Everything apt would install with these packages.
   *
   * @throws ImageError `not-found` for a package that does not exist or cannot be installed.
   */
  async plan(names: readonly string[]): Promise<PackageRecord[]> {
    const plan = parseSimulation(await this.#ask('apt-get', ['-q', '--simulate', '--yes', 'install', ...names]));
    return this.show(plan.map(({ name, version }) => `${name}=${version}`));
  }

  /**
   * A whole Debian system with these packages: what no system is without, what they depend on, and the order in which
   * all of it is unpacked and configured.
   *
   * @throws ImageError `not-found` for a package that does not exist, with names that are like it, or that cannot be
   * installed.
   */
  async system(names: readonly string[]): Promise<{ records: PackageRecord[]; order: InstallStep[] }> {
    let said: string;
    try {
      said = await this.#ask('apt-get', ['-q', '--simulate', '--yes', 'install', ESSENTIAL, ...names]);
    } catch (error) {
      throw await this.#withSuggestions(error, names);
    }
    const plan = parseSimulation(said).map(({ name, version }) => `${name.replace(/:.*/, '')}=${version}`);
    return { records: await this.show(plan), order: parseOrder(said) };
  }

  /** The same error; where packages do not exist, with what may have been meant. */
  async #withSuggestions(error: unknown, names: readonly string[]): Promise<unknown> {
    if (!(error instanceof ImageError) || error.code !== 'not-found') return error;
    const there = await this.names('');
    const known = new Set(there);
    const unknown = names.filter((name) => !known.has(name));
    if (unknown.length === 0) return error;
    const lines = unknown.map((name) => {
      const like = alike(name, there);
      return `${this.#release} has no package ${name}${like.length === 0 ? '' : `; did you mean ${like.join(', ')}?`}`;
    });
    return new ImageError('not-found', lines.join('\n'), { cause: error });
  }

  /**
   * These packages and the libraries they depend on, at the versions apt would install together.
   * What else they depend on (maintenance tools, service managers) is not for an image that runs
   * single programs, and is left out; a program's libraries are checked against its own list later.
   *
   * @throws ImageError `not-found` for a package that does not exist or cannot be installed.
   */
  async resolve(names: readonly string[]): Promise<PackageRecord[]> {
    const records = await this.plan(names);
    const byName = new Map(records.map((record) => [record.name, record]));
    const taken = new Set<PackageRecord>();
    const take = (record: PackageRecord): void => {
      if (taken.has(record)) return;
      taken.add(record);
      for (const name of record.depends) {
        const other = byName.get(name);
        if (other?.section === 'libs') take(other);
      }
    };
    for (const name of names) {
      const record = byName.get(name);
      if (record === undefined) throw new ImageError('not-found', `apt finds no package ${name} for ${this.#release}`);
      take(record);
    }
    return [...taken].sort((a, b) => (a.name < b.name ? -1 : 1));
  }

  /**
   * Says how much these packages are together, before any of them is fetched. What is there already, whole or in
   * part, does not count.
   */
  async announce(records: readonly PackageRecord[]): Promise<void> {
    const { files, onProgress, root } = this.#options;
    let count = 0;
    for (const record of new Map(records.map((r) => [debName(r), r])).values()) {
      if (await this.#isWhole(this.#deb(record), record)) continue;
      count++;
      this.#total += record.size - Math.min(record.size, (await files.size(this.#partial(record))) ?? 0);
    }
    if (count === 0) return;
    const what = `${count} package${count === 1 ? '' : 's'}, ${megabytes(this.#total)}`;
    const message = `to be fetched: ${what}; images are kept in ${root.replace(/\/apt$/, '')}`;
    onProgress({ step: 'plan', message, bytes: { done: 0, total: this.#total } });
  }

  /**
   * Fetches packages; goes on where an interrupted fetch ended. Returns the paths.
   *
   * @throws ImageError `network` when the mirror does not give what its index promises.
   */
  async download(records: readonly PackageRecord[]): Promise<string[]> {
    const missing = [];
    for (const record of records) if (!(await this.#isWhole(this.#deb(record), record))) missing.push(record);
    // Twice: apt does not look into a file that is there at its full size already, so the sum decides.
    const bad = await this.#fetch(await this.#fetch(missing));
    if (bad.length > 0) {
      throw new ImageError('network', `${bad.map(debName).join(', ')}: what the mirror sends does not match its index`);
    }
    return records.map((record) => this.#deb(record));
  }

  async #isWhole(path: string, record: PackageRecord): Promise<boolean> {
    const { files } = this.#options;
    if ((await files.size(path)) !== record.size) return false;
    const data = await files.read(path);
    return data !== undefined && (await sha256(data)) === record.sha256;
  }

  /** Fetches, verifies, and puts into place; returns those that are not what they should be. */
  async #fetch(records: readonly PackageRecord[]): Promise<PackageRecord[]> {
    if (records.length === 0) return [];
    const { files, onProgress } = this.#options;
    const size = records.reduce((n, r) => n + r.size, 0);
    const [from, all] = [this.#done, Math.max(this.#total, this.#done + size)];
    const message = `fetching ${records.length} package${records.length === 1 ? '' : 's'}, ${megabytes(size)}`;
    const report = (fraction: number): void =>
      onProgress({
        step: 'download',
        message,
        fraction,
        bytes: { done: Math.round(from + fraction * size), total: all },
      });
    report(0);
    const names = records.map((r) => `${r.name}=${r.version}`);
    const result = await this.#run(
      'apt-get',
      ['-q', '-o', 'APT::Status-Fd=1', '-o', 'Acquire::Retries=3', 'download', ...names],
      {
        cwd: this.#partial(),
        onLine: (line) => {
          const fraction = parseDownloadStatus(line);
          if (fraction !== undefined) report(fraction);
        },
      },
    );
    if (result.status !== 0) throw new ImageError('network', `cannot fetch packages: ${aptErrors(result.stderr)}`);
    report(1);
    [this.#done, this.#total] = [from + size, all];
    const bad = [];
    for (const record of records) {
      const path = this.#partial(record);
      if (await this.#isWhole(path, record)) await files.rename(path, this.#deb(record));
      else {
        bad.push(record);
        await files.remove(path);
      }
    }
    return bad;
  }

  /** Removes fetched packages, when their contents are kept otherwise. */
  async forget(records: readonly PackageRecord[]): Promise<void> {
    for (const record of records) await this.#options.files.remove(this.#deb(record));
  }
}
