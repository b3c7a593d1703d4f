/** What a computer, a boot and a disk are told, checked as a whole; what each option means is said where it is declared. */
import { DiskDevice } from '../interposition/kinds/disk.js';
import { checkShare } from '../net/index.js';
import {
  checkBytes,
  checkCount,
  checkList,
  checkName,
  checkOptions,
  checkPath,
  checkSource,
  checkSwitch,
  checkText,
  MOST_CHARACTERS,
  refuse,
} from './checks.js';
import type { BootOptions, DiskFile, DiskOptions } from './boot-options.js';
import type { ComputerOptions } from './computer.js';

const PAGE = 4096;
const MAX_HARTS = 64;

/** Calls `check` with what is there: an option that is absent has the value that its comment says. */
function whenGiven<T>(value: T | undefined, check: (value: T) => unknown): void {
  if (value !== undefined) check(value);
}

/** Throws SystemError `invalid`. */
export function checkComputer(options: ComputerOptions): void {
  checkOptions('what a computer is made with', options);
  const { memory, harts, maxMemory, maxHarts, network, profile } = options;
  whenGiven(harts, (n) => checkCount('harts', n, 1, MAX_HARTS));
  whenGiven(maxHarts, (n) => checkCount('maxHarts', n, 1, MAX_HARTS));
  whenGiven(memory, (n) => checkBytes('memory', n));
  whenGiven(maxMemory, (n) => checkBytes('maxMemory', n));
  whenGiven(profile, (on) => checkSwitch('profile', on));
  if (network !== undefined && network !== false) checkOptions('network', network);
}

/** What can be said of each option by itself. Throws SystemError `invalid`, NetError `BAD_CONFIG` (a share of the network). */
export function checkBoot(options: BootOptions): void {
  checkOptions('what is booted', options);
  const { name, memory, maxMemory, harts, maxHarts, columns, rows, network } = options;
  whenGiven(name, (word) => checkName('name', word));
  whenGiven(memory, (n) => checkBytes('memory', n, { least: PAGE, unit: PAGE }));
  whenGiven(maxMemory, (n) => checkBytes('maxMemory', n, { least: PAGE, unit: PAGE }));
  whenGiven(options.guaranteed, (n) => checkBytes('guaranteed', n, { least: 0 }));
  whenGiven(harts, (n) => checkCount('harts', n, 1));
  whenGiven(maxHarts, (n) => checkCount('maxHarts', n, 1));
  whenGiven(columns, (n) => checkCount('columns', n, 1, MOST_CHARACTERS));
  whenGiven(rows, (n) => checkCount('rows', n, 1, MOST_CHARACTERS));
  whenGiven(options.bootArguments, (text) => checkText('bootArguments', text));
  whenGiven(options.commandLine, (text) => checkText('commandLine', text));
  whenGiven(options.forwards, (list) =>
    checkList('forwards', list).forEach((forward, i) => checkOptions(`forwards[${i}]`, forward)),
  );
  whenGiven(options.ports, (list) => checkList('ports', list).forEach((port, i) => checkOptions(`ports[${i}]`, port)));
  whenGiven(options.disks, (list) =>
    checkList('disks', list).forEach((disk, i) => {
      if (!(disk instanceof DiskDevice)) checkDisk(`disks[${i}]`, disk);
    }),
  );
  if (network !== undefined && typeof network !== 'boolean') {
    checkOptions('network', network);
    if (!('plug' in network)) checkShare(network);
  }
  if (options.image === undefined) checkKernel(options.kernel, options.initramfs);
  else {
    const { kernel, initramfs } = checkOptions('image', options.image);
    checkSource('image.kernel', kernel);
    checkSource('image.initramfs', initramfs);
    whenGiven(options.run, (script) => checkText('run', script));
    whenGiven(options.files, (files) => checkOptions('files', files));
  }
}

function checkKernel(kernel: unknown, initramfs: unknown): void {
  checkSource('kernel', kernel);
  if (Array.isArray(initramfs)) initramfs.forEach((source, i) => checkSource(`initramfs[${i}]`, source));
  else if (initramfs !== undefined) checkSource('initramfs', initramfs);
}

/** A disk by its path, or a file with more about it, or a backend, which is trusted to be one if it can read. */
export function checkDisk(option: string, disk: DiskOptions): void {
  if (typeof disk === 'string') return void checkPath(option, disk);
  const given: unknown = disk;
  if (typeof given === 'object' && given !== null) {
    if ('read' in given && typeof given.read === 'function') return;
    if ('path' in given) return checkFile(option, given as Readonly<Record<keyof DiskFile, unknown>>);
  }
  refuse(option, 'the path of a file, { path, … }, or what can read and write as a disk', given);
}

function checkFile(option: string, file: Readonly<Record<keyof DiskFile, unknown>>): void {
  checkPath(`${option}.path`, file.path);
  whenGiven(file.mostChanges, (n) => checkBytes(`${option}.mostChanges`, n, { least: 0 }));
  for (const key of ['readOnly', 'raw', 'lock', 'discardChanges'] as const) {
    whenGiven(file[key], (on) => checkSwitch(`${option}.${key}`, on));
  }
}
