/** The bench measures what it says, and says nothing when machines disagree. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { compilePrograms } from '../bench/compile.js';
import { BenchError } from '../bench/errors.js';
import { killMachines, type MachineCommand } from '../bench/console-process.js';
import { Machine } from '../bench/machine.js';
import { checkProbe, Lane, measureProgram, type ProgramFigures } from '../bench/measure.js';
import { geometricMean, median } from '../bench/median.js';
import { nativeCommand } from '../bench/peers/native.js';
import { programsFolder } from '../bench/places.js';
import { PROBE, PROGRAMS } from '../bench/programs.js';
import { firstOverLater, jsonReport, peerOverOurs, tableReport, type Findings } from '../bench/report.js';
import { residentMemory, splitResident } from '../bench/soak/resident.js';

const plan = { rounds: 2, boots: 1, seconds: 0.001, budget: Infinity };
const hasCompiler = spawnSync('gcc', ['--version']).status === 0;
const has = (code: string) => (error: unknown) => error instanceof BenchError && error.code === code;

describe('programs and their runner', { skip: hasCompiler ? false : 'no C compiler' }, () => {
  let folder: string;
  let command: MachineCommand;
  let native: Machine;
  before(async () => {
    folder = mkdtempSync(join(tmpdir(), 'bench-test-'));
    command = nativeCommand(compilePrograms('native', programsFolder, folder));
    native = await Machine.start(command);
  });
  after(() => {
    killMachines();
    rmSync(folder, { recursive: true, force: true });
  });

  for (const { name } of [{ name: PROBE }, ...PROGRAMS.filter((program) => program.packages === undefined)]) {
    it(`${name} gives the same result whatever the number of iterations`, async () => {
      const once = await native.run(name, 1);
      assert.equal((await native.run(name, 3)).checksum, once.checksum);
    });
  }

  it('knows results that can be known otherwise', async () => {
    assert.equal(BigInt(`0x${(await native.run('fib', 1)).checksum}`), 196418n);
    assert.equal(BigInt(`0x${(await native.run('sieve', 1)).checksum}`), 564163n);
    assert.equal(BigInt(`0x${(await native.run('latecode', 1)).checksum}`), 1n);
  });

  it('runs copies at once and counts the time of all', async () => {
    const one = await native.run('fib', 20);
    const two = await native.run('fib', 20, 2);
    assert.equal(two.checksum, one.checksum);
    assert.ok(two.cpu > 1.4 * one.cpu, `${two.cpu} and ${one.cpu} ns`);
  });

  it('a program that does not exist is an error, and the runner goes on', async () => {
    await assert.rejects(native.run('nonsense', 1), has('program'));
    await native.run('fib', 1);
  });

  it('a machine that dies is noticed, with its last words', async () => {
    const machine = await Machine.start({
      name: 'dying',
      command: 'sh',
      args: ['-c', 'echo @serve; read x; echo oops'],
    });
    await assert.rejects(machine.run('fib', 1), (error) => has('died')(error) && String(error).includes('oops'));
  });

  it('a machine that computes something else stops the bench', async () => {
    const liar = join(folder, 'liar');
    const answers =
      'while read x; do case $x in run*) echo @ready;; go) echo @done 0123456789abcdef 5 5; echo @exit;; esac; done';
    writeFileSync(liar, `#!/bin/sh\necho @serve\n${answers}\n`);
    chmodSync(liar, 0o755);
    const wrong: MachineCommand = { name: 'qemu', command: liar, args: [] };
    const machine = await Machine.start(wrong);
    await assert.rejects(checkProbe(native, [machine]), has('disagree'));
    const failed = (): void => assert.fail('a wrong result is no failure of one peer');
    await assert.rejects(
      measureProgram('fib', native, [new Lane('qemu', wrong)], plan, Infinity, failed),
      has('disagree'),
    );
  });

  it('a peer that fails is missing, with the reason', async () => {
    const failing: MachineCommand = {
      name: 'v86',
      command: 'sh',
      args: ['-c', 'echo @serve; read x; echo @failed no such program; echo @exit; read y'],
    };
    const reasons: string[] = [];
    const lanes = [new Lane('v86', failing), new Lane('qemu', command)];
    const figures = await measureProgram('fib', native, lanes, plan, Infinity, (_, reason) => reasons.push(reason));
    assert.equal(figures.guests.v86, null);
    assert.match(reasons[0], /no such program/);
    const { native: reference, guests } = figures;
    assert.ok(reference !== null && guests.qemu !== null);
    // The same executable, once by its own account and once by the process's, children not counted.
    assert.ok(reference.time > 0);
  });
});

describe('the report', () => {
  const figure = (time: number, first = 1.2) => ({ time, first });
  const program = (name: string, ours: number, qemu: number | null, first?: number): ProgramFigures => ({
    name,
    native: figure(10),
    guests: { understudy: figure(ours, first), qemu: qemu === null ? null : figure(qemu, NaN), v86: null },
  });
  const programs = [program('core', 100, 200, 0.9), program('fib', 100, 800, 1.6), program('sort', 100, null)];
  const findings: Findings = {
    programs,
    boot: { understudy: 1.5, qemu: 2, v86: null },
    resident: { understudy: 2 ** 28, qemu: 2 ** 27, v86: null },
    smp: 1.9,
    versions: { node: 'v20' },
    conditions: { cores: 2 },
    missing: ['v86: not there'],
  };

  it('means over the programs that both machines ran', () => {
    assert.equal(peerOverOurs(programs, 'qemu')?.toFixed(6), '4.000000');
    assert.equal(peerOverOurs(programs, 'v86'), null);
    assert.equal(firstOverLater(programs, 'understudy')?.toFixed(6), '1.200000');
    // It ran once only.
    assert.equal(firstOverLater(programs, 'qemu'), null);
    assert.equal(geometricMean([]), null);
    assert.equal(median([3, 1, 2]), 2);
    assert.equal(median([4, 1, 2, 3]), 2.5);
  });

  it('is null where a peer is missing', () => {
    const json = JSON.parse(JSON.stringify(jsonReport(findings))) as Record<string, unknown>;
    assert.deepEqual((json['programs'] as unknown[])[2], {
      name: 'sort',
      native: 10,
      understudy: 100,
      qemu: null,
      v86: null,
      firstRun: { understudy: 1.2, qemu: null, v86: null },
    });
    assert.deepEqual(json['geomean'], { qemu: 4, v86: null });
    assert.deepEqual(json['firstRun'], { understudy: 1.2, qemu: null, v86: null });
    assert.deepEqual(json['boot'], { understudy: 1.5, qemu: 2, v86: null });
    assert.equal(json['rssMiB'], 256);
    assert.equal(json['smp'], 1.9);
  });

  it('is a table that names what is missing', () => {
    const table = tableReport(findings);
    assert.match(table, /^fib .*8\.00 .*1\.60/m);
    assert.match(table, /^geomean .*4\.00 .*1\.20/m);
    assert.match(table, /^missing: v86: not there$/m);
  });
});

describe('resident memory', () => {
  const smaps = `10000-30000 r-xp 00000000 fe:00 1 /usr/bin/node
Rss:                  64 kB
Pss:                   1 kB
VmFlags: rd ex
7f0000000000-7f0000100000 ---p 00000000 00:00 0
Rss:                   0 kB
7f0000100000-7f0000200000 rw-p 00000000 00:00 0
Rss:                 512 kB
Shared_Dirty:        512 kB
7f0000200000-7f0000400000 rw-p 00000000 00:00 0 [heap]
Rss:                  32 kB
`;
  it('is that of the machine, the mapping of its length, and the rest', () => {
    assert.deepEqual(splitResident(smaps, 0x10_0000), { machine: 512 * 1024, host: 96 * 1024 });
  });

  it('is not told apart where no mapping or several could be the machine', () => {
    assert.throws(() => splitResident(smaps, 0x30_0000), has('missing'));
    assert.throws(() => splitResident(smaps.replace('---p', 'rw-p'), 0x10_0000), has('missing'));
  });

  it('finds a shared memory of this process', { skip: process.platform !== 'linux' }, () => {
    const memory = new WebAssembly.Memory({ initial: 777, maximum: 777, shared: true });
    const bytes = memory.buffer.byteLength;
    new Uint8Array(memory.buffer).fill(1, 0, 2 ** 20);
    const { machine, host } = residentMemory(process.pid, bytes);
    assert.ok(machine >= 2 ** 20 && machine < 2 ** 22, String(machine));
    assert.ok(host > 2 ** 24, String(host));
  });
});
