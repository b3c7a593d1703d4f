/**
 * Types of the floors below the library: of what `computer.vmm`, `instance.os`, `carrier.partition` and their like give
 * access to. Types only, for programs that look below; the floors change more often than the library does, and any
 * version may change them.
 */
export type { Board, BoardHost, BoardOptions } from './computer/board.js';
export type { Clock as ComputerClock } from './computer/clock.js';
export type { DebugConsoleOutput, DebugConsolePage } from './computer/debug-console.js';
export type { DmaSpace, InterruptLine, MmioRegion } from './computer/dma.js';
export type { Frames } from './computer/frames.js';
export type { GuestOutput } from './computer/guest-output.js';
export type { HartProfile } from './computer/hart-profile.js';
export type { MachineMemory } from './computer/memory.js';
export type { Plic } from './computer/plic/plic.js';
export type { Budget, TurnTaker, Turns } from './computer/turns.js';
export type { UartPort } from './computer/uart.js';
export type { VirtioBlock } from './computer/virtio/block.js';
export type { Chain } from './computer/virtio/chain.js';
export type { ConsolePort, PortOwner } from './computer/virtio/console-port.js';
export type { ConsoleOptions, VirtioConsole } from './computer/virtio/console.js';
export type { DeviceHost, DeviceKind, VirtioDevice } from './computer/virtio/device.js';
export type { GuestMemory } from './computer/virtio/guest-memory.js';
export type { NetCounters, NetOptions, VirtioNet } from './computer/virtio/net.js';
export type { QueueOwner, Virtqueue } from './computer/virtio/queue.js';
export type { Restarted, Wait as InterruptedWait } from './domain/freeze/wait.js';
export type { CallRunner, Registers, Stop, Tracee } from './domain/trace/tracee.js';
export type { Anchor, ClockOffsets } from './domain/tree/anchor.js';
export type { Cgroup } from './domain/tree/cgroup.js';
export type { Mailbox } from './guest/hands/mailbox.js';
export type { MailboxTransport, RingHost } from './guest/hands/transport.js';
export type { OsOptions } from './guest/os-instance.js';
export type { CoreCode } from './hart/core/index.js';
export type { Signature } from './hart/core/linkage.js';
export type { EngineOptions } from './hart/engine.js';
export type { TranslatorCounters } from './hart/translator/translator.js';
export type { LogicalAddressSpace } from './partition/address-space.js';
export type { HartAssignment, HartMessage, HartReport } from './partition/assignment.js';
export type { Hart } from './partition/hart.js';
export type { Machine, Partition } from './partition/partition.js';
export type { Vmm, VmmOptions } from './partition/vmm.js';
export type { FlipSide } from './remapping/flipper.js';
export type { F32, F64, I32, I64, ValueType } from './wasm/expr.js';
export type { WasmMemory, WasmModule } from './wasm/host.js';
export type { MemoryLimits } from './wasm/module.js';
