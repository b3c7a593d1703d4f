/** Shells in a guest: what they write is exact, what they answer is true, and none can spoil another. */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { after, before, describe, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { Computer, type Instance, type Shell } from '../src/index.js';
import { KERNELS, MIB, testImage } from './testing/images.js';

const sha256 = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex');

for (const kernel of KERNELS) {
  describe(`shells in ${kernel}`, () => {
    let computer: Computer;
    let guest: Instance;
    let shell: Shell;
    before(async () => {
      computer = await Computer.create({ memory: 256 * MIB, harts: 1, network: false });
      guest = await computer.boot({ image: await testImage(kernel), ports: [{ name: 'users' }] });
      shell = await guest.shell();
    });
    after(() => computer.close());

    test('megabytes come byte for byte, and the process goes on meanwhile', { timeout: 240_000 }, async () => {
      await shell.check('head -c 8m /dev/urandom > /tmp/data; printf "\\r\\n\\0\\nno end" >> /tmp/data');
      let longest = 0;
      let last = performance.now();
      const timer = setInterval(() => {
        longest = Math.max(longest, performance.now() - last);
        last = performance.now();
      }, 5);
      const { bytes, status } = await shell.run('cat /tmp/data', { timeout: 120_000 });
      clearInterval(timer);
      assert.equal(status, 0);
      assert.equal(bytes.length, 8 * MIB + 10);
      assert.equal(sha256(bytes), (await shell.check('sha256sum < /tmp/data; rm /tmp/data')).split(' ')[0]);
      assert.ok(longest < 1000, `a timer waited for ${longest.toFixed()} ms`);
    });

    test('twice as much takes about twice as long', { timeout: 240_000 }, async () => {
      const time = async (mebibytes: number): Promise<number> => {
        const before = performance.now();
        const { bytes } = await shell.run(`head -c ${mebibytes}m /dev/zero | tr '\\0' x`, { timeout: 120_000 });
        assert.equal(bytes.length, mebibytes * MIB);
        return performance.now() - before;
      };
      await time(1);
      const [small, large] = [await time(2), await time(16)];
      // Eight times as much; a square law would make it 64.
      assert.ok(large < 24 * small, `${large.toFixed()} ms after ${small.toFixed()} ms`);
    });

    test('what is set is there for the next command; input is empty; both outputs are one', async () => {
      await shell.check('cd /tmp; here="it is"; say() { echo "$here $1"; }');
      assert.equal(await shell.check('say "$PWD"; cat; echo oh >&2'), 'it is /tmp\noh\n');
      assert.deepEqual((await shell.run("printf 'a\nb'; false")).output, 'a\nb');
      assert.equal((await shell.run('')).output, '');
      assert.equal((await shell.run('return 5')).status, 5);
      const long = 'x'.repeat(20_000);
      assert.equal(await shell.check(`cat << 'END'\n${long}\n+ +. \\n\n.\nEND`), `${long}\n+ +. \\n\n.\n`);
      await assert.rejects(shell.run('a\0b'), { code: 'invalid' });
    });

    test('a command that ends the shell has that status, and the next one finds another shell', async () => {
      for (const [command, status, output] of [
        ['echo before; exit 3', 3, 'before\n'],
        ['exec sh -c "echo instead; exit 4"', 4, 'instead\n'],
        ['set -e; echo strict; false; echo never', 1, 'strict\n'],
        ['echo self; kill -9 $$', 137, 'self\n'],
        ['sh -c "kill -SEGV \\$\\$"', 139, /^/],
        ['echo out; break', 0, 'out\n'],
        ['echo out; continue', 0, 'out\n'],
        ['kill -9 $PPID; exit 2', /^(2|137)$/, ''],
        ['echo a; kill -9 $PPID; sleep 1001', 137, 'a\n'],
        ['if', 2, /syntax error/],
        ['echo "never closed', 2, /./],
      ] as const) {
        const result = await shell.run(command);
        if (typeof status === 'number') assert.equal(result.status, status, `${command}: ${result.output}`);
        else assert.match(String(result.status), status, command);
        if (typeof output === 'string') assert.equal(result.output, output);
        else assert.match(result.output, output);
        assert.equal(await shell.check('echo alive'), 'alive\n');
      }
    });

    test('what runs in the guest cannot say how it ended', async () => {
      const forged = await shell.run(`
        cat > /tmp/forge << 'END'
        for i in 3 4 5 6 7 8 9; do echo 0 >&$i; done 2> /dev/null
        for p in /dev/vport0p*; do echo 0 > $p && echo "$p was open to all"; done 2> /dev/null
        for f in /proc/$PPID/fd/*; do case $(readlink $f) in /dev/vport*) echo 0 > $f && echo "$f was";; esac; done 2> /dev/null
        tr '\\0' '\\n' < /proc/$PPID/environ; tr '\\0' '\\n' < /proc/$PPID/cmdline | head -c 100 > /dev/null
        exit 9
END
        sh /tmp/forge`);
      assert.equal(forged.status, 9);
      // The user's port is the one that is nobody's.
      assert.deepEqual(forged.output.match(/.* was.*/g), ['/dev/vport0p1 was open to all'], forged.output);
      assert.equal((await shell.run('echo 0; echo done 0; printf "0\\n0\\n"; exit 8')).status, 8);
    });

    test('what a command sets, the shell’s own variables too, costs no output and no status', async () => {
      const { output } = await shell.run('set; set -a; echo whole');
      assert.match(output, /whole\n$/);
      assert.match(await shell.check('set; env; tr "\\0" "\\n" < /proc/self/environ; set +a; echo whole'), /whole\n$/);
    });

    test('functions named as what the shell itself calls do not spoil it', async () => {
      const names = ['printf', 'echo', 'read', 'command', 'understudy_run', 'true', 'cd', 'test', 'unset_f'];
      for (const name of names) {
        const { status, output } = await shell.run(`${name}() { :; }; set -- x; sh -c 'exit 6'`, { timeout: 20_000 });
        assert.deepEqual([status, output], [6, ''], name);
      }
      assert.equal(
        (await shell.run('printf there; (exit 4)')).output,
        '',
        'the function is there for the next command',
      );
      await shell.run('exit 0');
      assert.equal(await shell.check('printf there'), 'there');
    });

    test('a keeper that is stopped, and a shell that nobody starts again: the caller’s time holds', async () => {
      const begun = performance.now();
      await assert.rejects(shell.run('kill -STOP $PPID; exit 2', { timeout: 2000 }), (error: unknown) => {
        assert.ok(error instanceof Error && 'code' in error && error.code === 'timeout', String(error));
        assert.doesNotMatch(error.message, /[0-9a-f]{32}/);
        return true;
      });
      assert.ok(performance.now() - begun < 12_000);
      assert.equal(await shell.check('echo alive'), 'alive\n');
    });

    test('a timeout of Infinity, or of months, is none; what is no time is refused', async () => {
      for (const timeout of [Infinity, 2 ** 31, 1e12]) {
        assert.equal((await shell.run('sleep 0.2; echo slept', { timeout })).output, 'slept\n');
        const waiting = guest.console.waitFor(/waited for\r/, { timeout });
        await guest.console.write('echo waited"" for\n');
        await waiting.catch(() => assert.fail(`no time to wait with ${timeout}`));
      }
      for (const timeout of [NaN, -1]) {
        await assert.rejects(shell.run('true', { timeout }), { code: 'invalid' });
        await assert.rejects(guest.console.waitFor(/x/, { timeout }), { code: 'invalid' });
        await assert.rejects(guest.shell({ timeout }), { code: 'invalid' });
        await assert.rejects(guest.shutdown({ timeout }), { code: 'invalid' });
      }
      assert.equal(await shell.check('echo alive'), 'alive\n');
    });

    test('a command is ended by its timeout, with all that it started, and the shell is usable', async () => {
      for (const command of [
        'sleep 1001',
        'while :; do :; done',
        'trap "" TERM INT HUP; sh -c "trap \\"\\" TERM; sleep 1001; sleep 1001"',
        'sleep 1001 & sleep 1001 | cat; wait',
        'kill -STOP $$',
      ]) {
        await assert.rejects(shell.run(`echo begun; ${command}`, { timeout: 1500 }), (error: unknown) => {
          assert.ok(error instanceof Error && 'code' in error);
          assert.equal(error.code, 'timeout');
          assert.match(error.message, /begun/);
          return true;
        });
        assert.equal(await shell.check('echo alive; pidof sleep || true'), 'alive\n');
      }
      await assert.rejects(shell.run('yes', { timeout: 1500 }), { code: 'timeout' });
      assert.equal(await shell.check('echo alive'), 'alive\n');
    });

    test('what is left in the background does not keep a command, nor end the next one', async () => {
      const before = performance.now();
      await shell.check('(sleep 2; echo late) & echo early');
      assert.ok(performance.now() - before < 1900);
      const { output, status } = await shell.run('sleep 3; echo next; exit 7');
      assert.deepEqual([output.replace('late\n', ''), status], ['next\n', 7]);
    });

    test('several shells at once, each with its own; closed ones make room', { timeout: 120_000 }, async () => {
      const others: Shell[] = [];
      for (;;) {
        try {
          others.push(await guest.shell());
        } catch (error) {
          assert.ok(error instanceof Error && 'code' in error && error.code === 'no-port', String(error));
          break;
        }
      }
      assert.equal(others.length, 5, 'two of the fifteen ports each, beside the console, the agent, and a user’s');
      await Promise.all(others.map((other, i) => other.check(`mine=${i}; cd /tmp`)));
      const slow = shell.run('sleep 3; echo slow');
      const answers = await Promise.all(others.map((other) => other.check('echo $mine; seq 1000')));
      const numbers = Array.from({ length: 1000 }, (_, i) => `${i + 1}\n`).join('');
      assert.deepEqual(
        answers,
        others.map((_, i) => `${i}\n${numbers}`),
      );
      await assert.rejects(others[0].run('sleep 1001', { timeout: 500 }), { code: 'timeout' });
      assert.equal(await others[1].check('echo $mine'), '1\n');
      assert.equal((await slow).output, 'slow\n');
      await Promise.all(others.map((other) => other.close()));
      await assert.rejects(others[0].run('true'), { code: 'invalid' });
      const again = await Promise.all([guest.shell(), guest.shell()]);
      assert.deepEqual(await Promise.all(again.map((s) => s.check('echo $mine new'))), ['new\n', 'new\n']);
      await Promise.all(again.map((s) => s.close()));
    });

    test('the console is free', async () => {
      await guest.console.write('stty; echo on"" the console\n');
      await guest.console.waitFor(/speed[^]*on the console/);
    });

    test('a guest that ends ends what is waited for', async () => {
      const waiting = assert.rejects(shell.run('sleep 1001'), { code: 'ended' });
      await delay(200);
      await guest.destroy();
      await waiting;
      await assert.rejects(shell.run('true'), { code: 'ended' });
      await assert.rejects(guest.shell(), { code: 'ended' });
      await shell.close();
    });
  });
}
