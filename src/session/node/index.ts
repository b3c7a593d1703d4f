/** Sealed sessions on Node: `createSessionsSync`, and the key ring in a file. See docs/sessions.md. */
export { createSessionsSync } from './sessions.js';
export { nodeCrypto } from './crypto.js';
export { openRing } from './shared-ring.js';
export type { RingNotice, SharedRingOptions } from './shared-ring.js';
export { changeRingFile, readRingFile } from './ring-file.js';
export type { ReadOptions } from './ring-file.js';
