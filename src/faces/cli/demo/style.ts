/** Colours where the output is a terminal that wants them, plain text elsewhere. */
export interface Output {
  readonly isTTY?: boolean;
  readonly columns?: number;
}

const CODES = { dim: 2, bold: 1, red: 31, green: 32, yellow: 33, blue: 34, cyan: 36 } as const;
export type Style = (style: keyof typeof CODES, text: string) => string;

export function styleFor(output: Output): Style {
  const coloured = output.isTTY === true && (process.env['NO_COLOR'] ?? '') === '' && process.env['TERM'] !== 'dumb';
  return (style, text) => (coloured && text !== '' ? `\x1b[${CODES[style]}m${text}\x1b[0m` : text);
}
