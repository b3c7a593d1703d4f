/** `understudy domain`: programs as process domains of a machine that runs in another terminal; and that machine. */
import { Terminal } from '../../adapters/node/terminal.js';
import { Reader, telling } from './asking.js';
import { runCommand } from './command.js';
import { ask } from './control/client.js';
import { isObject, type JsonObject } from './control/lines.js';
import type { DomainRequest, Message } from './control/protocol.js';
import { Keyboard } from './domain/keyboard.js';
import { DOMAIN_USAGE, parseDomainOptions, type DomainOptions } from './domain/options.js';
import { serve } from './domain/serve.js';
import { showCheck, showDomains, showEnd, showMoved, showStarted } from './domain/show.js';
import type { Interruption } from './interruption.js';
import { UsageError } from './usage.js';

/** `domain check`: something is in the way. */
const NOT_MOVABLE = 3;

/**
 * Runs `understudy domain ARGS`.
 *
 * @returns 0 when it was done, of `run` the program's status or 128 and its signal, 3 when `check` found something in the
 * way, 1 when it was refused, 128 + n when signal n ended it.
 */
export function domainCommand(args: string[]): Promise<number> {
  return runCommand(parseDomainOptions(args), DOMAIN_USAGE, async (options, interruption) => {
    if (options.serve !== undefined) return serve(options.serve, interruption);
    return telling(options.json, interruption, () => speak(options, interruption));
  });
}

async function speak(
  { request: asked, machine, json, tty }: Extract<DomainOptions, { serve?: never }>,
  interruption: Interruption,
): Promise<number> {
  const reader = new Reader();
  const { print } = reader;
  const terminal = tty ? ownTerminal() : undefined;
  const request = terminal === undefined || asked.do !== 'domain-run' ? asked : withTerminal(asked, terminal);
  const keyboard = request.do === 'domain-run' && request.stdin === true ? new Keyboard(terminal) : undefined;
  const onEvent = (event: JsonObject): void => {
    const { output, started, booting, taken, inputClosed } = event;
    if (typeof taken === 'number') keyboard?.took(taken);
    else if (inputClosed === true) keyboard?.close();
    else if (json) print(`${JSON.stringify(event)}\n`);
    else if (typeof output === 'string') print(Buffer.from(output, 'base64'));
    else if (started !== undefined) process.stderr.write(showStarted(event));
    else if (typeof booting === 'string') process.stderr.write(`an understudy boots: ${booting}\n`);
    if (started !== undefined) keyboard?.start();
  };
  const enough = AbortSignal.any([interruption.signal, reader.gone]);
  try {
    const onConnected = (say: (message: Message) => void): void => keyboard?.connect(say);
    const done = await ask(request, { machine, enough, onEvent, onConnected });
    print(json ? `${JSON.stringify(done)}\n` : show(request, done));
    await reader.printed();
    return statusOf(request, done, interruption);
  } finally {
    keyboard?.close();
  }
}

/** Throws UsageError. */
function ownTerminal(): Terminal {
  const terminal = new Terminal();
  if (terminal.interactive && terminal.size !== undefined) return terminal;
  const what = terminal.interactive ? 'output' : 'input';
  throw new UsageError(`--tty: standard ${what} is no terminal (without --tty it is passed on as it comes)`);
}

type RunRequest = Extract<DomainRequest, { do: 'domain-run' }>;

/** A program is told by TERM what its terminal understands. */
function withTerminal(request: RunRequest, terminal: Terminal): RunRequest {
  const { env = [] } = request;
  const named = env.some((text) => text.startsWith('TERM='));
  const term = process.env['TERM'] ?? 'xterm';
  return { ...request, env: named ? env : [`TERM=${term}`, ...env], ...(terminal.size && { tty: terminal.size }) };
}

function show(request: DomainRequest, done: JsonObject): string {
  switch (request.do) {
    case 'domain-run':
      return request.detach ? showStarted(done) : '';
    case 'domain-ps':
      return showDomains(done);
    case 'domain-check':
      return showCheck(done);
    case 'domain-move':
      return showMoved(done);
    case 'domain-stop':
      return isObject(done['end']) ? `${request.name} ${showEnd(done['end'])}\n` : '';
    case 'domain-logs':
      return '';
  }
}

function statusOf(request: DomainRequest, done: JsonObject, interruption: Interruption): number {
  if (interruption.status !== undefined) return interruption.status;
  if (request.do === 'domain-check') return done['movable'] === true ? 0 : NOT_MOVABLE;
  if (request.do !== 'domain-run' || request.detach) return 0;
  const { kind, status, signal } = isObject(done['end']) ? done['end'] : {};
  if (kind === 'exited' && typeof status === 'number') return status;
  return kind === 'killed' && typeof signal === 'number' ? 128 + signal : 1;
}
