/** Folders of a service's own: what it writes to, and no more, for all of it goes along. */
import type { OwnFolder } from '../../src/index.js';

const EMPTY: readonly OwnFolder[] = [
  { path: '/run', contents: false },
  { path: '/tmp', mode: 0o1777, contents: false },
  { path: '/dev/shm', mode: 0o1777, contents: false },
];

/** `paths`: folders that begin with what the tree has there. */
export const ownFolders = (...paths: readonly string[]): readonly OwnFolder[] => [
  ...EMPTY,
  ...paths.map((path) => ({ path, contents: true })),
];
