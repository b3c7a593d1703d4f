/** Steps in and away, at random moments, as often as was asked for. */
import type { ComputerDevice, DeviceMode, SwitchReport } from '../../../../interposition/device.js';
import { InterpositionError } from '../../../../interposition/errors.js';

export interface SwitchEvent extends SwitchReport {
  readonly device: string;
  /** Who drives the device since. */
  readonly mode: DeviceMode;
  /** Milliseconds of `performance.now()`. */
  readonly at: number;
}

export interface SwitcherOptions {
  readonly switches: number;
  /** Over so long (ms). */
  readonly milliseconds: number;
  readonly signal: AbortSignal;
  readonly onSwitch: (event: SwitchEvent) => void;
  readonly random?: () => number;
}

/** So many refusals in a row say that it will never be. */
const MOST_REFUSED = 20;

/**
 * Resolves with how many switches were refused and asked for again. Rejects with InterpositionError when one is refused
 * again and again, or with the signal's reason.
 */
export async function switchAtRandom(
  devices: readonly ComputerDevice[],
  { switches, milliseconds, signal, onSwitch, random = Math.random }: SwitcherOptions,
): Promise<number> {
  const begin = performance.now();
  const moments = Array.from({ length: switches }, () => random() * milliseconds).sort((a, b) => a - b);
  let refused = 0;
  let inARow = 0;
  for (let i = 0; i < switches;) {
    await pause(begin + moments[i] - performance.now(), signal);
    const device = choose(devices, switches - i, random);
    try {
      const report = await (device.mode === 'direct' ? device.interpose({ signal }) : device.stepAway({ signal }));
      onSwitch({ ...report, device: device.id, mode: device.mode, at: performance.now() });
      inARow = 0;
      i++;
    } catch (error) {
      if (!(error instanceof InterpositionError) || error.code !== 'busy') throw error;
      refused++;
      if (++inARow === MOST_REFUSED) throw error;
    }
  }
  return refused;
}

/** The last switches are steps away, so that each device is the guest's own in the end (an odd number of them leaves one). */
export function choose(devices: readonly ComputerDevice[], left: number, random: () => number): ComputerDevice {
  const interposed = devices.filter(({ mode }) => mode === 'interposed');
  const among = interposed.length > 0 && left < interposed.length + 2 ? interposed : devices;
  return among[Math.floor(random() * among.length)];
}

/** The event loop goes round at least once. */
function pause(milliseconds: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const reason = (): Error => (signal.reason instanceof Error ? signal.reason : new Error('aborted'));
    if (signal.aborted) return reject(reason());
    const aborted = (): void => {
      clearTimeout(timer);
      reject(reason());
    };
    const timer = setTimeout(
      () => {
        signal.removeEventListener('abort', aborted);
        resolve();
      },
      Math.max(0, milliseconds),
    );
    signal.addEventListener('abort', aborted, { once: true });
  });
}
