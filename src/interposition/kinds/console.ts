import { VirtioConsole } from '../../computer/virtio/console.js';
import { CONSOLE_DRIVER_BYTES, ConsoleDriver, type ConsoleEvents } from '../driver/console.js';
import type { Kind } from '../kind.js';

/** How the monitor takes a console's place. */
export function consoleKind(): Kind<VirtioConsole, ConsoleDriver> {
  // What the driver is told while there is no emulation yet, it is told again.
  let emulation: VirtioConsole | undefined;
  const events: ConsoleEvents = {
    data: (p, bytes) => emulation?.ports[p]?.write(bytes) ?? true,
    room: (p) => emulation?.ports[p]?.letGo(),
    added: (p) => emulation?.announce(p),
    closed: (p) => emulation?.ports[p]?.end(),
  };
  return {
    name: 'console',
    driverBytes: CONSOLE_DRIVER_BYTES,
    drive: (device, memory) => new ConsoleDriver(device, memory, events),
    emulate: (host, driver, real) => {
      const console = new VirtioConsole(host, { ...real.options, gather: real.gather });
      for (const port of console.ports) {
        port.onData = (bytes) => {
          if (!driver.transmit(port.index, bytes)) port.hold();
        };
        port.onOpen = (open) => driver.open(port.index, open);
        port.onDrain = () => driver.wanted(port.index);
      }
      emulation = console;
      return console;
    },
    release: (real, driver) => {
      driver.finish();
      for (const port of emulation?.ports ?? []) real.ports[port.index]?.putFirst(port.takeBacklog());
      emulation = undefined;
    },
  };
}
