/** Whole Debian systems on disks, made of packages. */
export { findTree, listTrees, prepareTree, type PreparedTree, type TreeOptions } from './prepare.js';
export type { TreeManifest } from './manifest.js';
