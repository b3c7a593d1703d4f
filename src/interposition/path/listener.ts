/** Calls who only looks on: what it throws, at once or later, is told to `onBroken` and goes nowhere else. */
export function tell(call: () => unknown, onBroken: (error: unknown) => void): void {
  try {
    const said = call();
    if (said instanceof Promise) said.catch(onBroken);
  } catch (error) {
    onBroken(error);
  }
}
