import { after, before, describe } from 'node:test';
import { pathOf, type KindProgram } from './kind-programs.js';
import { Stage } from './stage.js';

/** Programs in one pair of OS instances: all of them would not fit into a small computer's memory. */
const TOGETHER = 50;

/** Has tests made of programs, `each` of one, that find the OS instances they run in by `stage`. */
export function onStages(
  programs: readonly KindProgram[],
  each: (program: KindProgram, stage: () => Stage) => void,
): void {
  for (let at = 0; at < programs.length; at += TOGETHER) {
    const part = programs.slice(at, at + TOGETHER);
    describe(`${part[0]?.name} to ${part.at(-1)?.name}`, () => {
      let stage: Stage | undefined;
      before(async () => {
        stage = await Stage.open(Object.fromEntries(part.map((p) => [pathOf(p), { data: p.executable, mode: 0o755 }])));
      });
      after(() => stage?.close());
      const opened = (): Stage => {
        if (stage === undefined) throw new Error('the OS instances have not booted');
        return stage;
      };
      for (const program of part) each(program, opened);
    });
  }
}
