/** What is hot is translated once: not again for each place inside it. */
import { describe, it } from 'node:test';
import assert from 'node:assert/strict';
import { assemble } from '../isa/assembler.js';
import { buildCore } from '../core/index.js';
import { createEngine, type Engine, type EngineOptions } from '../engine.js';
import { FRAME_CODE, FRAME_WORDS } from '../state.js';
import { BareHart } from '../testing/bare-hart.js';
import { REGION_DESCRIPTORS, REGION_DESCRIPTOR_SIZE, REGION_STRADDLED, STRADDLES } from '../tlb.js';

const CODE = 0x8000_0000n;
/** Its second half lies in the next page. */
const FRAME = 0x8020_0fe0n;

/** Runs a program until its `ecall`; how many regions that made. */
function regionsOf(source: string, options: EngineOptions): { hart: BareHart; regions: number } {
  let engine: Engine | undefined;
  const hart = new BareHart(undefined, 0, {}, (memory, limits, h, host) => {
    engine = createEngine(buildCore(limits), memory, h, host, options);
    return engine.core;
  });
  hart.load(CODE, assemble(source, CODE, { FRAME }).code);
  hart.privilege = 'S';
  hart.pc = CODE;
  hart.run(10_000_000);
  return { hart, regions: engine?.counters.regions ?? 0 };
}

describe('the translator', () => {
  it('makes a region anew, and no others, whose accesses keep lying in two pages', () => {
    const saves = [0, 8, 16, 24, 32, 40, 48, 56];
    const { hart, regions } = regionsOf(
      `li s0, 0\n li s1, 5000\n la sp, FRAME\n li s2, 0
       again: jal ra, f\n add s2, s2, a0\n addi s0, s0, 1\n blt s0, s1, again\n ecall
       f: mv a0, s0\n ${saves.map((at) => `sd a0, ${at}(sp)`).join('\n')}\n bnez a0, g\n nop
       g: li a0, 0\n ${saves.map((at) => `ld a1, ${at}(sp)\n add a0, a0, a1`).join('\n')}\n ret`,
      { threshold: 100, batch: 1 },
    );
    assert.equal(hart.x(18), 8n * ((4999n * 5000n) / 2n));
    assert.ok(regions <= 5, `${regions} regions`);
    // Of 10,000 times that a region would be left: twice the accesses of a place, in regions that are still there.
    let straddled = 0;
    for (let region = 0; region < 8; region++) {
      const at = hart.h + REGION_DESCRIPTORS + region * REGION_DESCRIPTOR_SIZE + REGION_STRADDLED;
      straddled += hart.words[at >>> 2];
    }
    assert.ok(straddled <= 4 * STRADDLES, `${straddled} times`);
  });

  it('does not translate the blocks of a region that waits to be compiled', () => {
    const blocks = Array.from({ length: 10 }, (_, i) => `bnez s1, b${i}\n nop\n b${i}: addi s2, s2, 1`);
    const { hart, regions } = regionsOf(
      `li s0, 0\n li s1, 1500\n li s2, 0\n again: ${blocks.join('\n')}\n addi s0, s0, 1\n blt s0, s1, again\n ecall`,
      { threshold: 1000, batch: 100 },
    );
    assert.equal(hart.x(18), 15_000n);
    assert.equal(regions, 1);
  });

  it('that drops the regions of a page which a device has written to is not led to them, also before the next fence.i', () => {
    const loops = Array.from({ length: 16 }, (_, i) => `li s1, 20\n l${i}: addi s1, s1, -1\n bnez s1, l${i}`);
    const { hart } = regionsOf(
      `li a0, 0\n li s0, 50\n again: jal ra, f\n addi s0, s0, -1\n bnez s0, again\n ecall
       ${loops.join('\n')}\n jal ra, f\n jal ra, f\n ecall
       .align 12\n f: addi a0, a0, 1\n ret`,
      { threshold: 4, batch: 1, maxRegions: 4 },
    );
    assert.equal(hart.x(10), 50n);
    const word = (hart.get32(FRAME_WORDS) >>> 2) + (hart.host(CODE + 0x1000n) >>> 12);
    assert.notEqual(hart.words[word] & FRAME_CODE, 0, 'the page counts as code');
    hart.words[word] = (hart.words[word] & ~FRAME_CODE) + 2;
    hart.pc += 4n;
    hart.run(10_000_000);
    assert.equal(hart.x(10), 52n);
  });
});
