/**
 * The cable between an OS instance's network card and a port of the switch. Who has no
 * room makes the other wait, in both directions; nothing is dropped here.
 */
import type { VirtioNet } from '../computer/virtio/net.js';
import { makeLarge, segmentSize, type Port } from '../net/index.js';

/** A function that pulls the cable out. */
export function connectCable(nic: VirtioNet, port: Port): () => void {
  nic.onFrame = (frame, segment) => port.send(segment === 0 ? frame : makeLarge(frame, segment));
  nic.onRoom = () => port.ready();
  port.acceptsLarge = () => nic.acceptsLarge;
  port.onFrame = (frame) => nic.receive(frame, segmentSize(frame));
  port.onReady = () => nic.resume();
  return () => {
    nic.onFrame = () => true;
    nic.onRoom = () => undefined;
    port.close();
  };
}
