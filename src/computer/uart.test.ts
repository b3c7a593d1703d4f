import assert from 'node:assert/strict';
import { test } from 'node:test';
import { RX_SIZE, TX_SIZE, UartRegisters, UartPort } from './uart.js';

function setUp(): {
  uart: UartRegisters;
  port: UartPort;
  raised: () => boolean;
  rings: () => number;
  output: () => string;
} {
  const buffer = new SharedArrayBuffer(0x2000);
  let level = false;
  let rings = 0;
  let out = '';
  const line = { set: (l: boolean) => void (level = l) };
  const port = new UartPort(buffer, 0x1000, line);
  port.onData = (bytes) => (out += new TextDecoder().decode(bytes));
  const uart = new UartRegisters(buffer, 0x1000, line, () => {
    rings++;
  });
  return { uart, port, raised: () => level, rings: () => rings, output: () => out };
}

void test('bytes go out when polled, with one doorbell for many', () => {
  const { uart, port, rings, output } = setUp();
  for (const c of 'hello') {
    assert.equal(uart.read(5) & 0x60, 0x60);
    uart.write(0, 1, c.charCodeAt(0));
  }
  assert.equal(rings(), 1);
  port.poll();
  assert.equal(output(), 'hello');
  uart.write(0, 1, 33);
  assert.equal(rings(), 2);
  port.poll();
  assert.equal(output(), 'hello!');
});

void test('a full transmitter says so, and interrupts when it is empty', () => {
  const { uart, port, raised, output } = setUp();
  for (let i = 0; i < TX_SIZE; i++) uart.write(0, 1, 65);
  assert.equal(uart.read(5) & 0x60, 0);
  uart.write(1, 1, 2);
  assert.equal(raised(), false);
  port.poll();
  assert.equal(output().length, TX_SIZE);
  assert.equal(raised(), true);
  assert.equal(uart.read(2) & 0x0f, 2);
  assert.equal(raised(), false);
  assert.equal(uart.read(2) & 0x0f, 1);
  uart.write(0, 1, 65);
  assert.equal(uart.read(2) & 0x0f, 2, 'after each byte there is room for');
});

void test('enabling the transmitter interrupt while empty raises it', () => {
  const { uart, raised } = setUp();
  uart.write(1, 1, 2);
  assert.equal(raised(), true);
});

void test('bytes come in with an interrupt, and wait for room', () => {
  const { uart, port, raised } = setUp();
  uart.write(1, 1, 1);
  const data = Uint8Array.from({ length: RX_SIZE + 70_000 }, (_, i) => i % 253);
  let drained = 0;
  port.onDrain = () => drained++;
  assert.equal(port.write(data.subarray(0, 100)), true);
  assert.equal(port.write(data.subarray(100)), false);
  assert.equal(raised(), true);
  assert.equal(uart.read(2) & 0x0f, 4);
  const got: number[] = [];
  while ((uart.read(5) & 1) !== 0) {
    got.push(uart.read(0));
    port.poll();
  }
  assert.deepEqual(Uint8Array.from(got), data);
  assert.equal(drained, 1);
  assert.equal(raised(), false);
  assert.equal(uart.read(0), 0);
});

void test('divisor, scratch, loop mode and registers that do not exist', () => {
  const { uart, output, port } = setUp();
  uart.write(3, 1, 0x83);
  uart.write(0, 1, 0x0c);
  uart.write(1, 1, 0x01);
  assert.equal(uart.read(0), 0x0c);
  assert.equal(uart.read(1), 0x01);
  uart.write(3, 1, 0x03);
  assert.equal(uart.read(1), 0);
  uart.write(7, 1, 0xa5);
  assert.equal(uart.read(7), 0xa5);
  assert.equal(uart.read(6), 0xb0);
  // The test by which drivers find out that there is a port at all.
  uart.write(4, 1, 0x1a);
  assert.equal(uart.read(6) & 0xf0, 0x90);
  uart.write(0, 1, 0x5a);
  assert.equal(uart.read(0), 0x5a);
  port.poll();
  assert.equal(output(), '');
  uart.write(2, 1, 1);
  assert.equal(uart.read(2) & 0xc0, 0xc0);
  assert.equal(uart.read(8), 0);
  uart.write(0xff, 1, 1);
});

void test('while the reader has no room the transmitter has none either', () => {
  const { uart, port, output } = setUp();
  port.hold();
  for (let i = 0; i < TX_SIZE; i++) uart.write(0, 1, 65);
  port.poll();
  assert.equal(output(), '');
  assert.equal(uart.read(5) & 0x60, 0);
  port.letGo();
  assert.equal(output().length, TX_SIZE);
  assert.equal(uart.read(5) & 0x60, 0x60);
});
