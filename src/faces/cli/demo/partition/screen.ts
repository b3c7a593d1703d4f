/** The demonstration while it goes on: lines for what happens, and on a terminal a picture that is drawn again under them. */
import type { Computer, Inspection } from '../../../../index.js';
import { styleFor } from '../style.js';
import { Telling } from '../telling.js';
import { drawPicture } from './picture.js';

/** Milliseconds between two pictures. */
const EVERY = 100;

export class PartitionScreen {
  readonly #telling: Telling;
  #timer: ReturnType<typeof setInterval> | undefined;
  #before: Inspection[] = [];
  #height = 0;

  constructor(private readonly stream: NodeJS.WriteStream = process.stderr) {
    this.#telling = new Telling(stream);
  }

  say(text: string): void {
    this.#erase();
    this.#telling.say(text);
  }

  /** From now on it is drawn. */
  show(computer: Computer): void {
    if (!this.stream.isTTY) return;
    this.#timer = setInterval(() => this.#draw(computer.inspect({ map: true })), EVERY);
  }

  end(): void {
    clearInterval(this.#timer);
    this.#timer = undefined;
    this.#telling.end();
  }

  #draw(now: Inspection): void {
    const [before] = this.#before;
    const columns = this.stream.columns || 80;
    const lines = drawPicture(now, before, columns, styleFor(this.stream));
    this.#erase();
    this.stream.write(lines.map((line) => `${line}\n`).join(''));
    this.#height = lines.length;
    // Parts of time over a second: shorter ones dance.
    this.#before = [...this.#before, now].slice(-10);
  }

  /** What is drawn goes, and what is said next comes in its place. */
  #erase(): void {
    if (this.#height > 0) this.stream.write(`\x1b[${this.#height}A\x1b[J`);
    this.#height = 0;
  }
}
