import type { PreparedImage } from '../../../image/index.js';
import { shellProfile } from '../../../index.js';
import { obtainImages } from '../images.js';
import { unlessAborted, type Interruption } from '../interruption.js';
import { asError, tellFailure } from './failure.js';

type Failing = Parameters<typeof tellFailure>[0];

/** What is demonstrated in one Debian guest or several of the same image. */
export interface Scenario<R extends Failing & { ok: boolean }> {
  readonly result: R;
  run(image: PreparedImage, signal: AbortSignal): Promise<void>;
  close(): Promise<void>;
}

/**
 * Runs a scenario to its end, and tells what came of it: an object with `json`, else what `draw` makes of it.
 *
 * @returns 0 when everything went as it should, 1 when it did not, 128 + n after signal n.
 */
export async function demonstrate<R extends Failing & { ok: boolean }>(
  { kernel, json }: { readonly kernel: Parameters<typeof shellProfile>[0]; readonly json: boolean },
  interruption: Interruption,
  scenario: Scenario<R>,
  draw: (result: R) => string,
): Promise<number> {
  const { result } = scenario;
  let failure: Error | undefined;
  try {
    const { signal } = interruption;
    const [image] = await obtainImages([shellProfile(kernel)], { signal });
    await unlessAborted(scenario.run(image, signal), signal, () => new Error('interrupted'));
  } catch (error) {
    failure = asError(error);
  } finally {
    await scenario.close();
  }
  // What a signal breaks off is no failure to be told of.
  if (interruption.status !== undefined) return interruption.status;
  if (failure !== undefined) {
    result.ok = false;
    tellFailure(result, failure);
  }
  process.stdout.write(json ? `${JSON.stringify(result)}\n` : draw(result));
  return result.ok ? 0 : 1;
}
