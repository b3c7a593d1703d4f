/** What comes in goes out later, in the order in which it came. */

export class DelayLine<T> {
  readonly #waiting: { readonly due: number; readonly item: T }[] = [];
  readonly #pass: (item: T) => void;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #last = 0;

  constructor(pass: (item: T) => void) {
    this.#pass = pass;
  }

  get size(): number {
    return this.#waiting.length;
  }

  /** `delay` in milliseconds; nothing goes out before what came earlier. */
  push(item: T, delay: number): void {
    if (delay <= 0 && this.#waiting.length === 0) return this.#pass(item);
    const due = Math.max(this.#last, performance.now() + delay);
    this.#last = due;
    this.#waiting.push({ due, item });
    this.#arm();
  }

  /** All of it goes out now. */
  end(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#last = 0;
    for (const { item } of this.#waiting.splice(0)) this.#pass(item);
  }

  /** All of it is forgotten. */
  clear(): void {
    this.#waiting.length = 0;
    this.end();
  }

  #arm(): void {
    const [first] = this.#waiting;
    if (this.#timer !== undefined || this.#waiting.length === 0) return;
    this.#timer = setTimeout(
      () => {
        this.#timer = undefined;
        const now = performance.now();
        const late = this.#waiting.findIndex(({ due }) => due > now);
        const due = this.#waiting.splice(0, late < 0 ? this.#waiting.length : late);
        for (const { item } of due) this.#pass(item);
        this.#arm();
      },
      Math.max(1, first.due - performance.now()),
    );
  }
}
