import type { Socket } from 'node:dgram';
import { once } from 'node:events';

/** A client asks again after this time (ms), so often. */
const PATIENCE = 3000;
const ASKS = 10;

/**
 * Asks by one socket until there is an answer; what comes late for another question is dropped. A question and its answer
 * begin with the same number of 16 bits.
 */
export async function askUntilAnswered(socket: Socket, port: number, question: Buffer): Promise<Buffer> {
  const id = question.readUInt16BE(0);
  for (let turn = 0; turn < ASKS; turn++) {
    socket.send(question, port, '127.0.0.1');
    const over = AbortSignal.timeout(PATIENCE);
    try {
      for (;;) {
        const [answer] = (await once(socket, 'message', { signal: over })) as [Buffer];
        if (answer.readUInt16BE(0) === id) return answer;
      }
    } catch (error) {
      if (!over.aborted) throw error;
    }
  }
  throw new Error(`no answer to question ${id}`);
}
