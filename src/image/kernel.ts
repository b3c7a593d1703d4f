/** Debian's kernel packages, made into an `Image` and an archive of modules. */
import type { Apt } from './apt.js';
import { RELEASE } from './aptconfig.js';
import type { PackageRecord } from './apttext.js';
import { toText } from './bytes.js';
import { buildCpio } from './cpio.js';
import { ImageError } from './errors.js';
import type { Commands, OnProgress } from './host.js';
import type { KernelManifest } from './manifest.js';
import { chooseModules, isModuleFile, modulesAlias, modulesDep, type ModuleChoice } from './modules.js';
import type { KernelChoice } from './profile.js';
import type { Store } from './store.js';
import { readTar } from './tar.js';

/** The package that depends on the newest kernel of its suite. */
const META_PACKAGE = 'linux-image-riscv64';

/**
 * The kernel release a choice stands for now, for example `6.12.113+deb13-riscv64`.
 *
 * @throws ImageError `not-found`.
 */
export async function kernelRelease(apt: Apt, choice: KernelChoice): Promise<string> {
  if (choice !== 'trixie' && choice !== 'backports') return choice;
  const versions = await apt.versions(META_PACKAGE);
  const found = versions.find(({ suite }) => suite.endsWith('-backports') === (choice === 'backports'));
  const [record] = found === undefined ? [] : await apt.show([`${META_PACKAGE}=${found.version}`]);
  const release = record?.depends.map((name) => /^linux-image-(\d.*)$/.exec(name)?.[1]).find((r) => r !== undefined);
  if (release === undefined) throw new ImageError('not-found', `the mirror has no kernel for ${choice} of ${RELEASE}`);
  return release;
}

/**
 * The packages with a release's kernel: one with everything until 6.12; later the kernel and the
 * modules apart.
 */
export async function kernelPackages(apt: Apt, release: string): Promise<PackageRecord[]> {
  const there = new Set(await apt.names('linux-'));
  const split = [`linux-binary-${release}`, `linux-modules-${release}`];
  const names = split.every((name) => there.has(name)) ? split : [`linux-image-${release}`];
  if (!names.every((name) => there.has(name))) {
    const known = [...there].flatMap((n) => /^linux-image-(\d.*-riscv64)$/.exec(n)?.[1] ?? []).sort();
    throw new ImageError('not-found', `the mirror has no kernel ${release}; it has ${known.join(', ')}`);
  }
  return apt.show(names);
}

/** "RSC\x05" at byte 56 (Documentation/arch/riscv/boot-image-header.rst). */
export function isRiscvImage(data: Uint8Array): boolean {
  return data.length > 64 && data[56] === 0x52 && data[57] === 0x53 && data[58] === 0x43 && data[59] === 0x05;
}

export interface KernelContext {
  apt: Apt;
  store: Store;
  commands: Commands;
  onProgress: OnProgress;
  signal?: AbortSignal | undefined;
}

/** Fetches the packages of {@link kernelPackages}, unpacks them and stores the kernel with the modules chosen. */
export async function buildKernel(
  context: KernelContext,
  release: string,
  records: readonly PackageRecord[],
  choice: ModuleChoice,
): Promise<KernelManifest> {
  const { apt, store, commands, onProgress, signal } = context;
  const debs = await apt.download(records);
  const folder = `usr/lib/modules/${release}`;
  const inFolder = (path: string): boolean =>
    path.startsWith(`${folder}/`) || path.startsWith(`lib/modules/${release}/`);
  const isKernel = (path: string): boolean => path === `boot/vmlinux-${release}` || path === `${folder}/vmlinuz`;
  const isBuiltin = (path: string): boolean => inFolder(path) && path.endsWith('/modules.builtin');
  let image: Uint8Array | undefined;
  let builtin: string[] = [];
  const files = new Map<string, Uint8Array>();
  for (const deb of debs) {
    onProgress({ step: 'unpack', message: `unpacking ${deb.slice(deb.lastIndexOf('/') + 1)}` });
    const stream = commands.stream('dpkg-deb', ['--fsys-tarfile', deb], { signal });
    const keep = (path: string): boolean => isKernel(path) || isBuiltin(path) || (inFolder(path) && isModuleFile(path));
    for (const { path, type, data } of await readTar(stream, keep)) {
      if (type !== 'file') continue;
      if (isKernel(path)) image = data;
      else if (isBuiltin(path)) builtin = toText(data).split('\n');
      else files.set(path, data);
    }
  }
  if (image === undefined || !isRiscvImage(image)) {
    throw new ImageError('not-found', `the packages of ${release} have no uncompressed RISC-V Image`);
  }
  onProgress({ step: 'build', message: `choosing and stripping modules of ${release}` });
  const modules = chooseModules(files, builtin, choice);
  const archive = buildCpio([
    ...modules.map((m) => ({ path: `${folder}/${m.name}.ko`, mode: 0o644, data: m.data })),
    { path: `${folder}/modules.dep`, mode: 0o644, data: modulesDep(modules) },
    { path: `${folder}/modules.alias`, mode: 0o644, data: modulesAlias(modules) },
  ]);
  const manifest: KernelManifest = {
    release,
    packages: records.map(({ name, version }) => ({ name, version })),
    image: await store.write('Image', image),
    modules: await store.write('modules.cpio', archive),
    moduleNames: modules.map((m) => m.name),
  };
  // A hundred megabytes that are not needed again: what was taken from them is stored.
  await apt.forget(records);
  return manifest;
}
