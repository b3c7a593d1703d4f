/** A machine's ear: who connects to its socket, which is this user's alone, says what is to be done at its devices. */
import { chmod } from 'node:fs/promises';
import { createServer, type Server, type Socket } from 'node:net';
import { perform, type Machine } from './actions.js';
import { Caller } from './caller.js';
import { ControlError } from './errors.js';
import { controlFolder, makeControlFolder, removeStale, socketPath, tryConnect } from './folder.js';
import { lineReader } from './lines.js';
import { parseRequest } from './protocol.js';

/** Connections at one time. */
const MOST_CALLERS = 64;
/** Who connects says what it wants within this time (ms). */
const PATIENCE = 10_000;

export class ControlServer {
  readonly #callers = new Set<Caller>();
  readonly #work = new Set<Promise<void>>();
  #closed = false;

  private constructor(
    readonly path: string,
    private readonly server: Server,
    private readonly machine: Machine,
  ) {
    server.on('connection', (socket) => this.#accept(socket));
    // A connection that could not be taken is that one's trouble.
    server.on('error', () => undefined);
  }

  /**
   * Opens the socket of a machine. Throws ControlError `name-taken`, `folder`, `invalid`.
   */
  static async open(machine: Machine, folder = controlFolder()): Promise<ControlServer> {
    const path = socketPath(folder, machine.name);
    await makeControlFolder(folder);
    const server = createServer({ allowHalfOpen: true });
    for (let attempt = 0; ; attempt++) {
      const error = await listen(server, path);
      if (error === undefined) break;
      if (error.code !== 'EADDRINUSE' || attempt > 0) {
        throw new ControlError('folder', `cannot listen at ${path}: ${error.message}`, { cause: error });
      }
      const other = await tryConnect(path);
      other?.destroy();
      if (other !== undefined) throw new ControlError('name-taken', `a machine called ${machine.name} runs already`);
      await removeStale(path);
    }
    await chmod(path, 0o600);
    return new ControlServer(path, server, machine);
  }

  /** Ends every use, and removes the socket. */
  async close(): Promise<void> {
    this.#closed = true;
    const closed = new Promise<void>((resolve) => this.server.close(() => resolve()));
    for (const caller of this.#callers) caller.hangUp();
    await Promise.all(this.#work);
    await closed;
  }

  #accept(socket: Socket): void {
    if (this.#closed || this.#callers.size >= MOST_CALLERS) {
      socket.destroy();
      return;
    }
    const caller = new Caller(socket);
    this.#callers.add(caller);
    const work = this.#serve(socket, caller).finally(() => {
      this.#callers.delete(caller);
      this.#work.delete(work);
    });
    this.#work.add(work);
  }

  async #serve(socket: Socket, caller: Caller): Promise<void> {
    try {
      const request = parseRequest(await firstLine(socket, (line) => caller.hear(line)));
      caller.done(await perform(request, this.machine, caller));
    } catch (error) {
      caller.refuse(error);
    }
    await caller.gone;
  }
}

/**
 * What is said first; rejects with ControlError `invalid` if it is too long, too late, or nothing. `more`: takes the lines
 * that follow; what it does not want ends the connection.
 */
function firstLine(socket: Socket, more: (line: string) => void): Promise<string> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new ControlError('invalid', 'nothing was asked for')), PATIENCE);
    let first = true;
    let failed = false;
    const read = lineReader((line) => {
      clearTimeout(timer);
      if (!first) more(line);
      first = false;
      resolve(line);
    });
    socket.on('data', (bytes) => {
      if (failed) return;
      try {
        read(bytes);
      } catch (error) {
        failed = true;
        reject(error instanceof Error ? error : new Error(String(error)));
        if (!first) socket.destroy();
      }
    });
    const nothing = (): void => {
      clearTimeout(timer);
      reject(new ControlError('invalid', 'nothing was asked for'));
    };
    socket.once('end', nothing).once('close', nothing);
  });
}

function listen(server: Server, path: string): Promise<NodeJS.ErrnoException | undefined> {
  return new Promise((resolve) => {
    const failed = (error: NodeJS.ErrnoException): void => resolve(error);
    server.once('error', failed);
    server.listen(path, () => {
      server.off('error', failed);
      resolve(undefined);
    });
  });
}
