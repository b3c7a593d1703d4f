/**
 * The state page of a virtio device on PCI.
 *
 *   0x000  PCI configuration space            256 bytes (pci/config-space.ts)
 *   0x100  lock
 *   0x104  generation                         counts resets
 *   0x108  kicked                             bit q: the driver has notified queue q; bit 31: the main thread waits
 *                                             for a hart's turn to end
 *   0x10c  busy                               who has a turn at the queues: 1 the main thread, 2 × its name
 *                                             (state-page.ts) a hart's thread, see hart-turn.ts
 *   0x110  reset pending                      1: a reset waits until that work has stopped
 *   0x114  ISR status                         bit 0 a queue, bit 1 the configuration
 *   0x118  device status
 *   0x11c  device_feature_select
 *   0x120  driver_feature_select
 *   0x124  queue_select
 *   0x128  config_generation
 *   0x12c  device features                    2 words
 *   0x134  driver features                    2 words
 *   0x13c  number of queues
 *   0x140  length of the device configuration in bytes
 *   0x144  requests under way                 taken from a queue by the main thread, not finished yet
 *   0x148  the generation they are of
 *   0x150  sequences that go on               sequences.ts
 *   0x154  configuration generation the driver read last
 *   0x158  held                               1: kicks wait, nothing new is begun
 *   0x15c  words of the device configuration that the driver may write, of its first 32, a bit each
 *   0x200  device configuration               up to 512 bytes
 *   0x400  queue 0 … 31                       64 bytes each:
 *            +0x00  size          0x04  largest size     0x08  enabled
 *            +0x10  descriptor area, low and high
 *            +0x18  driver area      (available ring)
 *            +0x20  device area      (used ring)
 *            +0x28  next available index, free running, 16 bits
 *            +0x2c  next used index
 *            +0x30  used index at the last interrupt
 *            +0x34  1: that index is valid
 *   0xc00  the device's own state             1 KiB
 *
 * Hart threads write what the driver sets; the ring indices and the device's own
 * state belong to whoever is `busy`, mostly the main thread. A reset clears both, under
 * the lock and never while somebody is. Requests under way outlast it.
 */
export const LOCK = 0x100;
export const GENERATION = 0x104;
export const KICKED = 0x108;
export const BUSY = 0x10c;
export const RESET_PENDING = 0x110;
export const ISR = 0x114;
export const DEVICE_STATUS = 0x118;
export const DEVICE_FEATURE_SELECT = 0x11c;
export const DRIVER_FEATURE_SELECT = 0x120;
export const QUEUE_SELECT = 0x124;
export const CONFIG_GENERATION = 0x128;
export const DEVICE_FEATURES = 0x12c;
export const DRIVER_FEATURES = 0x134;
export const NUM_QUEUES = 0x13c;
export const CONFIG_LENGTH = 0x140;
export const UNDER_WAY = 0x144;
export const UNDER_WAY_GENERATION = 0x148;
export const SEQUENCES = 0x150;
export const GENERATION_SEEN = 0x154;
export const HELD = 0x158;
export const CONFIG_WRITABLE = 0x15c;
export const CONFIG = 0x200;
export const MAX_CONFIG = 0x200;
export const QUEUE = 0x400;
export const QUEUE_STRIDE = 0x40;
export const OWN = 0xc00;
export const OWN_SIZE = 0x400;

export const MAX_QUEUES = 32;
/** Largest queue size we offer; chains are bounded separately. */
export const MAX_QUEUE_SIZE = 1024;

export const QUEUE_SIZE = 0x00;
export const QUEUE_MAX_SIZE = 0x04;
export const QUEUE_ENABLED = 0x08;
export const QUEUE_DESC = 0x10;
export const QUEUE_DRIVER = 0x18;
export const QUEUE_DEVICE = 0x20;
export const QUEUE_NEXT_AVAIL = 0x28;
export const QUEUE_NEXT_USED = 0x2c;
export const QUEUE_SIGNALLED = 0x30;
export const QUEUE_SIGNALLED_VALID = 0x34;

/** KICKED: the main thread wanted a turn while a hart had one. No queue has this bit where harts take turns. */
export const MAIN_WAITS = 1 << 31;
/** BUSY: the main thread. A hart's thread is an even number. */
export const BUSY_MAIN = 1;

/** ISR status bits (virtio 1.2, 4.1.4.5). */
export const ISR_QUEUE = 1;
export const ISR_CONFIG = 2;

/** Device status bits (virtio 1.2, 2.1). */
export const ACKNOWLEDGE = 1;
export const DRIVER = 2;
export const DRIVER_OK = 4;
export const FEATURES_OK = 8;
export const DEVICE_NEEDS_RESET = 64;
export const FAILED = 128;

/** Feature bits of every device (virtio 1.2, chapter 6); those from 32 on are in the high word. */
export const VIRTIO_F_INDIRECT_DESC = 1 << 28;
export const VIRTIO_F_EVENT_IDX = 1 << 29;
export const VIRTIO_F_VERSION_1_HIGH = 1 << 0;
