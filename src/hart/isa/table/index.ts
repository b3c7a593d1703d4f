/** The instruction table: every instruction the hart knows, described once. */
import { atomic } from './atomic.js';
import { bits } from './bits.js';
import { float } from './float.js';
import { integer } from './integer.js';
import type { Instruction } from './instruction.js';
import { loadStore } from './load-store.js';
import { multiply } from './multiply.js';
import { system } from './system.js';

export const instructions: readonly Instruction[] = [
  ...integer,
  ...loadStore,
  ...multiply,
  ...bits,
  ...atomic,
  ...system,
  ...float,
];
