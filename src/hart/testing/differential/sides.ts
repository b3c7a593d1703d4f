/** The two sides of a comparison: QEMU's user emulation, and a bare hart of ours. */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { EXIT_SBI } from '../../exits.js';
import { SCAUSE, SEPC, STVAL, STVEC } from '../../state.js';
import { BareHart, bareMemory } from '../bare-hart.js';
import { BASE, type Batch } from './batch.js';
import { elfExecutable } from './elf.js';
import { CONTEXT_RETURN, CONTEXT_SIZE } from './program.js';

/** What a program left: its context, or what went wrong instead. */
export type Outcome = { readonly context: Uint8Array } | { readonly failure: string };

const hex = (value: bigint): string => `0x${BigInt.asUintN(64, value).toString(16)}`;

/** Runs batches under qemu-riscv64-static. Throws if it is not installed. */
export class Reference implements Disposable {
  private readonly folder = mkdtempSync(join(tmpdir(), 'hart-reference-'));

  /** All outcomes, or why the whole batch ended early. */
  run(batch: Batch): readonly Outcome[] | { readonly failure: string } {
    const path = join(this.folder, 'programs');
    writeFileSync(path, elfExecutable(batch.image, BASE, BASE), { mode: 0o700 });
    const { size } = batch.contexts;
    const { error, signal, status, stdout } = spawnSync('qemu-riscv64-static', [path], {
      maxBuffer: size + 4096,
      timeout: 60_000,
    });
    if (error !== undefined && 'code' in error && error.code === 'ENOENT') {
      throw new Error('the reference needs the Debian package qemu-user-static');
    }
    if (status !== 0 || stdout.length !== size) return { failure: `ended with ${signal ?? error ?? status}` };
    return batch.programs.map((_, i) => ({
      context: new Uint8Array(stdout.subarray(i * CONTEXT_SIZE, (i + 1) * CONTEXT_SIZE)),
    }));
  }

  [Symbol.dispose](): void {
    rmSync(this.folder, { recursive: true, force: true });
  }
}

const RAM_PAGES = 4096;
const BUDGET = 20_000;

/** Runs programs on a bare hart, in supervisor mode without translation. */
export class Subject {
  private readonly hart = new BareHart(bareMemory({ ramBase: BigInt(BASE), ramPages: RAM_PAGES }));

  run(batch: Batch): readonly Outcome[] {
    const { hart } = this;
    if (batch.image.length > RAM_PAGES * 4096) throw new RangeError('the batch is too large for the bare hart');
    hart.load(BigInt(BASE), batch.image);
    return batch.programs.map((_, i) => this.runOne(batch, i));
  }

  private runOne(batch: Batch, i: number): Outcome {
    const { hart } = this;
    const context = BigInt(batch.contexts.at + i * CONTEXT_SIZE);
    hart.reset();
    hart.write64(context + BigInt(CONTEXT_RETURN), BigInt(batch.finish));
    hart.set(STVEC, batch.trapped);
    hart.setX(10, BigInt(batch.anchors[i]));
    hart.pc = BigInt(batch.entries[i]);
    const reason = hart.run(BUDGET);
    if (reason === EXIT_SBI && hart.pc === BigInt(batch.finish)) return { context: hart.read(context, CONTEXT_SIZE) };
    if (reason === EXIT_SBI && hart.pc === BigInt(batch.trapped)) {
      const [cause, epc, tval] = [SCAUSE, SEPC, STVAL].map((offset) => hex(hart.get(offset)));
      return { failure: `trap: scause ${cause}, sepc ${epc}, stval ${tval}` };
    }
    return { failure: `left with ${reason} at ${hex(hart.pc)}` };
  }
}
