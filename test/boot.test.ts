/** Debian's kernels boot to user space, several at a time on one computer, and check there that the machine works. */
import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import { createServer as createTcpServer, type AddressInfo, type Server as TcpServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { Computer, MemoryDisk, type Instance, type Shell } from '../src/index.js';
import { cpuWhile, MIB, testImage } from './testing/images.js';

const sha256 = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex');
const PAYLOAD = randomBytes(2 * MIB);

let folder = '';
let computer: Computer;
let server: Server;
/** Answers what it is sent with its digest. */
let uploads: TcpServer;
let fresh = { harts: 0, memory: 0 };

before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'understudy-boot-'));
  computer = await Computer.create({ memory: 768 * MIB, harts: 3 });
  fresh = { harts: computer.freeHarts, memory: computer.freeMemory };
  server = createServer((_, response) => void response.end(PAYLOAD));
  uploads = createTcpServer({ allowHalfOpen: true }, (socket) => {
    const chunks: Buffer[] = [];
    let length = 0;
    socket.on('data', (chunk) => {
      chunks.push(chunk);
      length += chunk.length;
      if (length >= PAYLOAD.length) socket.end(sha256(Buffer.concat(chunks)));
    });
  });
  await new Promise<void>((resolve) => uploads.listen(0, '127.0.0.1', resolve));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
});

after(async () => {
  await computer.close();
  server.closeAllConnections();
  server.close();
  uploads.close();
  await rm(folder, { recursive: true });
});

interface Case {
  readonly kernel: 'trixie' | 'backports';
  readonly release: RegExp;
  readonly harts: number;
}

const CASES: readonly Case[] = [
  { kernel: 'trixie', release: /^6\.12\./, harts: 2 },
  { kernel: 'backports', release: /^7\.2\./, harts: 1 },
];
const guests = new Map<string, { guest: Instance; shell: Shell }>();

test('two kernels boot at once, each in its partition', async () => {
  await Promise.all(
    CASES.map(async ({ kernel, harts }) => {
      const file = join(folder, `${kernel}.img`);
      await writeFile(file, randomBytes(2 * MIB));
      const guest = await computer.boot({
        name: kernel,
        image: await testImage(kernel),
        memory: 256 * MIB,
        harts,
        disks: [file, new MemoryDisk(new Uint8Array(16 * MIB))],
        forwards: [{ guestPort: 80 }],
      });
      guests.set(kernel, { guest, shell: await guest.shell() });
    }),
  );
  assert.equal(computer.freeHarts, 0);
  assert.deepEqual(computer.instances.map(({ name }) => name).sort(), ['backports', 'trixie']);
});

for (const { kernel, release, harts } of CASES) {
  describe(`Linux of ${kernel}`, () => {
    let guest: Instance;
    let shell: Shell;
    before(() => {
      const found = guests.get(kernel);
      assert.ok(found, 'it did not boot');
      ({ guest, shell } = found);
    });

    test('is the kernel that was asked for, with its harts and memory', async () => {
      assert.match(await shell.check('uname -r'), release);
      assert.equal(Number(await shell.check('nproc')), harts);
      assert.equal((await shell.check('hostname')).trim(), kernel);
      const total = Number(/MemTotal: +(\d+) kB/.exec(await shell.check('cat /proc/meminfo'))?.[1]);
      assert.ok(total > 180 * 1024 && total < 256 * 1024, `${total} KiB`);
    });

    test('has nothing to complain of', async () => {
      const log = await shell.check('dmesg');
      assert.doesNotMatch(log, /Oops|BUG:|WARNING:|Call Trace|unhandled|rcu_sched|soft lockup|hung_task/);
    });

    test('memory keeps what is written to it', async () => {
      const output = await shell.check(
        `cd /tmp; head -c 3145728 /dev/urandom > a; cat a a > b; cp b c
        head -c 3145728 c | sha256sum; tail -c 3145728 b | sha256sum; sha256sum < a; rm a b c`,
      );
      const digests = output.trim().split('\n');
      assert.equal(digests.length, 3);
      assert.equal(new Set(digests).size, 1);
    });

    test('processes, pipes, signals and exit statuses', async () => {
      const output = await shell.check(
        `cat > /tmp/jobs << 'end'
        for i in $(seq 20); do (sleep 0.1; exit $i) & pids="$pids $!"; done
        sum=0; for p in $pids; do wait $p; sum=$((sum + $?)); done; echo $sum
        seq 1500 | sort -rn | tail -1
        sh -c 'sleep 60 & sleep 0.2; kill -TERM $!; wait $!; echo $?' 2> /dev/null
        sh -c 'trap "echo caught; exit 5" USR1; kill -USR1 $$; sleep 1'; echo $?
end
        sh /tmp/jobs`,
      );
      assert.deepEqual(output.trim().split('\n'), ['210', '1', '143', 'caught', '5']);
    });

    test('floating point gives the very bits it gives here', async () => {
      let x = 0.5;
      let y = 1;
      for (let i = 1; i <= 2000; i++) {
        x = 3.75 * x * (1 - x);
        y = y + 1 / (x + i * x);
      }
      const program = `BEGIN { x = 0.5; y = 1
        for (i = 1; i <= 2000; i++) { x = 3.75 * x * (1 - x); y = y + 1 / (x + i * x) }
        printf "%.17g %.17g\\n", x, y }`;
      const [gx, gy] = (await shell.check(`awk '${program}'`)).trim().split(' ').map(Number);
      assert.deepEqual([gx, gy], [x, y]);
    });

    test('time passes as it does outside', async () => {
      const before = performance.now();
      const [from, to] = (await shell.check('cut -d" " -f1 /proc/uptime; sleep 1.5; cut -d" " -f1 /proc/uptime'))
        .trim()
        .split('\n')
        .map(Number);
      const outside = (performance.now() - before) / 1000;
      assert.ok(to - from >= 1.49 && to - from <= outside + 0.05, `${to - from} s inside, ${outside} s outside`);
      const skew = Number(await shell.check('date +%s')) - Date.now() / 1000;
      assert.ok(Math.abs(skew) < 3 || Math.abs(skew) > 1e6, `the guest's date is off by ${skew} s`);
    });

    test('a disk in a file is read and written, byte for byte', async () => {
      const file = join(folder, `${kernel}.img`);
      const output = await shell.check(`sha256sum < /dev/vda; blockdev --getsize64 /dev/vda`);
      const [digest, size] = output.split('\n');
      assert.equal(digest.split(' ')[0], sha256(await readFile(file)));
      assert.equal(Number(size), 2 * MIB);
      await shell.check(
        `head -c 1048576 /dev/urandom > /tmp/data; dd if=/tmp/data of=/dev/vda bs=64k seek=16 conv=notrunc 2> /dev/null; sync`,
      );
      const wanted = (await shell.check('sha256sum < /tmp/data; rm /tmp/data')).split(' ')[0];
      const content = await readFile(file);
      assert.equal(sha256(content.subarray(MIB, 2 * MIB)), wanted);
    });

    test('what is discarded gives its space back to the host', async () => {
      const file = join(folder, `${kernel}.img`);
      const used = async (): Promise<number> => (await stat(file)).blocks * 512;
      await shell.check('dd if=/dev/urandom of=/dev/vda bs=64k count=32 conv=notrunc 2> /dev/null; sync');
      const full = await used();
      await shell.check('blkdiscard -o 0 -l 524288 /dev/vda');
      assert.ok((await used()) <= full - MIB / 4, `${full - (await used())} bytes came back`);
      assert.equal((await stat(file)).size, 2 * MIB);
    });

    test('a file system on a disk keeps its files across mounts', async () => {
      const output = await shell.check(
        `mke2fs /dev/vdb > /dev/null && mkdir -p /mnt/d && mount -t ext4 /dev/vdb /mnt/d
        head -c 1500000 /dev/urandom > /mnt/d/file; for i in $(seq 50); do echo $i > /mnt/d/n$i; done
        sha256sum < /mnt/d/file; umount /mnt/d; echo 3 > /proc/sys/vm/drop_caches
        mount -t ext4 /dev/vdb /mnt/d; sha256sum < /mnt/d/file; cat /mnt/d/n* | sort -n | tail -1; umount /mnt/d`,
        { timeout: 120_000 },
      );
      const [wrote, read, last] = output.trim().split('\n');
      assert.equal(read, wrote);
      assert.equal(last, '50');
    });

    test('reaches servers outside, both ways, whole', async () => {
      const { port } = server.address() as AddressInfo;
      const url = `http://10.0.2.2:${port}/`;
      const digest = await shell.check(`wget -q -O /tmp/file ${url} && sha256sum < /tmp/file`, { timeout: 120_000 });
      assert.equal(digest.split(' ')[0], sha256(PAYLOAD));
      const sink = uploads.address() as AddressInfo;
      assert.equal(await shell.check(`nc 10.0.2.2 ${sink.port} < /tmp/file`, { timeout: 120_000 }), sha256(PAYLOAD));
      assert.match(await shell.check('nslookup gateway'), /10\.0\.2\.2/);
    });

    test('is reached from outside through a forwarded port', async () => {
      await shell.check('httpd -p 80 -h /tmp');
      const [forward] = guest.forwards;
      const response = await fetch(`http://${forward.host}:${forward.port}/file`);
      assert.equal(response.status, 200);
      assert.equal(sha256(new Uint8Array(await response.arrayBuffer())), sha256(PAYLOAD));
      const many = await Promise.all(
        Array.from({ length: 8 }, async () => (await fetch(`http://${forward.host}:${forward.port}/none`)).status),
      );
      assert.deepEqual(new Set(many), new Set([404]));
    });
  });
}

test('guests of one computer reach each other', async () => {
  const [one, two] = CASES.map(({ kernel }) => guests.get(kernel));
  assert.ok(one && two);
  const [card] = one.guest.os.nics;
  const before = card.counters.received;
  const digest = await one.shell.check(`wget -q -O - http://${two.guest.address ?? ''}/file | sha256sum`);
  assert.equal(digest.split(' ')[0], sha256(PAYLOAD));
  // Both kernels have negotiated it: most of the segments come in frames that stand for many.
  const frames = card.counters.received - before;
  assert.ok(frames < PAYLOAD.length / 1460 / 2, `${frames} frames`);
  assert.equal(card.counters.dropped, 0);
});

test('two harts of one guest work at the same time', async () => {
  const found = guests.get('trixie');
  assert.ok(found);
  const output = await found.shell.check(
    `before=$(awk '/^cpu[01]/ { print $2 + $4 }' /proc/stat)
    work='i=0; while [ $i -lt 10000 ]; do i=$((i + 1)); done'
    taskset 1 sh -c "$work" & taskset 2 sh -c "$work" & wait
    after=$(awk '/^cpu[01]/ { print $2 + $4 }' /proc/stat)
    echo $before $after`,
  );
  const [b0, b1, a0, a1] = output.trim().split(' ').map(Number);
  assert.ok(a0 - b0 >= 5 && a1 - b1 >= 5, `ticks of CPU time: ${a0 - b0} and ${a1 - b1}`);
});

test('guests that idle use next to no CPU', async () => {
  // A guest's last timers run out first, and V8 may still be compiling what they have just done: it is given time.
  await new Promise((resolve) => setTimeout(resolve, 1000));
  const used: number[] = [];
  while (used.length < 4 && !used.some((ms) => ms < 300)) used.push(await cpuWhile(3000));
  assert.ok(Math.min(...used) < 300, `${used.map((ms) => ms.toFixed()).join(', ')} ms of CPU in 3 s each`);
});

test('a guest that stands still goes on as if nothing had been', async () => {
  const found = guests.get('backports');
  assert.ok(found);
  const { guest, shell } = found;
  const answer = shell.check('for i in $(seq 2000); do echo $i; done | sha256sum');
  for (let i = 0; i < 20; i++) {
    await guest.pause();
    await new Promise((resolve) => setTimeout(resolve, 2));
    guest.resume();
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  const wanted = sha256(Buffer.from(Array.from({ length: 2000 }, (_, i) => `${i + 1}\n`).join('')));
  assert.equal((await answer).split(' ')[0], wanted);
});

test('shutting down is graceful, and gives all harts and frames back', async () => {
  const [one, two] = CASES.map(({ kernel }) => guests.get(kernel));
  assert.ok(one && two);
  await two.shell.check('mount -t ext4 /dev/vdb /mnt/d && echo kept > /mnt/d/late');
  assert.deepEqual(await two.guest.shutdown(), { kind: 'shutdown' });
  assert.match(two.guest.console.text, /Emergency Remount R\/O|Power down/);
  assert.equal(computer.freeHarts, 1);
  // The other serves on.
  assert.equal(await one.shell.check('echo alive'), 'alive\n');
  await one.guest.console.write('poweroff -f\n');
  assert.deepEqual(await one.guest.ended, { kind: 'shutdown' });
  assert.deepEqual({ harts: computer.freeHarts, memory: computer.freeMemory }, fresh);
  assert.deepEqual(computer.instances, []);
});

test('what was freed boots again', async () => {
  const guest = await computer.boot({
    image: await testImage('trixie'),
    memory: 512 * MIB,
    harts: 3,
    network: false,
    run: 'nproc; grep MemTotal /proc/meminfo; ls /sys/class/net; cat /file',
    files: { '/file': 'from outside\n' },
  });
  assert.deepEqual(await guest.ended, { kind: 'shutdown' });
  assert.match(guest.console.text, /\n3\r\nMemTotal: +4\d{5} kB\r\nlo\r\nfrom outside\r\n/);
  assert.equal(computer.freeHarts, 3);
});
