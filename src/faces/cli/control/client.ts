/** Asks a machine that runs in another terminal, and hears its answers. */
import type { Socket } from 'node:net';
import { ControlError, RefusedError } from './errors.js';
import { controlFolder, machinesIn, removeStale, socketPath, tryConnect } from './folder.js';
import { lineReader, type JsonObject } from './lines.js';
import { parseAnswer, writeMessage, writeRequest, type Message, type Request } from './protocol.js';

/** An answer may carry a piece of a capture, or many records. */
const MOST_ANSWER = 8 * 2 ** 20;

export interface AskOptions {
  /** The only one unless told. */
  readonly machine: string | undefined;
  /** Says that it is enough: what was asked for ends, and what it says then is the answer. */
  readonly enough: AbortSignal;
  readonly onEvent: (event: JsonObject) => void;
  /** Gets what sends messages after the request. */
  readonly onConnected?: (say: (message: Message) => void) => void;
  readonly folder?: string;
}

/** Once it is enough, the machine has so long to end what it does and to say so (ms). */
const PATIENCE = 15_000;

/** The name of the machine that is meant. Throws ControlError `no-machine`, `which`. */
export async function whichMachine(machine: string | undefined, folder = controlFolder()): Promise<string> {
  if (machine !== undefined) return machine;
  const running = await machinesIn(folder);
  const [only] = running;
  if (only === undefined) {
    const start = '"understudy run --name NAME" starts one, "understudy domain serve --name NAME" one for domains';
    throw new ControlError('no-machine', `no machine with a name runs; ${start}`);
  }
  if (running.length > 1) {
    throw new ControlError('which', `several machines run, and --machine says which: ${running.join(', ')}`);
  }
  return only;
}

/**
 * Resolves with what the machine says in the end. Rejects with ControlError (`no-machine`, `which`, `gone`, `invalid`,
 * `folder`), or RefusedError with the code that the machine gives.
 */
export async function ask(request: Request, options: AskOptions): Promise<JsonObject> {
  const { folder = controlFolder(), enough, onEvent, onConnected } = options;
  const name = await whichMachine(options.machine, folder);
  const path = socketPath(folder, name);
  const socket = await tryConnect(path);
  if (socket === undefined) {
    await removeStale(path);
    throw new ControlError('no-machine', `no machine called ${name} runs`);
  }
  let patience: ReturnType<typeof setTimeout> | undefined;
  const finish = (): void => {
    socket.end();
    // A machine that stands still says nothing more.
    patience ??= setTimeout(() => socket.destroy(), PATIENCE);
  };
  try {
    const answer = hear(socket, name, onEvent);
    socket.write(writeRequest(request));
    onConnected?.((message) => {
      if (socket.writable) socket.write(writeMessage(message));
    });
    enough.addEventListener('abort', finish, { once: true });
    if (enough.aborted) finish();
    return await answer;
  } finally {
    clearTimeout(patience);
    enough.removeEventListener('abort', finish);
    socket.destroy();
  }
}

function hear(socket: Socket, name: string, onEvent: (event: JsonObject) => void): Promise<JsonObject> {
  return new Promise((resolve, reject) => {
    const fail = (error: unknown): void => reject(error instanceof Error ? error : new Error(String(error)));
    const read = lineReader((line) => {
      const answer = parseAnswer(line);
      if ('event' in answer) onEvent(answer.event);
      else if ('done' in answer) resolve(answer.done);
      else reject(new RefusedError(answer.error.code, answer.error.message));
    }, MOST_ANSWER);
    socket.on('data', (bytes) => {
      try {
        read(bytes);
      } catch (error) {
        socket.destroy();
        fail(error);
      }
    });
    const gone = (): void => reject(new ControlError('gone', `${name} ended before it answered`));
    socket.once('end', gone).once('close', gone).on('error', gone);
  });
}
