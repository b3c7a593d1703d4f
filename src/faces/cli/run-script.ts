/**
 * A command in a guest, without a person. Its output takes ways of its own, beside the
 * console with what the kernel says:
 *
 *   /dev/vport0p1  standard output     /dev/vport0p2  standard error
 *   /dev/vport0p3  the exit status in decimal, at the end
 *   /dev/vport0p4  standard input
 */
import { writeOut } from '../../adapters/node/write-out.js';
import type { ImageBoot, KernelBoot } from '../../index.js';
import { feed } from './feed.js';
import { describeEnd, TIMED_OUT, type Guest } from './guest.js';

const RUN = `for p in 1 2 3 4; do until [ -c /dev/vport0p$p ]; do sleep 0.01; done; done
. /etc/profile
sh /etc/understudy/command < /dev/vport0p4 > /dev/vport0p1 2> /dev/vport0p2
echo $? > /dev/vport0p3
`;
/** 128 + SIGPIPE, as for any program whose reader has gone. */
const BROKEN_PIPE = 141;
const CONSOLE_LINES = 20;
/** Characters that are kept of what is not passed on; a command may write without end. */
const MOST_KEPT = 64 * 2 ** 20;

export async function runScript(guest: Guest, script: string): Promise<number> {
  const { computer, options, boot, interruption } = guest;
  let broken = false;
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
  const stop = (): void => void instance.destroy();
  [output, errors, status].forEach((capture, i) => {
    const port = instance.os.console.ports[i + 1];
    port.onData = (bytes) => {
      const room = capture.add(bytes);
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
  const said = /^(\d+)\n$/.exec(status.text);
  const code = said !== null ? Number(said[1]) : timedOut ? TIMED_OUT : 1;
  if (options.json) {
    const seconds = (performance.now() - started) / 1000;
    const truncated = output.truncated || errors.truncated;
    const texts = { stdout: output.text, stderr: errors.text, ...(truncated && { truncated }) };
    const result = { status: code, ok: said !== null, ...texts, seconds };
    process.stdout.write(`${JSON.stringify(result)}\n`);
  }
  if (said === null) {
    const why = timedOut
      ? `the time of ${(options.timeout ?? 0) / 1000} s was over`
      : (describeEnd(end) ?? `the guest ended (${end.kind}) before the command did`);
    const last = instance.console.text.trimEnd().split(/\r?\n/).slice(-CONSOLE_LINES).join('\n');
    process.stderr.write(`understudy: ${why}. Its console's last lines:\n${last}\n`);
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
  readonly #decoder = new TextDecoder();
  #text = '';
  /** More came than is kept. */
  truncated = false;

  /** `onClosed`: nobody reads the stream any more. */
  constructor(
    private readonly stream: NodeJS.WriteStream | undefined,
    onClosed: () => void,
  ) {
    stream?.on('error', onClosed);
  }

  get text(): string {
    return this.#text;
  }

  /** A promise while there is no room for more. */
  add(bytes: Uint8Array): Promise<void> | undefined {
    if (this.stream !== undefined) return writeOut(this.stream, bytes);
    if (this.#text.length < MOST_KEPT) this.#text += this.#decoder.decode(bytes, { stream: true });
    else this.truncated = true;
    return undefined;
  }
}
