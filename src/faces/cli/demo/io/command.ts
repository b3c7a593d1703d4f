/** `understudy demo io`: devices change hands while they are in use. */
import { runCommand } from '../../command.js';
import { demonstrate } from '../demonstrate.js';
import { DEMO_IO_USAGE, parseDemoIoOptions } from './options.js';
import { IoScenario } from './scenario.js';
import { Screen } from './screen.js';
import { drawIoResult } from './table.js';

/** Runs `understudy demo io ARGS`; answers its status, as {@link demonstrate} does. */
export function demoIoCommand(args: string[]): Promise<number> {
  return runCommand(parseDemoIoOptions(args), DEMO_IO_USAGE, (options, interruption) => {
    const screen = new Screen();
    const scenario = new IoScenario(options, screen);
    const shown = {
      result: scenario.result,
      run: scenario.run.bind(scenario),
      close: () => {
        screen.end();
        return scenario.close();
      },
    };
    return demonstrate(options, interruption, shown, (result) =>
      result.switches > 0 ? drawIoResult(result, process.stdout) : '',
    );
  });
}
