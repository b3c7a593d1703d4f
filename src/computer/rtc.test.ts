import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { RtcAlarm, RtcRegisters } from './rtc.js';

const TIME_LOW = 0x00;
const TIME_HIGH = 0x04;
const ALARM_LOW = 0x08;
const ALARM_HIGH = 0x0c;
const IRQ_ENABLED = 0x10;
const CLEAR_ALARM = 0x14;
const ALARM_STATUS = 0x18;
const CLEAR_INTERRUPT = 0x1c;
const SECOND = 10n ** 9n;

function setUp() {
  const buffer = new SharedArrayBuffer(0x2000);
  let level = false;
  const line = { set: (l: boolean) => void (level = l) };
  const alarm = new RtcAlarm(buffer, 0x1000, line, (error) => assert.fail(String(error)));
  const rtc = new RtcRegisters(buffer, 0x1000, line, () => alarm.poll());
  const pair = (low: number, high: number): bigint => {
    const first = BigInt(rtc.read(low));
    return (BigInt(rtc.read(high)) << 32n) | first;
  };
  const write = (low: number, high: number, value: bigint): void => {
    rtc.write(high, 4, Number(value >> 32n));
    rtc.write(low, 4, Number(value & 0xffff_ffffn));
  };
  return {
    rtc,
    alarm,
    raised: () => level,
    time: () => pair(TIME_LOW, TIME_HIGH),
    setTime: (ns: bigint) => write(TIME_LOW, TIME_HIGH, ns),
    wakeAt: () => pair(ALARM_LOW, ALARM_HIGH),
    setAlarm: (ns: bigint) => write(ALARM_LOW, ALARM_HIGH, ns),
  };
}

const host = (): bigint => BigInt(Date.now()) * 1_000_000n;
const isBetween = (value: bigint, least: bigint, most: bigint): void =>
  assert.ok(value >= least && value <= most, `${value} is not between ${least} and ${most}`);

void test('it shows the host’s time; reading the low word holds the high one', () => {
  const { rtc, time } = setUp();
  const before = host();
  isBetween(time(), before, host());
  const high = rtc.read(TIME_HIGH);
  assert.equal(high, Number(before >> 32n));
  assert.equal(rtc.read(0x20), 0);
  assert.equal(rtc.read(0xffc), 0);
});

void test('it can be set, far into the future and the past, and goes on from there', async () => {
  const { time, setTime } = setUp();
  for (const year of [1_000_000_000n, 4_000_000_000n, 10_000_000_000n, 0n, 18_000_000_000n]) {
    setTime(year * SECOND);
    isBetween(time(), year * SECOND, (year + 10n) * SECOND);
  }
  const before = time();
  await delay(30);
  isBetween(time() - before, 20n * 1_000_000n, 10n * SECOND);
});

void test('an alarm interrupts when its time comes, once, if it may', async () => {
  const { rtc, alarm, raised, time, wakeAt, setAlarm } = setUp();
  const due = time() + 50_000_000n;
  setAlarm(due);
  assert.equal(wakeAt(), due);
  rtc.write(IRQ_ENABLED, 4, 1);
  assert.deepEqual([raised(), rtc.read(ALARM_STATUS)], [false, 1]);
  while (!raised()) await delay(5);
  isBetween(time(), due, due + 10n * SECOND);
  assert.equal(rtc.read(ALARM_STATUS), 0);
  rtc.write(CLEAR_INTERRUPT, 4, 1);
  assert.equal(raised(), false);
  // Unasked for it stays silent, and says so when it is asked for.
  rtc.write(IRQ_ENABLED, 4, 0);
  setAlarm(time());
  assert.deepEqual([raised(), rtc.read(ALARM_STATUS)], [false, 0]);
  rtc.write(IRQ_ENABLED, 4, 1);
  assert.equal(raised(), true);
  alarm.detach();
});

void test('an alarm that is cleared, or whose guest is gone, does not come', async () => {
  const { rtc, alarm, raised, time, setAlarm } = setUp();
  rtc.write(IRQ_ENABLED, 4, 1);
  setAlarm(time() + 30_000_000n);
  rtc.write(CLEAR_ALARM, 4, 1);
  assert.equal(rtc.read(ALARM_STATUS), 0);
  await delay(60);
  assert.equal(raised(), false);
  setAlarm(time() + 30_000_000n);
  alarm.detach();
  await delay(60);
  assert.equal(raised(), false);
});

void test('an alarm follows a clock that is set', async () => {
  const { rtc, alarm, raised, time, setTime, setAlarm } = setUp();
  rtc.write(IRQ_ENABLED, 4, 1);
  const due = time() + 3600n * SECOND;
  setAlarm(due);
  await delay(20);
  assert.equal(raised(), false);
  setTime(due - 20_000_000n);
  while (!raised()) await delay(5);
  isBetween(time(), due, due + 10n * SECOND);
  alarm.detach();
});
