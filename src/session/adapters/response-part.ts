/** What a visit adds to its response's headers, kept until they are sent: only then is it known what else is in them. */
import { tellCaches } from '../caching.js';
import type { HeaderEditor } from '../caching.js';
import type { Transport } from '../transport.js';

/** A response's headers, to which one more of a name can be added. */
export interface AppendableHeaders extends HeaderEditor {
  append(name: string, value: string): void;
}

/** One visit's part of one response. */
export class ResponsePart {
  /** Whether the application has looked at the session. */
  looked = false;
  /** The value of the header that carries the session, if the response is to have one. */
  value: string | undefined;
  readonly #transport: Transport;

  constructor(transport: Transport) {
    this.#transport = transport;
  }

  /** Writes everything. Once for each set of headers: a cookie is added to those that are there. */
  writeTo(headers: AppendableHeaders): void {
    const { requestHeader, responseHeader } = this.#transport;
    const { value, looked } = this;
    tellCaches(headers, { requestHeader, looked, carries: value !== undefined });
    if (value === undefined) return;
    if (responseHeader === 'set-cookie') headers.append(responseHeader, value);
    else headers.set(responseHeader, value);
  }
}
