/** Refusals of what cannot be moved: the first is thrown, or all of them are told. */
import { DomainError } from './errors.js';

/** Takes a refusal, so that the look goes on behind it. */
export type OnRefusal = (refusal: DomainError) => void;

const isRefusal = (e: unknown): e is DomainError =>
  e instanceof DomainError && (e.code === 'unsupported' || e.code === 'mismatch');

/** Looks; a refusal is told to `tell`, or thrown where nobody wants to be told. */
export function refusing(tell: OnRefusal | undefined, look: () => void): void {
  if (tell === undefined) return look();
  try {
    look();
  } catch (e) {
    if (!isRefusal(e)) throw e;
    tell(e);
  }
}

/** As {@link refusing}, for a look that takes time. */
export async function refusingLater(tell: OnRefusal | undefined, look: () => Promise<void> | undefined): Promise<void> {
  try {
    await look();
  } catch (e) {
    if (tell === undefined || !isRefusal(e)) throw e;
    tell(e);
  }
}
