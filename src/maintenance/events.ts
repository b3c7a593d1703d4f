/** What maintenance tells while it works. Times are milliseconds of `performance.now()`. */
import type { MigrationReport, Step } from '../remapping/migrate.js';
import type { Carrier } from './carrier.js';

/** What happens during maintenance; `at` is in milliseconds of `performance.now()`. */
export type MaintenanceEvent =
  /** The understudy begins to boot. */
  | { readonly type: 'booting'; readonly name: string; readonly at: number }
  /** A small domain moves there and back, to see whether it can take over. */
  | { readonly type: 'rehearsing'; readonly name: string; readonly at: number }
  /** It is up, and can take over. */
  | { readonly type: 'booted'; readonly understudy: Carrier; readonly at: number }
  | {
      readonly type: 'moving';
      readonly domain: string;
      readonly from: string;
      readonly to: string;
      readonly at: number;
    }
  /** A step of the move that is going on begins. */
  | { readonly type: 'step'; readonly domain: string; readonly step: Step; readonly at: number }
  /** Somebody has paused this instance in the middle of the move, which goes on when it is resumed. */
  | { readonly type: 'held-up'; readonly domain: string; readonly by: string; readonly at: number }
  | { readonly type: 'moved'; readonly domain: string; readonly report: MigrationReport; readonly at: number }
  /** The move came to nothing; the domain goes on in `stays`. Undefined: it goes on nowhere. */
  | {
      readonly type: 'move-failed';
      readonly domain: string;
      readonly stays: string | undefined;
      readonly error: Error;
      readonly at: number;
    }
  /** An instance that carries nothing any more is being shut down. */
  | { readonly type: 'retiring'; readonly name: string; readonly at: number }
  | {
      readonly type: 'retired';
      readonly name: string;
      readonly freeHarts: number;
      readonly freeMemory: number;
      readonly at: number;
    };

/** Is told what happens during maintenance. */
export type OnMaintenance = (event: MaintenanceEvent) => void | Promise<void>;
