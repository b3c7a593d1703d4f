/** Passes what this process reads on to a console port of the guest, and its end. */
import type { ConsolePort } from '../../computer/virtio/console-port.js';

/** Where one reads from: standard input, whatever it is. */
export type Input = Pick<NodeJS.ReadStream, 'on' | 'off' | 'pause' | 'resume' | 'readableEnded'>;

/** No faster than the guest reads. The function that it gives ends that. */
export function feed(input: Input, port: ConsolePort): () => void {
  const data = (bytes: Uint8Array): void => {
    if (!port.write(bytes)) input.pause();
  };
  const end = (): void => port.end();
  port.onDrain = () => input.resume();
  input.on('data', data).on('end', end);
  // One that cannot be read (it was closed, or is a folder) is at its end.
  input.on('error', end);
  if (input.readableEnded) end();
  input.resume();
  return () => {
    port.onDrain = () => undefined;
    input.off('data', data).off('end', end);
    input.pause();
  };
}
