/** Fields of sstatus (privileged specification 12.1.1) as masks of its low 32 bits. */
export const SSTATUS_SIE = 1 << 1;
export const SSTATUS_SPIE = 1 << 5;
export const SSTATUS_SPP = 1 << 8;
export const SSTATUS_FS = 3 << 13;
export const SSTATUS_SUM = 1 << 18;
export const SSTATUS_MXR = 1 << 19;
/** What a write can change. There is no vector unit. */
export const SSTATUS_WRITABLE = SSTATUS_SIE | SSTATUS_SPIE | SSTATUS_SPP | SSTATUS_FS | SSTATUS_SUM | SSTATUS_MXR;
