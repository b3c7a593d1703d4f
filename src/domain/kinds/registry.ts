import type { FileKind, ProcessKind } from './kind.js';
import { pathFile } from './path-file.js';

/** Kinds of open files. The first that matches is asked. */
export const fileKinds: readonly FileKind[] = [pathFile];

/** Kinds of what a process has, in the order they are asked. */
export const processKinds: readonly ProcessKind[] = [];
