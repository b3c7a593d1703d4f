/**
 * Copying and filling host memory, for translated loops that do it (translator/idiom.ts).
 *
 * By words of 64 bits, from the first byte on: what the guest accesses aligned stays in one
 * piece, as far as the host's unaligned accesses of a word do not tear its aligned parts (x86-64,
 * and arm64's, do not). The host's own bulk operations on shared memory promise less; copying by
 * them goes byte by byte where the two places are not aligned alike.
 */
import { I32, I64, i32, i64, type Callable, type ExprI32, type Local } from '../../wasm/expr.js';
import type { FunctionBuilder } from '../../wasm/function.js';
import type { ModuleBuilder } from '../../wasm/module.js';

export interface BulkFunctions {
  readonly copyBytes: Callable<undefined>;
  readonly fillBytes: Callable<undefined>;
}

export function buildBulk(module: ModuleBuilder): BulkFunctions {
  return { copyBytes: buildCopy(module), fillBytes: buildFill(module) };
}

/** Words done in one turn of the fast loop. */
const UNROLLED = 8;

function buildCopy(module: ModuleBuilder): Callable<undefined> {
  const f = module.function([I32, I32, I32], undefined, 'copyBytes');
  const to = f.param(I32, 0);
  const from = f.param(I32, 1);
  const left = f.param(I32, 2);
  const words = (count: number) => (): void => {
    for (let at = 0; at < 8 * count; at += 8) f.store64(to, i64.load(from, at), at);
  };
  whileMore(f, left, 8 * UNROLLED, [to, from], words(UNROLLED));
  whileMore(f, left, 8, [to, from], words(1));
  whileMore(f, left, 4, [to, from], () => f.store32(to, i32.load(from)));
  whileMore(f, left, 2, [to, from], () => f.store16(to, i32.load16U(from)));
  whileMore(f, left, 1, [to, from], () => f.store8(to, i32.load8U(from)));
  return f;
}

/** From this many bytes on the host's own filling is worth the call. */
const WORTH_FILLING = 512;

function buildFill(module: ModuleBuilder): Callable<undefined> {
  const f = module.function([I32, I64, I32], undefined, 'fillBytes');
  const to = f.param(I32, 0);
  const pattern = f.param(I64, 1);
  const left = f.param(I32, 2);
  f.if(i32.geU(left, i32.const(WORTH_FILLING)), () => {
    f.if(i64.eq(pattern, i64.rotl(pattern, i64.const(8))), () => {
      f.fill(to, i32.wrap(pattern), left);
      f.return();
    });
  });
  const words = (count: number) => (): void => {
    for (let at = 0; at < 8 * count; at += 8) f.store64(to, pattern, at);
  };
  whileMore(f, left, 8 * UNROLLED, [to], words(UNROLLED));
  whileMore(f, left, 8, [to], words(1));
  // Fewer are left only if the pattern repeats itself within them.
  whileMore(f, left, 4, [to], () => f.store64Low(32, to, pattern));
  whileMore(f, left, 2, [to], () => f.store64Low(16, to, pattern));
  whileMore(f, left, 1, [to], () => f.store64Low(8, to, pattern));
  return f;
}

/** Repeats `body` and moves on by `size` while so many bytes are left. */
function whileMore(
  f: FunctionBuilder,
  left: Local<typeof I32>,
  size: number,
  moving: readonly Local<typeof I32>[],
  body: () => void,
): void {
  const enough = (): ExprI32 => i32.geU(left, i32.const(size));
  f.if(enough(), () =>
    f.loop((again) => {
      body();
      for (const local of moving) f.set(local, i32.add(local, i32.const(size)));
      f.set(left, i32.sub(left, i32.const(size)));
      f.brIf(again, enough());
    }),
  );
}
