/** What a prober has written down, for those who compare and those who read it. */
import { ACCESSES } from './assembly.js';
import { calls } from './calls.js';
import { PARTS, TARGETS } from './dma.js';
import { ASK, RECORD } from './layout.js';
import { instructionNames } from './registers.js';

/** One answer. */
export interface Answer {
  /** What was asked, by its name in ASK. */
  readonly asked: keyof typeof ASK;
  /** Which of its kind. */
  readonly what: number;
  /** An address or a number. */
  readonly where: bigint;
  /** The code of an exception, -1 for none; of a call, its error. */
  readonly cause: bigint;
  readonly value: bigint;
}

/** Where two transcripts are not the same. */
export interface Difference {
  /** Number of the record. */
  readonly at: number;
  /** Both records in words; undefined: that transcript is over. */
  readonly one: string | undefined;
  readonly other: string | undefined;
}

const names = new Map<number, keyof typeof ASK>(
  Object.entries(ASK).map(([name, number]) => [number, name as keyof typeof ASK]),
);

/** The answers in a transcript. Throws RangeError if it is none. */
export function answersIn(transcript: Uint8Array): Answer[] {
  if (transcript.length % RECORD !== 0) throw new RangeError(`${transcript.length} bytes are no transcript`);
  return Array.from({ length: transcript.length / RECORD }, (_, i) => answerAt(transcript, i));
}

function answerAt(transcript: Uint8Array, record: number): Answer {
  const view = new DataView(transcript.buffer, transcript.byteOffset + record * RECORD, RECORD);
  const asked = names.get(view.getUint8(0));
  if (asked === undefined) throw new RangeError(`record ${record} asks nothing that a prober asks`);
  return {
    asked,
    what: Number(view.getBigUint64(0, true) >> 8n),
    where: view.getBigUint64(8, true),
    cause: view.getBigInt64(16, true),
    value: view.getBigUint64(24, true),
  };
}

/** The first record in which two transcripts differ; undefined: they are the same, byte for byte. */
export function firstDifference(one: Uint8Array, other: Uint8Array): Difference | undefined {
  const most = Math.max(one.length, other.length);
  let at = 0;
  while (at < most && one[at] === other[at]) at++;
  if (at === most) return undefined;
  const record = Math.floor(at / RECORD);
  const words = (transcript: Uint8Array): string | undefined =>
    (record + 1) * RECORD <= transcript.length ? describe(answerAt(transcript, record)) : undefined;
  return { at: record, one: words(one), other: words(other) };
}

const hex = (value: bigint): string => `0x${value.toString(16)}`;

/** An answer in words. */
export function describe(answer: Answer): string {
  const { asked, what, where, cause, value } = answer;
  const said = cause === -1n ? hex(value) : `exception ${cause} (${hex(value)})`;
  switch (asked) {
    case 'access':
      return `${ACCESSES[what] ?? what} at ${hex(where)}: ${said}`;
    case 'csrRead':
      return `CSR ${hex(where)} read, ${['floating point off', 'supervisor mode', 'user mode'][what] ?? what}: ${said}`;
    case 'csrWrite':
      return `CSR ${hex(where)} written, pattern ${what}: ${said}`;
    case 'instruction':
      return `instruction "${instructionNames[Number(where)] ?? where}" in ${what === 0 ? 'supervisor' : 'user'} mode: ${said}`;
    case 'sbi':
      return `${call(what, where)}: error ${cause}, value ${hex(value)}, sip ${hex(BigInt(what) >> 1n)}`;
    case 'dma':
      return `device in slot ${what & 0xff}, ${PARTS[what >> 8] ?? what} at ${hex(where)}: ${outcome(cause)}, status byte ${hex(value)}`;
    default:
      return `${asked} ${hex(BigInt(what))} at ${hex(where)}: ${said}`;
  }
}

function call(what: number, where: bigint): string {
  if ((what & 1) !== 0) return `SBI, hart or byte ${where} (${what})`;
  const asked = list()[Number(where)];
  if (asked === undefined) return `SBI call ${where}`;
  return `SBI ${hex(asked.extension)} function ${asked.fn} (${asked.args.map((arg) => hex(BigInt.asUintN(64, arg))).join(', ')})`;
}

const outcome = (bits: bigint): string =>
  bits === 1n ? 'done' : bits === 64n ? 'the device needs a reset' : 'nothing';

let known: ReturnType<typeof calls> | undefined;
const list = (): ReturnType<typeof calls> => (known ??= calls());

/** How many accesses by devices a transcript tells of that were not done. */
export function refusedIn(transcript: Uint8Array): number {
  return answersIn(transcript).filter(({ asked, cause, value }) => asked === 'dma' && (cause !== 1n || value === 1n))
    .length;
}

/** Targets of devices, for who wants to know what was tried. */
export const dmaTargets: readonly bigint[] = TARGETS;
