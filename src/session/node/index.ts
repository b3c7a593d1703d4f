/** Sealed sessions on Node: `createSessionsSync` and the key ring in a file. */
export { createSessionsSync } from './sessions.js';
export { nodeCrypto } from './crypto.js';
