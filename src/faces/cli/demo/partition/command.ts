/** `understudy demo partition`: who owns what, and what each finds of it. */
import { runCommand } from '../../command.js';
import { demonstrate } from '../demonstrate.js';
import { DEMO_PARTITION_USAGE, parseDemoPartitionOptions } from './options.js';
import { PartitionScenario } from './scenario.js';
import { PartitionScreen } from './screen.js';
import { drawPartitionResult } from './table.js';

/** Runs `understudy demo partition ARGS`; answers its status, as {@link demonstrate} does. */
export function demoPartitionCommand(args: string[]): Promise<number> {
  return runCommand(parseDemoPartitionOptions(args), DEMO_PARTITION_USAGE, (options, interruption) =>
    demonstrate(options, interruption, new PartitionScenario(options, new PartitionScreen()), (result) =>
      result.rounds > 0 ? drawPartitionResult(result, process.stdout) : '',
    ),
  );
}
