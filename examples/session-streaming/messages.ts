/**
 * A text protocol in the manner of RTSP (RFC 2326): a start line, headers, an
 * empty line, a body of Content-Length bytes. The session travels in a header.
 *
 *   PLAY stream://any/intro RTSP/1.0        RTSP/1.0 200 OK
 *   CSeq: 2                                 CSeq: 2
 *   Session: AV5VEE4...                     Session: AV5VEE4...
 *
 * A playing server sends messages of its own, one per frame of the stream, each
 * with the seal of the session as it is once that frame has arrived.
 *
 *   FRAME stream://any/intro RTSP/1.0
 *   Session: AV5VEE4...
 *   Content-Length: 32
 */

/** One message, either way. */
export interface Message {
  /** The three words of the start line; the third may have spaces. */
  readonly start: readonly [string, string, string];
  /** By lower-case name. */
  readonly headers: ReadonlyMap<string, string>;
  readonly body: Buffer;
}

/** What was received is not this protocol: the connection is of no more use. */
export class ProtocolError extends Error {}

const MAX_HEAD = 16_384;
const MAX_BODY = 1 << 20;

/** Writes a message. */
export function formatMessage(
  start: string,
  headers: Readonly<Record<string, string>>,
  body: Buffer = Buffer.alloc(0),
): Buffer {
  const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`);
  const length = body.length === 0 ? '' : `Content-Length: ${body.length}\r\n`;
  return Buffer.concat([Buffer.from(`${start}\r\n${lines.join('')}${length}\r\n`), body]);
}

/** Takes messages out of what a connection delivers, however it is cut. */
export class MessageReader {
  #buffer = Buffer.alloc(0);

  /**
   * @returns the messages that are complete now
   * @throws ProtocolError
   */
  push(chunk: Buffer): Message[] {
    this.#buffer = Buffer.concat([this.#buffer, chunk]);
    const messages: Message[] = [];
    for (let message = this.#next(); message !== undefined; message = this.#next()) messages.push(message);
    return messages;
  }

  #next(): Message | undefined {
    const end = this.#buffer.indexOf('\r\n\r\n');
    if (end > MAX_HEAD || (end < 0 && this.#buffer.length > MAX_HEAD))
      throw new ProtocolError('headers without an end');
    if (end < 0) return undefined;
    const [startLine, ...lines] = this.#buffer.toString('latin1', 0, end).split('\r\n');
    const start = /^(\S+) (\S+) (.+)$/.exec(startLine);
    if (start === null) throw new ProtocolError('not a start line');
    const headers = new Map<string, string>();
    for (const line of lines) {
      const header = /^([!-9;-~]+):[ \t]*(.*)$/.exec(line);
      if (header === null) throw new ProtocolError('not a header');
      headers.set(header[1].toLowerCase(), header[2].trim());
    }
    const length = headers.get('content-length') ?? '0';
    if (!/^\d{1,7}$/.test(length) || Number(length) > MAX_BODY) throw new ProtocolError('not a length');
    const bodyAt = end + 4;
    const next = bodyAt + Number(length);
    if (this.#buffer.length < next) return undefined;
    const body = this.#buffer.subarray(bodyAt, next);
    this.#buffer = this.#buffer.subarray(next);
    return { start: [start[1], start[2], start[3]], headers, body };
  }
}
