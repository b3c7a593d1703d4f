/** How a console with several ports is spoken to (virtio 1.2, 5.3). */

/** Linux passes a size on to its terminals only with this (5.3.3). */
export const F_SIZE = 1 << 0;
export const F_MULTIPORT = 1 << 1;

export const CONTROL_RX = 2;
export const CONTROL_TX = 3;

/** Control messages: { port 4, event 2, value 2 } (5.3.6.2), with a name or { columns 2, rows 2 } behind some. */
export const CONTROL_SIZE = 8;
export const DEVICE_READY = 0;
export const DEVICE_ADD = 1;
export const PORT_READY = 3;
export const CONSOLE_PORT = 4;
export const RESIZE = 5;
export const PORT_OPEN = 6;
export const PORT_NAME = 7;

/** The queue a port receives on; the next one is the one it sends on (5.3.2). */
export function rxQueue(port: number): number {
  return port === 0 ? 0 : 2 + 2 * port;
}

/** The queue a port sends on. */
export function txQueue(port: number): number {
  return rxQueue(port) + 1;
}
