/** A running Redis moves from Linux 6.12 to 7.2 under its client: node dist/examples/move-redis.js */
import { createClient } from 'redis';
import { Carrier, Computer, launch, Maintenance, prepareImage, redisProfile } from 'understudy';

const MIB = 2 ** 20;
const computer = await Computer.create({ memory: 800 * MIB, harts: 2 });
try {
  // The OS instance in service, and Redis in it as a process domain with an address of its own.
  const active = await Carrier.boot(computer, {
    name: 'a',
    image: await prepareImage(redisProfile('trixie')),
    memory: 384 * MIB,
  });
  const network = { nic: 'eth0', mac: '52:54:00:00:01:00', address: '10.0.2.100/24', gateway: '10.0.2.2' };
  active.keepAddresses(network);
  const domain = await launch(
    active.hands,
    { name: 'redis', network },
    { argv: ['/usr/bin/redis-server', '--bind', '0.0.0.0', '--protected-mode', 'no', '--save', ''] },
  );
  const forward = await computer.network?.gateway.forward({ guest: '10.0.2.100', guestPort: 6379 });

  // A client that knows nothing of all this. Redis takes a moment to start.
  const client = createClient({ socket: { port: forward?.port ?? 0, reconnectStrategy: () => 100 } });
  client.on('error', () => undefined);
  await client.connect();
  await client.set('greeting', `hello from Linux ${active.kernel}`);

  // A second kernel boots beside the first, takes over, and the first is taken out.
  const maintenance = new Maintenance({
    computer,
    active,
    domains: [domain],
    onEvent: (event) => console.log(event.type === 'step' ? `  ${event.step}` : event.type),
  });
  await maintenance.bootUnderstudy({
    name: 'b',
    image: await prepareImage(redisProfile('backports')),
    memory: 384 * MIB,
  });
  const [report] = await maintenance.takeOver();
  await maintenance.retire();

  console.log(`${await client.get('greeting')}; it runs on Linux ${maintenance.active.kernel} now`);
  console.log(`${report.framesFlipped} frames flipped, ${report.pauseMs.toFixed(0)} ms of pause`);
  client.destroy();
} finally {
  await computer.close();
}
