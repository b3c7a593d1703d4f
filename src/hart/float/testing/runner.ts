import type { Expr } from '../../../wasm/expr.js';
import { call, I32, I64, i32, i64 } from '../../../wasm/expr.js';
import { ModuleBuilder } from '../../../wasm/module.js';
import { FFLAGS } from '../../state.js';
import type { SoftFloat } from '../soft/index.js';
import type { Operation } from './operations.js';
import { operations } from './operations.js';
import { ANSWER_SIZE, RECORD_SIZE } from './reference.js';

const PAGES = 1024;
const RECORDS = 0x1000;

/** Our functions, driven by records of the reference's layout. */
export interface FloatRunner {
  /** Answers for records that are all of operation `index`. */
  run(index: number, records: Uint8Array): Uint8Array;
  /** Runs the records so many times over; for measurements. */
  repeat(index: number, records: Uint8Array, times: number): void;
  /** Largest number of records at a time. */
  readonly capacity: number;
}

export function buildRunner(build: (module: ModuleBuilder) => SoftFloat): FloatRunner {
  const limits = { initial: PAGES, maximum: PAGES };
  const module = new ModuleBuilder(limits);
  const float = build(module);
  operations.forEach((operation, i) => buildLoop(module, operation, float, `run${i}`));
  const memory = new WebAssembly.Memory({ ...limits, shared: true });
  const instance = new WebAssembly.Instance(new WebAssembly.Module(module.toBytes()), { env: { memory } });
  const bytes = new Uint8Array(memory.buffer);
  const capacity = Math.floor((bytes.length - RECORDS) / (RECORD_SIZE + ANSWER_SIZE));
  type Loop = (h: number, records: number, answers: number, count: number) => void;
  const loop = (index: number): Loop => instance.exports[`run${index}`] as Loop;
  const load = (records: Uint8Array): number => {
    if (records.length > capacity * RECORD_SIZE) throw new RangeError('too many records at a time');
    bytes.set(records, RECORDS);
    return records.length / RECORD_SIZE;
  };
  return {
    capacity,
    run(index, records) {
      const count = load(records);
      const answers = RECORDS + records.length;
      loop(index)(0, RECORDS, answers, count);
      return bytes.slice(answers, answers + count * ANSWER_SIZE);
    },
    repeat(index, records, times) {
      const count = load(records);
      for (let i = 0; i < times; i++) loop(index)(0, RECORDS, RECORDS + records.length, count);
    },
  };
}

/** (h, records, answers, count): carries out one operation on each record. */
function buildLoop(module: ModuleBuilder, operation: Operation, float: SoftFloat, name: string): void {
  const f = module.function([I32, I32, I32, I32], undefined, name);
  const [h, record, answer, count] = [f.param(I32, 0), f.param(I32, 1), f.param(I32, 2), f.param(I32, 3)];
  const target = operation.function(float);
  const args: Expr[] = operation.operands.map((kind, n) =>
    kind === 's' ? i32.load(record, 8 + 8 * n) : i64.load(record, 8 + 8 * n),
  );
  if (operation.rm) args.push(i32.load8U(record, 1));
  const result: Expr = call(target, h, ...args);
  f.loop((again) => {
    f.store32(h, i32.load8U(record, 2), FFLAGS);
    const wide = result.type === I32 ? i64.extendU(result as Expr<typeof I32>) : (result as Expr<typeof I64>);
    f.store64(answer, wide);
    f.store64(answer, i64.load32U(h, FFLAGS), 8);
    f.set(record, i32.add(record, i32.const(RECORD_SIZE)));
    f.set(answer, i32.add(answer, i32.const(ANSWER_SIZE)));
    f.set(count, i32.sub(count, i32.const(1)));
    f.brIf(again, count);
  });
  f.return();
}
