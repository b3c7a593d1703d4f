/** Images for whole-system tests, from the cache that scripts/test.mjs has filled before. */
import { prepareImage, PROFILES, type KernelChoice, type PreparedImage } from '../../src/index.js';

export const MIB = 2 ** 20;
export const KERNELS = ['trixie', 'backports'] as const;

export function testImage(kernel: KernelChoice, profile: 'shell' | 'redis' = 'shell'): Promise<PreparedImage> {
  return prepareImage(PROFILES[profile](kernel));
}

/** CPU milliseconds this process takes while `milliseconds` pass. */
export async function cpuWhile(milliseconds: number): Promise<number> {
  const before = process.cpuUsage();
  await new Promise((resolve) => setTimeout(resolve, milliseconds));
  const { user, system } = process.cpuUsage(before);
  return (user + system) / 1000;
}
