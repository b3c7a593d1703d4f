/** Instances that somebody holds paused, while they should work. */
import type { Carrier } from './carrier.js';
import { MaintenanceError } from './errors.js';

/** How often one looks (ms). */
const LOOK = 250;

/** Throws MaintenanceError `paused`: what is asked of a paused instance would wait for ever, and without a word. */
export function refusePaused(carriers: Iterable<Carrier>, what: string): void {
  for (const { name, instance } of carriers) {
    if (instance.paused) throw new MaintenanceError('paused', `${what}: ${name} is paused; resume it first`);
  }
}

/** Tells of each pause of these instances, from now on until the function that it answers is called. */
export function watchPauses(carriers: readonly Carrier[], tell: (carrier: Carrier) => void): () => void {
  const told = new Set<Carrier>();
  const timer = setInterval(() => {
    for (const carrier of carriers) {
      if (!carrier.instance.paused) told.delete(carrier);
      else if (!told.has(carrier)) {
        told.add(carrier);
        tell(carrier);
      }
    }
  }, LOOK);
  return () => clearInterval(timer);
}
