/**
 * The reference: each instruction executed by a program for Linux on RISC-V under qemu's user emulation.
 *
 * A record, little endian, 32 bytes; an answer, 16 bytes:
 *
 *   0  operation u8 | rm u8 | flags before u8 | 0 …     0  result u64 (a single zero-extended)
 *   8  a u64     16  b u64     24  c u64               8  flags after u64
 */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Operation, OperandKind } from './operations.js';
import { operations } from './operations.js';

export const RECORD_SIZE = 32;
export const ANSWER_SIZE = 16;

const MISSING = 'the reference needs the Debian packages gcc-riscv64-linux-gnu and qemu-user-static';

const moveIn = (kind: OperandKind, register: string, from: string): string =>
  kind === 's' ? `fmv.w.x ${register}, ${from}\\n` : kind === 'd' ? `fmv.d.x ${register}, ${from}\\n` : '';

function caseOf({ name, operands, result }: Operation, i: number): string {
  const inputs = ['%2', '%3', '%4'];
  const registers = operands.map((kind, n) => (kind === 'x' ? inputs[n] : `ft${n}`));
  const target = result === 'x' ? '%0' : 'ft3';
  const moves = operands.map((kind, n) => moveIn(kind, `ft${n}`, inputs[n])).join('');
  const out = result === 'x' ? '' : `fmv.x.${result === 's' ? 'w' : 'd'} %0, ft3\\n`;
  const zeroExtend = result === 's' ? ' result = (uint32_t)result;' : '';
  return `    case ${i}: asm volatile("fsrm %5\\nfsflags %6\\n${moves}${name} ${[target, ...registers].join(', ')}\\nfrflags %1\\n${out}"
      : "=&r"(result), "=&r"(flags) : "r"(r->a), "r"(r->b), "r"(r->c), "r"((long)r->rm), "r"((long)r->flags)
      : "ft0", "ft1", "ft2", "ft3");${zeroExtend} break;`;
}

const source = `
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
struct record { uint8_t op, rm, flags, pad[5]; uint64_t a, b, c; };
struct answer { uint64_t result, flags; };
static struct record in[4096];
static struct answer out[4096];
int main(void) {
  size_t n;
  while ((n = fread(in, sizeof *in, 4096, stdin)) > 0) {
    for (size_t i = 0; i < n; i++) {
      struct record *r = in + i;
      uint64_t result = 0, flags = 0;
      switch (r->op) {
${operations.map(caseOf).join('\n')}
      default: abort();
      }
      out[i].result = result;
      out[i].flags = flags;
    }
    if (fwrite(out, sizeof *out, n, stdout) != n) return 1;
  }
  return 0;
}
`;

export interface Reference extends Disposable {
  /** Answers for a buffer of records. */
  run(records: Uint8Array): Uint8Array;
}

export function buildReference(): Reference {
  const folder = mkdtempSync(join(tmpdir(), 'float-reference-'));
  const remove = (): void => rmSync(folder, { recursive: true, force: true });
  const program = join(folder, 'reference');
  writeFileSync(`${program}.c`, source);
  const compile = spawnSync('riscv64-linux-gnu-gcc', ['-O1', '-static', '-o', program, `${program}.c`]);
  if (compile.error !== undefined || compile.status !== 0) {
    remove();
    throw new Error(`${MISSING}: ${compile.error?.message ?? compile.stderr.toString()}`);
  }
  return {
    run(records) {
      const expected = (records.length / RECORD_SIZE) * ANSWER_SIZE;
      const { error, status, stdout } = spawnSync('qemu-riscv64-static', [program], {
        input: records,
        maxBuffer: expected + 4096,
      });
      if (error !== undefined) throw new Error(`${MISSING}: ${error.message}`);
      if (status !== 0 || stdout.length !== expected) throw new Error(`the reference ended with status ${status}`);
      return stdout;
    },
    [Symbol.dispose]: remove,
  };
}
