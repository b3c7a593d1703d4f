/** Online maintenance: an understudy takes over the work of an OS instance in service. See docs/maintenance.md. */
export { Carrier, type CarrierOptions, type TreeDisk } from './carrier.js';
export { MaintenanceError, type MaintenanceErrorCode } from './errors.js';
export type { MaintenanceEvent, OnMaintenance } from './events.js';
export { switchGate } from './gate.js';
export { Maintenance, type MaintenanceOptions, type MaintenanceState } from './maintenance.js';
export { moveDomain, type MoveOptions } from './move.js';
export type { Untidied } from '../remapping/tidying.js';
