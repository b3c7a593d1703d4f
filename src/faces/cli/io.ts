/** `understudy io`: what the monitor does at the devices of a machine that runs in another terminal. */
import { createWriteStream } from 'node:fs';
import { once } from 'node:events';
import { writeOut } from '../../adapters/node/write-out.js';
import { Reader, telling } from './asking.js';
import { ask } from './control/client.js';
import { ControlError } from './control/errors.js';
import { isObject, type JsonObject } from './control/lines.js';
import { runCommand } from './command.js';
import type { Interruption } from './interruption.js';
import { IO_USAGE, parseIoOptions, type IoOptions } from './io/options.js';
import { showCounts, showDevices, showMove, showProgress, showRecord, showSwitch } from './io/show.js';

/**
 * Runs `understudy io ARGS`.
 *
 * @returns 0 when it was done, 1 when it was refused, 128 + n when signal n ended it; the second guest's status of `share`.
 */
export function ioCommand(args: string[]): Promise<number> {
  return runCommand(parseIoOptions(args), IO_USAGE, (options, interruption) =>
    telling(options.json, interruption, () => run(options, interruption)),
  );
}

async function run({ request, machine, lasts, pcap, json }: IoOptions, interruption: Interruption): Promise<number> {
  const capture = pcap === undefined ? undefined : await openCapture(pcap);
  const time = lasts === undefined ? undefined : AbortSignal.timeout(lasts);
  const reader = new Reader();
  const { print } = reader;
  const enough = AbortSignal.any([interruption.signal, reader.gone, ...(time === undefined ? [] : [time])]);
  const onEvent = (event: JsonObject): void => {
    const { records, bytes, output, copied } = event;
    if (typeof bytes === 'string') void capture?.(Buffer.from(bytes, 'base64'));
    else if (json) {
      for (const one of Array.isArray(records) ? (records as unknown[]) : [event]) print(`${JSON.stringify(one)}\n`);
    } else if (Array.isArray(records)) for (const record of records) print(isObject(record) ? showRecord(record) : '');
    else if (typeof output === 'string') print(Buffer.from(output, 'base64'));
    else if (copied !== undefined) process.stderr.write(`${showProgress(event)}\n`);
    else if (typeof event['began'] === 'string') process.stderr.write(`${event['began']}; Ctrl-C ends it\n`);
  };
  try {
    const done = await ask(request, { machine, enough, onEvent });
    if (json) print(`${JSON.stringify(done)}\n`);
    else if (request.do === 'list') print(showDevices(done));
    else if (request.do === 'interpose' || request.do === 'step-away') print(showSwitch(done));
    else if (request.do === 'move') print(showMove(done));
    else if (request.do === 'watch') {
      // What goes into a file has no place for it.
      if (pcap === '-') process.stderr.write(showCounts(done));
      else print(showCounts(done));
    }
    await reader.printed();
    if (interruption.status !== undefined) return interruption.status;
    if (request.do !== 'share') return 0;
    const { status } = done;
    return typeof status === 'number' ? status : 1;
  } finally {
    await capture?.(undefined);
  }
}

/** A function that takes pieces of the capture, and undefined at its end. */
async function openCapture(path: string): Promise<(bytes: Uint8Array | undefined) => Promise<void>> {
  if (path === '-') {
    return async (bytes) => {
      if (bytes !== undefined) await writeOut(process.stdout, bytes);
    };
  }
  const stream = createWriteStream(path);
  try {
    await once(stream, 'open');
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause);
    throw new ControlError('invalid', `cannot write ${path}: ${why}`, { cause });
  }
  stream.on('error', (error) => void process.stderr.write(`understudy: ${path}: ${error.message}\n`));
  return async (bytes) => {
    if (bytes === undefined) await new Promise<void>((resolve) => stream.end(() => resolve()));
    else stream.write(bytes);
  };
}
