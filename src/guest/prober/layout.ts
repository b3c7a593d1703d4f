/**
 * The prober's memory, from the start of the instance's:
 *
 *   + 0x00_0000   header of the image
 *   + 0x00_4000   code: it ends before the next address that is probed
 *   + 0x01_8000   tables
 *   + 0x04_0100   what the host and the prober say to each other
 *   + 0x04_1000   instructions that it makes up
 *   + 0x04_2000   answers at this address, at the one before
 *   + 0x04_4000   queues and buffers of devices
 *   + 0x05_0000   stack, downwards
 *   + 0x80_0000   transcript
 *   + 0xc0_0000   a page for devices to write into
 */
import { RAM_START } from '../../partition/address-space.js';

export const CODE = RAM_START + 0x4000;
export const CODE_SIZE = 0xc000;
export const TABLES = RAM_START + 0x1_8000;
export const TABLES_SIZE = 0x2_8000;
export const CONTROL = RAM_START + 0x4_0100;
export const SLOT = RAM_START + 0x4_1000;
export const ANSWERS = RAM_START + 0x4_2000;
export const BEFORE = RAM_START + 0x4_3000;
export const QUEUES = RAM_START + 0x4_4000;
export const STACK = RAM_START + 0x5_0000;
export const IMAGE_SIZE = 0x10_0000;
export const TRANSCRIPT = RAM_START + 0x80_0000;
export const TRANSCRIPT_SIZE = 0x40_0000;
export const PLAYGROUND = RAM_START + 0xc0_0000;
/** The least memory of an instance that is probed. */
export const LEAST_MEMORY = 0x180_0000;

/** Doublewords at CONTROL: rounds that the host wants, rounds that are done, bytes of the last transcript. */
export const ASKED = 0;
export const DONE = 8;
export const LENGTH = 16;
/** What the prober keeps for itself there: where the device tree lies, and the answer that was told last. */
export const TREE = 24;
export const LAST = 32;

/** A record of the transcript: four doublewords, of which the first says what was asked. */
export const RECORD = 32;

/**
 * What was asked, in bits 7:0 of a record's first doubleword; bits 63:8 say which. `where` is an address or a number, `cause`
 * an exception's code or -1 for none.
 */
export const ASK = {
  memoryAtBoot: 1,
  deviceTree: 2,
  access: 3,
  csrRead: 4,
  csrWrite: 5,
  instruction: 6,
  sbi: 7,
  plic: 8,
  pci: 9,
  bar: 10,
  uart: 11,
  clock: 12,
  dma: 13,
  interrupt: 14,
} as const;
