/**
 * A command in a guest, without a person. Its output takes ways of its own, beside the
 * console with what the kernel says:
 *
 *   /dev/vport0p1  standard output     /dev/vport0p2  standard error
 *   /dev/vport0p3  the exit status in decimal, at the end
 *   /dev/vport0p4  standard input
 */
import { writeOut } from '../../adapters/node/write-out.js';
import { SystemError, type ImageBoot, type KernelBoot } from '../../index.js';
import { feed } from './feed.js';
import { describeEnd, tellFaults, TIMED_OUT, type Guest } from './guest.js';

/** A port can be opened once only: the one of the status is taken before the command could take it. */
const RUN = `for p in 1 2 3 4; do until [ -c /dev/vport0p$p ]; do sleep 0.01; done; done
. /etc/profile
exec 8> /dev/vport0p3
sh /etc/understudy/command < /dev/vport0p4 > /dev/vport0p1 2> /dev/vport0p2 8>&-
echo $? >&8
`;
/** 128 + SIGPIPE, as for any program whose reader has gone. */
const BROKEN_PIPE = 141;
const CONSOLE_LINES = 20;
/** Bytes that are kept of what is not passed on, as of a shell's command; a command may write without end. */
const MOST_KEPT = 256 * 2 ** 20;
const BLOCK = 2 ** 16;

export async function runScript(guest: Guest, script: string): Promise<number> {
  const { computer, options, boot, interruption } = guest;
  let broken = false;
  let full = false;
  const closed = new AbortController();
  const onClosed = (): void => {
    broken = true;
    closed.abort();
  };
  const output = new Capture(options.json ? undefined : process.stdout, onClosed);
  const errors = new Capture(options.json ? undefined : process.stderr, onClosed);
  const status = new Capture(undefined, onClosed);
  const started = performance.now();

  const instance = await computer.boot(withScript(boot, script));
  guest.began(instance);
  tellFaults(instance, (line) => void process.stderr.write(`${line}\n`));
  const stop = (): void => void instance.destroy();
  [output, errors, status].forEach((capture, i) => {
    const port = instance.os.console.ports[i + 1];
    port.onData = (bytes) => {
      if (full) return;
      const room = capture.add(bytes);
      if (capture.full) {
        full = true;
        port.hold();
        stop();
      }
      if (room === undefined) return;
      // Whoever reads us is slow: the command waits in its write, as it would before a pipe.
      port.hold();
      void room.then(() => port.letGo());
    };
  });
  const unfeed = feed(process.stdin, instance.os.port('in'));
  let timedOut = false;
  const timer =
    options.timeout === undefined
      ? undefined
      : setTimeout(() => {
          timedOut = true;
          stop();
        }, options.timeout);
  for (const signal of [interruption.signal, closed.signal]) {
    signal.addEventListener('abort', stop, { once: true });
    if (signal.aborted) stop();
  }
  const end = await instance.ended;
  clearTimeout(timer);
  unfeed();
  guest.ended(instance.os.reports);

  if (interruption.status !== undefined) return interruption.status;
  if (broken) return BROKEN_PIPE;
  if (full) {
    const most = `${MOST_KEPT / 2 ** 20} MiB`;
    throw new SystemError(
      'too-much-output',
      `the command wrote more than the ${most} that --json keeps; without it, its output is passed on`,
    );
  }
  const said = /^(\d+)\n$/.exec(status.text());
  const code = said !== null ? Number(said[1]) : timedOut ? TIMED_OUT : 1;
  if (options.json) {
    const seconds = (performance.now() - started) / 1000;
    await writeOut(process.stdout, `{"status":${code},"ok":${said !== null},"stdout":"`);
    await output.writeEscaped(process.stdout);
    await writeOut(process.stdout, '","stderr":"');
    await errors.writeEscaped(process.stdout);
    await writeOut(process.stdout, `","seconds":${seconds}}\n`);
  }
  if (said === null) {
    const why = timedOut
      ? `the time of ${(options.timeout ?? 0) / 1000} s was over`
      : (describeEnd(end) ?? `the guest ended (${end.kind}) before the command did`);
    process.stderr.write(`understudy: ${why}; ${instance.console.lastWords(CONSOLE_LINES)}\n`);
  }
  return code;
}

function withScript(boot: ImageBoot | KernelBoot, script: string): ImageBoot {
  if (boot.image === undefined) throw new TypeError('a script needs an image of ours');
  return {
    ...boot,
    // A kernel that panics must not stand there for ever; its reboot ends the run.
    ...(boot.commandLine === undefined && { bootArguments: `quiet panic=-1 ${boot.bootArguments ?? ''}`.trimEnd() }),
    run: RUN,
    files: { '/etc/understudy/command': script },
    ports: [{ name: 'out' }, { name: 'err' }, { name: 'status' }, { name: 'in' }],
  };
}

/** Passes bytes on, or keeps them. */
class Capture {
  #kept: Uint8Array[] = [];
  /** Bytes of the last block. */
  #used = 0;
  #bytes = 0;

  /** `onClosed`: nobody reads the stream any more. */
  constructor(
    private readonly stream: NodeJS.WriteStream | undefined,
    onClosed: () => void,
  ) {
    stream?.on('error', onClosed);
  }

  /** More came than may be kept. */
  get full(): boolean {
    return this.#bytes > MOST_KEPT;
  }

  text(): string {
    return Buffer.concat(this.#blocks()).toString();
  }

  /** Writes the text as within a JSON string; in pieces, since all of it escaped may be longer than a string can be. */
  async writeEscaped(to: NodeJS.WriteStream): Promise<void> {
    const decoder = new TextDecoder();
    for (const bytes of this.#blocks()) await writeOut(to, escaped(decoder.decode(bytes, { stream: true })));
    await writeOut(to, escaped(decoder.decode()));
  }

  /** A promise while there is no room for more. */
  add(bytes: Uint8Array): Promise<void> | undefined {
    if (this.stream !== undefined) return writeOut(this.stream, bytes);
    this.#bytes += bytes.length;
    if (this.full) this.#kept = [];
    else this.#keep(bytes);
    return undefined;
  }

  /** In whole blocks: an array for each of many short writes would take far more than what is written. */
  #keep(bytes: Uint8Array): void {
    for (let rest = bytes; rest.length > 0;) {
      if (this.#used === BLOCK || this.#kept.length === 0) {
        this.#kept.push(new Uint8Array(BLOCK));
        this.#used = 0;
      }
      const part = rest.subarray(0, BLOCK - this.#used);
      this.#kept[this.#kept.length - 1].set(part, this.#used);
      this.#used += part.length;
      rest = rest.subarray(part.length);
    }
  }

  #blocks(): Uint8Array[] {
    return this.#kept.map((block, i) => (i === this.#kept.length - 1 ? block.subarray(0, this.#used) : block));
  }
}

const escaped = (text: string): string => JSON.stringify(text).slice(1, -1);
