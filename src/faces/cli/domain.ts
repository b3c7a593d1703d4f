/** `understudy domain`: programs as process domains of a machine that runs in another terminal; and that machine. */
import { Reader, telling } from './asking.js';
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
    return telling(options.json, interruption, () => speak(options, interruption));
  });
}

async function speak(
  { request, machine, json }: Extract<DomainOptions, { serve?: never }>,
  interruption: Interruption,
): Promise<number> {
  const reader = new Reader();
  const { print } = reader;
  const onEvent = (event: JsonObject): void => {
    const { output, started, booting } = event;
    if (json) print(`${JSON.stringify(event)}\n`);
    else if (typeof output === 'string') print(Buffer.from(output, 'base64'));
    else if (started !== undefined) process.stderr.write(showStarted(event));
    else if (typeof booting === 'string') process.stderr.write(`an understudy boots: ${booting}\n`);
  };
  const enough = AbortSignal.any([interruption.signal, reader.gone]);
  const done = await ask(request, { machine, enough, onEvent });
  print(json ? `${JSON.stringify(done)}\n` : show(request, done));
  await reader.printed();
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
