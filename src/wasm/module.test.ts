import { test } from 'node:test';
import assert from 'node:assert/strict';
import { call, choose, I32, I64, i32, i64, select } from './expr.js';
import { ModuleBuilder } from './module.js';

const limits = { initial: 1, maximum: 1 };
function instantiate(module: ModuleBuilder): Record<string, (...args: number[]) => unknown> {
  const memory = new WebAssembly.Memory({ ...limits, shared: true });
  return new WebAssembly.Instance(new WebAssembly.Module(module.toBytes()), { env: { memory } })
    .exports as unknown as Record<string, (...args: number[]) => unknown>;
}

test('64-bit constants survive their variable-length encoding', () => {
  const values: [number, number][] = [
    [0, 0],
    [0, 63],
    [0, 64],
    [-1, -1],
    [-1, -64],
    [-1, -65],
    [0, 0x7fffffff],
    [0, -1],
    [-1, 0],
    [0x7fffffff, -1],
    [-0x80000000, 0],
    [0x12345678, 0x9abcdef0 | 0],
  ];
  const module = new ModuleBuilder(limits);
  values.forEach(([hi, lo], i) => module.function([], I64, `c${i}`).return(i64.pair(hi, lo)));
  const exports = instantiate(module);
  values.forEach(([hi, lo], i) =>
    assert.equal(exports[`c${i}`](), BigInt.asIntN(64, (BigInt(hi) << 32n) | BigInt(lo >>> 0))),
  );
});

test('loops, branches, calls and locals', () => {
  const module = new ModuleBuilder(limits);
  const square = module.function([I32], I32);
  square.return(i32.mul(square.param(I32, 0), square.param(I32, 0)));
  const sum = module.function([I32], I32, 'sumOfSquares');
  const n = sum.param(I32, 0);
  const total = sum.local(I32);
  sum.block((done) => {
    sum.loop((again) => {
      sum.brIf(done, i32.eqz(n));
      sum.set(total, i32.add(total, call(square, n)));
      sum.set(n, i32.sub(n, i32.const(1)));
      sum.br(again);
    });
  });
  sum.return(total);
  assert.equal(instantiate(module)['sumOfSquares'](10), 385);
});

test('select evaluates both sides, choose only one', () => {
  const module = new ModuleBuilder(limits);
  const f = module.function([I32], I32, 'f');
  const a = f.param(I32, 0);
  f.return(i32.add(choose(a, i32.divS(i32.const(100), a), i32.const(-1)), select(a, i32.const(1), i32.const(0))));
  const exports = instantiate(module);
  assert.equal(exports['f'](0), -1);
  assert.equal(exports['f'](5), 21);
});

test('a scope gives its locals back', () => {
  const module = new ModuleBuilder(limits);
  const f = module.function([], I32, 'f');
  let first = -1;
  f.scope(() => {
    first = f.local(I32).op;
  });
  f.scope(() => assert.equal(f.local(I32).op, first));
  f.return(i32.const(1));
  assert.equal(instantiate(module)['f'](), 1);
});
