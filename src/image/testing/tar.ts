/** Makes small ustar archives. */
import { concatBytes, toBytes } from '../bytes.js';

export interface TestFile {
  path: string;
  data?: Uint8Array | string;
  symlink?: string;
  mode?: number;
}

export function makeTar(files: readonly TestFile[]): Uint8Array {
  const parts: Uint8Array[] = [];
  for (const { path, data = '', symlink, mode = 0o644 } of files) {
    const body = toBytes(data);
    const head = new Uint8Array(512);
    const put = (text: string, at: number): void => head.set(toBytes(text), at);
    const octal = (n: number, digits: number): string => n.toString(8).padStart(digits, '0');
    put(`./${path}`, 0);
    put(octal(mode, 7), 100);
    put(octal(0, 7), 108);
    put(octal(0, 7), 116);
    put(octal(body.length, 11), 124);
    put(symlink === undefined ? '0' : '2', 156);
    put(symlink ?? '', 157);
    put('ustar\x0000', 257);
    head.fill(0x20, 148, 156);
    put(
      `${octal(
        head.reduce((sum, b) => sum + b, 0),
        6,
      )}\0 `,
      148,
    );
    parts.push(head, body, new Uint8Array((512 - (body.length % 512)) % 512));
  }
  return concatBytes([...parts, new Uint8Array(1024)]);
}
