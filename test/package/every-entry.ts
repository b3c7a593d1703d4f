/** A program that uses every entry point: it must compile with the lowest TypeScript that the package promises. */
import {
  Computer,
  FileDisk,
  launch,
  Maintenance,
  MemoryDisk,
  prepareImage,
  shellProfile,
  type Instance,
} from 'understudy';
import {
  createSessions,
  headerTransport,
  KeyRing,
  MemoryHighWater,
  type Sessions,
  type StandardSchema,
} from 'understudy/session';
import { expressSessions } from 'understudy/session/express';
import { fastifySessions } from 'understudy/session/fastify';
import { honoSessions } from 'understudy/session/hono';
import { httpSessions } from 'understudy/session/http';
import { createSessionsSync, nodeCrypto, openRing } from 'understudy/session/node';
import { redisHighWater } from 'understudy/session/redis';
import { webSessions } from 'understudy/session/web';

interface Activity {
  readonly page: string;
}

export const values = [Computer, FileDisk, KeyRing, launch, Maintenance, nodeCrypto, prepareImage];
export const profile = shellProfile('trixie');
export const boot = (computer: Computer, kernel: Uint8Array): Promise<Instance> =>
  computer.boot({ kernel, initramfs: [], disks: [new MemoryDisk(new Uint8Array(512))], memory: 64 * 2 ** 20 });

export async function sessions(activity: StandardSchema<Activity>): Promise<Sessions<Activity>> {
  const ring = await openRing('ring.json', { create: true });
  const store = redisHighWater((args) => Promise.resolve(args.length));
  const here = createSessionsSync({ ring, purpose: 'here', highWater: { store: new MemoryHighWater() } });
  const shop = createSessions({ ring, purpose: 'shop', activity, highWater: { store } });
  const transport = headerTransport();
  expressSessions({ sessions: here, transport });
  fastifySessions({ sessions: shop, transport });
  honoSessions({ sessions: shop, transport });
  httpSessions({ sessions: here, transport });
  webSessions({ sessions: shop, transport });
  return shop;
}
