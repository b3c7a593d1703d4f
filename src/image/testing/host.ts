/** A host of our own: files in memory that can be full, and an apt with a mirror of made-up packages. */
import { concatBytes, sha256, toBytes, toText } from '../bytes.js';
import { ImageError } from '../errors.js';
import type { Cache, CommandOptions, CommandResult, Commands, Files, FileWriter } from '../host.js';
import { makeDynamic, makeModule } from './elf.js';
import { makeTar, type TestFile } from './tar.js';

export class MemoryFiles implements Files {
  readonly all = new Map<string, Uint8Array>();
  /** How many more writes succeed; then the disk is full. */
  writesLeft = Infinity;
  /** Bytes that are said to be free. */
  room = 2 ** 40;

  read(path: string): Promise<Uint8Array | undefined> {
    return Promise.resolve(this.all.get(path));
  }
  write(path: string, data: Uint8Array | string): Promise<void> {
    if (this.writesLeft-- <= 0) return Promise.reject(new ImageError('disk-full', `the disk is full: ${path}`));
    this.all.set(path, toBytes(data).slice());
    return Promise.resolve();
  }
  list(path: string): Promise<string[]> {
    const names = [...this.all.keys()]
      .filter((p) => p.startsWith(`${path}/`))
      .map((p) => p.slice(path.length + 1).split('/')[0]);
    return Promise.resolve([...new Set(names)].sort());
  }
  size(path: string): Promise<number | undefined> {
    return Promise.resolve(this.all.get(path)?.length);
  }
  makeFolder(): Promise<void> {
    return Promise.resolve();
  }
  create(path: string): Promise<FileWriter> {
    this.all.set(path, new Uint8Array(0));
    return this.open(path);
  }
  open(path: string): Promise<FileWriter> {
    const resized = (bytes: number): Uint8Array => {
      const data = new Uint8Array(bytes);
      data.set((this.all.get(path) ?? data).subarray(0, bytes));
      this.all.set(path, data);
      return data;
    };
    return Promise.resolve({
      write: (at, data) => {
        if (this.writesLeft-- <= 0) return Promise.reject(new ImageError('disk-full', `the disk is full: ${path}`));
        resized(Math.max(this.all.get(path)?.length ?? 0, at + data.length)).set(data, at);
        return Promise.resolve();
      },
      resize: (bytes) => Promise.resolve(void resized(bytes)),
      close: () => Promise.resolve(),
    });
  }
  digest(path: string): Promise<string | undefined> {
    const data = this.all.get(path);
    return data === undefined ? Promise.resolve(undefined) : sha256(data);
  }
  free(): Promise<number> {
    return Promise.resolve(this.room);
  }
  remove(path: string): Promise<void> {
    for (const name of [...this.all.keys()]) if (name === path || name.startsWith(`${path}/`)) this.all.delete(name);
    return Promise.resolve();
  }
  rename(from: string, to: string): Promise<void> {
    const data = this.all.get(from);
    if (data === undefined) return Promise.reject(new ImageError('command', `no ${from}`));
    this.all.delete(from);
    this.all.set(to, data);
    return Promise.resolve();
  }
}

/** A cache in memory whose lock works within this process. */
export class MemoryCache implements Cache {
  readonly root = '/cache';
  readonly files = new MemoryFiles();
  locked = false;
  #queue: Promise<unknown> = Promise.resolve();

  async lock(signal?: AbortSignal, onWait?: () => void): Promise<{ release(): Promise<void> }> {
    if (this.locked) onWait?.();
    const before = this.#queue;
    let free: () => void = () => undefined;
    this.#queue = new Promise<void>((resolve) => (free = resolve));
    await before;
    if (signal?.aborted === true) {
      free();
      throw new ImageError('aborted', 'interrupted');
    }
    this.locked = true;
    return {
      release: () => {
        this.locked = false;
        free();
        return Promise.resolve();
      },
    };
  }
}

interface TestPackage {
  name: string;
  version: string;
  suite: string;
  section: string;
  depends: string;
  files: TestFile[];
}

const image = (release: string): Uint8Array =>
  concatBytes([new Uint8Array(56), toBytes('RSC\x05'), toBytes(`kernel ${release}`)]);

const kernelFiles = (release: string, kernel: string): TestFile[] => [
  { path: kernel, data: image(release) },
  { path: `usr/lib/modules/${release}/modules.builtin`, data: 'kernel/drivers/virtio/virtio_pci.ko\n' },
  ...['failover', 'net_failover', 'virtio_net', 'sound'].map((name) => ({
    path: `usr/lib/modules/${release}/kernel/${name}.ko`,
    data: makeModule([
      `name=${name}`,
      `depends=${{ virtio_net: 'net_failover', net_failover: 'failover' }[name] ?? ''}`,
      `alias=for-${name}`,
    ]),
  })),
];

const LIB = 'usr/lib/riscv64-linux-gnu';
const PACKAGES: TestPackage[] = [
  ...['6.12.107', '6.12.113'].map((v) => ({
    name: `linux-image-${v}+deb13-riscv64`,
    version: `${v}-1`,
    suite: v === '6.12.113' ? 'trixie-security' : 'trixie',
    section: 'kernel',
    depends: 'kmod, linux-base',
    files: kernelFiles(`${v}+deb13-riscv64`, `boot/vmlinux-${v}+deb13-riscv64`),
  })),
  ...['binary', 'modules'].map((part) => ({
    name: `linux-${part}-7.2.11+deb13-riscv64`,
    version: '7.2.11-1~bpo13+1',
    suite: 'trixie-backports',
    section: 'kernel',
    depends: '',
    files: kernelFiles('7.2.11+deb13-riscv64', 'usr/lib/modules/7.2.11+deb13-riscv64/vmlinuz').filter(
      ({ path }) => path.endsWith('vmlinuz') === (part === 'binary'),
    ),
  })),
  ...[
    ['6.12.107', 'trixie'],
    ['6.12.113', 'trixie-security'],
    ['7.2.11', 'trixie-backports'],
  ].map(([v, suite]) => ({
    name: 'linux-image-riscv64',
    version: `${v}-1`,
    suite,
    section: 'kernel',
    depends: `linux-image-${v}+deb13-riscv64 (= ${v}-1)`,
    files: [],
  })),
  {
    name: 'busybox-static',
    version: '1:1.37.0-6',
    suite: 'trixie',
    section: 'shells',
    depends: '',
    files: [
      { path: 'usr/bin/busybox', data: 'program [\0[[\0mount\0sh\0udhcpc\0\0rest', mode: 0o755 },
      { path: 'usr/share/doc/busybox-static/copyright', data: 'text' },
    ],
  },
  {
    name: 'server',
    version: '5:8.0-1',
    suite: 'trixie',
    section: 'database',
    depends: 'adduser, libthing1 (>= 1) | libother',
    files: [{ path: 'usr/bin/server', data: makeDynamic(['libthing.so.1'], '/lib/ld.so.1'), mode: 0o755 }],
  },
  {
    name: 'libthing1',
    version: '1.0-1',
    suite: 'trixie',
    section: 'libs',
    depends: '',
    files: [
      { path: `${LIB}/libthing.so.1`, symlink: 'libthing.so.1.0' },
      { path: `${LIB}/libthing.so.1.0`, data: makeDynamic([]) },
      { path: 'usr/lib/ld.so.1', data: makeDynamic([]), mode: 0o755 },
    ],
  },
  { name: 'adduser', version: '3', suite: 'trixie', section: 'admin', depends: '', files: [] },
];

const debOf = (p: TestPackage): Uint8Array => makeTar(p.files);
const compare = (a: string, b: string): number => a.localeCompare(b, 'en', { numeric: true });

/** apt, apt-cache and dpkg-deb, as far as the builder uses them. A package's file is its tar stream. */
export class TestHost implements Commands {
  /** Every command that was run, for what tests want to know of it. */
  readonly calls: string[] = [];
  /** Suites whose index does not verify. */
  broken = new Set<string>();
  /** What a suite's other name stands for. */
  alias: Record<string, string> = {};
  /** Called before each command. */
  before: (call: string) => void = () => undefined;
  /** How a download is altered on its way. */
  corrupt: (name: string, data: Uint8Array) => Uint8Array = (_, data) => data;
  hasApt = true;
  newest = '6.12.113';

  constructor(readonly files: MemoryFiles) {
    files.all.set(
      '/etc/apt/sources.list.d/debian.sources',
      toBytes(
        'Types: deb\nURIs: http://mirror.test/debian\nSuites: bookworm\nComponents: main\n\n' +
          'Types: deb\nURIs: http://mirror.test/security\nSuites: bookworm-security\nComponents: main\n',
      ),
    );
  }

  /** Bytes of each package's file, by name: the newest version's. */
  sizes(): Map<string, number> {
    return new Map(PACKAGES.map((p) => [p.name, debOf(p).length]));
  }

  async run(command: string, args: readonly string[], options: CommandOptions = {}): Promise<CommandResult> {
    this.#begin(command, args, options);
    if (!this.hasApt) return { status: 127, stdout: '', stderr: '' };
    const [status, stdout, stderr] = await this.#apt(
      command,
      args.filter((a) => !a.startsWith('-q')),
      options,
    );
    this.#end(options);
    return { status, stdout, stderr };
  }

  async *stream(command: string, args: readonly string[], options: CommandOptions = {}): AsyncIterable<Uint8Array> {
    this.#begin(command, args, options);
    const data = await this.files.read(args[1]);
    if (command !== 'dpkg-deb' || data === undefined) throw new ImageError('command', `${command}: no ${args[1]}`);
    // Odd pieces, as a pipe gives them.
    for (let at = 0; at < data.length; at += 777) yield data.slice(at, at + 777);
    this.#end(options);
  }

  #begin(command: string, args: readonly string[], options: CommandOptions): void {
    const call = `${command} ${args.join(' ')}`;
    this.calls.push(call);
    this.before(call);
    this.#end(options);
  }

  #end(options: CommandOptions): void {
    if (options.signal?.aborted === true) throw new ImageError('aborted', 'interrupted');
  }

  /** The suites whose index is there, by the names in the private root. */
  async #suites(): Promise<Set<string>> {
    const suites = new Set<string>();
    const folder = '/cache/apt/etc/apt/sources.list.d';
    for (const name of await this.files.list(folder)) {
      const suite =
        /^Suites: (\S+)$/m.exec(toText(this.files.all.get(`${folder}/${name}`) ?? new Uint8Array(0)))?.[1] ?? '';
      if (!this.broken.has(suite)) suites.add(this.alias[suite] ?? suite);
    }
    return suites;
  }

  async #packages(): Promise<TestPackage[]> {
    const suites = await this.#suites();
    const all = PACKAGES.filter(
      (p) => suites.has(p.suite) && !(p.suite === 'trixie-security' && this.newest === '6.12.107'),
    );
    return all.sort((a, b) => compare(b.version, a.version));
  }

  async #find(wanted: string): Promise<TestPackage | undefined> {
    const [name, version] = wanted.split('=');
    return (await this.#packages()).find((p) => p.name === name && (version === undefined || p.version === version));
  }

  async #apt(command: string, args: readonly string[], options: CommandOptions): Promise<[number, string, string]> {
    const names = args.filter((a) => !a.startsWith('-') && !/^\w+::/.test(a));
    const [verb, ...rest] = names;
    switch (`${command} ${verb}`) {
      case 'apt-config dump':
        return [0, 'Acquire::Check-Valid-Until "false";\nAPT::Architecture "amd64";\n', ''];
      case 'apt-get update':
        return this.broken.size > 0 ? [100, '', 'E: some index does not verify\n'] : [0, '', ''];
      case 'apt-cache policy':
        return [
          0,
          [...(await this.#suites())].map((s) => ` 500 http://x\n     release o=Debian,n=${s},l=Debian\n`).join(''),
          '',
        ];
      case 'apt-cache madison':
        return [
          0,
          (await this.#packages())
            .filter((p) => p.name === rest[0])
            .map((p) => `${p.name} | ${p.version} | http://mirror ${p.suite}/main riscv64 Packages\n`)
            .join(''),
          '',
        ];
      case 'apt-cache pkgnames':
        return [
          0,
          (await this.#packages())
            .filter((p) => p.name.startsWith(rest[0]))
            .map((p) => `${p.name}\n`)
            .join(''),
          '',
        ];
      case 'apt-cache show':
        return this.#show(rest);
      case 'apt-get install':
        return this.#simulate(rest);
      case 'apt-get download':
        return this.#download(rest, options);
      default:
        throw new Error(`the test host has no ${command} ${args.join(' ')}`);
    }
  }

  async #show(names: readonly string[]): Promise<[number, string, string]> {
    let text = '';
    for (const name of names) {
      const found = await this.#find(name);
      if (found === undefined) return [100, '', `E: No packages found: ${name}\n`];
      const deb = debOf(found);
      text += `Package: ${found.name}\nVersion: ${found.version}\nArchitecture: riscv64\nSection: ${found.section}\nDepends: ${found.depends}\nSize: ${deb.length}\nSHA256: ${await sha256(deb)}\n\n`;
    }
    return [0, text, ''];
  }

  async #simulate(names: readonly string[]): Promise<[number, string, string]> {
    const plan = new Map<string, TestPackage>();
    const add = async (name: string): Promise<boolean> => {
      const found = await this.#find(name);
      if (found === undefined) return false;
      if (plan.has(name)) return true;
      plan.set(name, found);
      for (const dependency of found.depends.split(',')) await add(dependency.trim().split(' ')[0]);
      return true;
    };
    // A pattern, such as all that is essential: there is none.
    for (const name of names.filter((n) => !n.startsWith('?')))
      if (!(await add(name))) return [100, '', `E: Unable to locate package ${name}\n`];
    return [
      0,
      [...plan.values()].map((p) => `Inst ${p.name} (${p.version} Debian:13/stable [riscv64])\n`).join(''),
      '',
    ];
  }

  async #download(names: readonly string[], options: CommandOptions): Promise<[number, string, string]> {
    for (const name of names) {
      const found = await this.#find(name);
      if (found === undefined) return [100, '', `E: no ${name}\n`];
      const path = `${options.cwd ?? ''}/${found.name}_${found.version.replaceAll(':', '%3a')}_riscv64.deb`;
      const deb = debOf(found);
      // Like apt: a file of the right size is taken for whole.
      if ((await this.files.size(path)) === deb.length) continue;
      try {
        await this.files.write(path, this.corrupt(found.name, deb));
      } catch {
        return [100, '', 'E: write (28: No space left on device)\n'];
      }
      options.onLine?.('dlstatus:1:50.0:Retrieving file 1 of 1');
    }
    return [0, '', ''];
  }
}
