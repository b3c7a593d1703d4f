/** Two kernels side by side on one computer; the first goes, and its harts and memory are free: node dist/examples/two-kernels.js */
import { Computer, prepareImage, shellProfile } from 'understudy';

const MIB = 2 ** 20;
const computer = await Computer.create({ memory: 544 * MIB, harts: 2 });
const [a, b] = await Promise.all(
  (['trixie', 'backports'] as const).map(async (kernel) => {
    const guest = await computer.boot({
      image: await prepareImage(shellProfile(kernel)),
      name: kernel,
      memory: 256 * MIB,
    });
    return { guest, shell: await guest.shell() };
  }),
);
for (const { guest, shell } of [a, b]) {
  console.log(`${guest.name} at ${guest.address ?? '-'}: ${(await shell.check('uname -r')).trim()}`);
}
console.log((await a.shell.check(`ping -c 1 ${b.guest.address ?? ''} | grep transmitted`)).trim());
await a.guest.shutdown();
console.log(
  `${computer.freeHarts} hart and ${Math.floor(computer.freeMemory / MIB)} MiB are free; ${b.guest.name} serves on`,
);
console.log((await b.shell.check('uptime')).trim());
await computer.close();
