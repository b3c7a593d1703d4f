/** `understudy domain`: programs as process domains of a machine that runs in another terminal; and that machine. */
import { writeOut } from '../../adapters/node/write-out.js';
import { runCommand } from './command.js';
import { ask } from './control/client.js';
import { isObject, type JsonObject } from './control/lines.js';
import type { DomainRequest } from './control/protocol.js';
import { DOMAIN_USAGE, parseDomainOptions, type DomainOptions } from './domain/options.js';
import { serve } from './domain/serve.js';
import { showCheck, showDomains, showEnd, showMoved, showStarted } from './domain/show.js';
import type { Interruption } from './interruption.js';

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
    try {
      return await speak(options, interruption);
    } catch (error) {
      if (interruption.status !== undefined) return interruption.status;
      if (options.json && error instanceof Error && 'code' in error) {
        const { message } = error;
        process.stdout.write(`${JSON.stringify({ error: { code: String(error.code), message } })}\n`);
      }
      throw error;
    }
  });
}

async function speak(
  { request, machine, json }: Extract<DomainOptions, { serve?: never }>,
  interruption: Interruption,
): Promise<number> {
  // What is printed is no more than who reads takes: the pieces wait for each other.
  let printed: Promise<unknown> = Promise.resolve();
  const print = (text: string | Uint8Array): void => {
    const bytes = typeof text === 'string' ? new TextEncoder().encode(text) : text;
    printed = printed.then(() => writeOut(process.stdout, bytes));
  };
  const onEvent = (event: JsonObject): void => {
    const { output, started, booting } = event;
    if (json) print(`${JSON.stringify(event)}\n`);
    else if (typeof output === 'string') print(Buffer.from(output, 'base64'));
    else if (started !== undefined) process.stderr.write(showStarted(event));
    else if (typeof booting === 'string') process.stderr.write(`an understudy boots: ${booting}\n`);
  };
  const done = await ask(request, { machine, enough: interruption.signal, onEvent });
  print(json ? `${JSON.stringify(done)}\n` : show(request, done));
  await printed;
  return statusOf(request, done, interruption);
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
