/**
 * Kernel modules: what each says of itself (its `.modinfo` section: NUL-terminated `key=value`),
 * in which order they load, and the files by which `modprobe` finds them in the guest.
 * A module's name has underscores where its file name may have hyphens (kmod's rule).
 */
import { readSections } from './elf.js';
import { ImageError } from './errors.js';
import { stripModule } from './strip.js';
import { toText } from './bytes.js';
import { isXz, readXz } from './xz.js';

export interface Module {
  name: string;
  /** Stripped file. */
  data: Uint8Array;
  /** Names of the modules that must be there before. */
  depends: string[];
  /** Patterns by which the kernel asks for it (`fs-ext4`, `virtio:d00000001v*`). */
  aliases: string[];
}

/** `virtio-rng.ko.xz`, a path, or a name as people write it, to the kernel's name `virtio_rng`. */
export function moduleName(file: string): string {
  return file
    .replace(/^.*\//, '')
    .replace(/\.ko(\.xz)?$/, '')
    .replaceAll('-', '_');
}

export const isModuleFile = (path: string): boolean => /\.ko(\.xz)?$/.test(path);

/** Reads a module as its package has it: unpacks, reads `.modinfo`, strips. */
export function readModule(name: string, file: Uint8Array): Module {
  const elf = isXz(file) ? readXz(file) : file;
  const section = readSections(elf).find((s) => s.name === '.modinfo');
  if (section === undefined) throw new ImageError('corrupt', `module ${name} has no .modinfo`);
  const fields = toText(section.data).split('\0');
  const values = (key: string): string[] =>
    fields.filter((f) => f.startsWith(`${key}=`)).map((f) => f.slice(key.length + 1));
  const depends = values('depends').flatMap((d) =>
    d
      .split(',')
      .filter((n) => n !== '')
      .map(moduleName),
  );
  return { name, data: stripModule(elf), depends, aliases: values('alias') };
}

/** Which of a kernel's modules an image has. */
export interface ModuleChoice {
  /** Names of wanted modules. */
  names: readonly string[];
  /** Names of modules that are taken where a kernel has them. */
  optional?: readonly string[];
}

/**
 * The modules wanted and what they depend on, each behind what it needs.
 *
 * @param files module files by path, as unpacked from the kernel's package.
 * @param builtin paths of `modules.builtin`: what is built in needs no file.
 * @throws ImageError `not-found` for a module that this kernel does not have, `corrupt` for a circle.
 */
export function chooseModules(
  files: ReadonlyMap<string, Uint8Array>,
  builtin: readonly string[],
  choice: ModuleChoice,
): Module[] {
  const byName = new Map([...files].map(([path, data]) => [moduleName(path), data]));
  const inKernel = new Set(builtin.map(moduleName));
  const done = new Map<string, Module>();
  const open = new Set<string>();
  const add = (name: string, wantedBy: string): void => {
    if (done.has(name) || inKernel.has(name)) return;
    if (open.has(name)) throw new ImageError('corrupt', `module ${name} depends on itself`);
    const file = byName.get(name);
    if (file === undefined)
      throw new ImageError('not-found', `this kernel has no module ${name}, wanted by ${wantedBy}`);
    open.add(name);
    const module = readModule(name, file);
    for (const other of module.depends) add(other, name);
    open.delete(name);
    // A map keeps the order of insertion: that is the load order.
    done.set(name, module);
  };
  for (const name of choice.names) add(moduleName(name), 'the profile');
  for (const name of choice.optional ?? []) if (byName.has(moduleName(name))) add(moduleName(name), 'the profile');
  return [...done.values()];
}

/**
 * `modules.dep`: one line for each module, with everything it needs, nearest first, as depmod(8)
 * writes it. Files lie beside it without folders.
 */
export function modulesDep(modules: readonly Module[]): string {
  const byName = new Map(modules.map((m) => [m.name, m]));
  const needs = (module: Module, seen: Set<string>): Set<string> => {
    for (const name of module.depends) {
      const other = byName.get(name);
      if (other === undefined || seen.has(name)) continue;
      seen.add(name);
      needs(other, seen);
    }
    return seen;
  };
  const lines = modules.map((m) => `${m.name}.ko:${[...needs(m, new Set())].map((n) => ` ${n}.ko`).join('')}\n`);
  return lines.sort().join('');
}

/** `modules.alias`: lets the kernel load a module by what it is for, for example at `mount -t ext4`. */
export function modulesAlias(modules: readonly Module[]): string {
  return modules.flatMap((m) => m.aliases.map((alias) => `alias ${alias} ${m.name}\n`)).join('');
}
