/** Flattened device trees (Devicetree specification 0.4, chapter 5). */
const MAGIC = 0xd00dfeed;
const VERSION = 17;
const LAST_COMPATIBLE_VERSION = 16;
const HEADER_SIZE = 40;
const BEGIN_NODE = 1;
const END_NODE = 2;
const PROP = 3;
const END = 9;

/** A property: nothing, cells of 32 bits, text, several texts, or bytes. */
export type FdtValue = true | number | readonly number[] | string | readonly string[] | Uint8Array;

/** A node: properties, then children by name. */
export interface FdtNode {
  readonly properties?: Readonly<Record<string, FdtValue>>;
  readonly children?: Readonly<Record<string, FdtNode>>;
}

const utf8 = new TextEncoder();

function encode(value: FdtValue): Uint8Array {
  if (value === true) return new Uint8Array(0);
  if (value instanceof Uint8Array) return value;
  if (typeof value === 'string') return utf8.encode(`${value}\0`);
  const list: readonly (number | string)[] = typeof value === 'number' ? [value] : value;
  if (typeof list[0] === 'string') return utf8.encode(list.map((text) => `${text}\0`).join(''));
  const bytes = new Uint8Array(4 * list.length);
  const view = new DataView(bytes.buffer);
  list.forEach((cell, i) => view.setUint32(4 * i, Number(cell)));
  return bytes;
}

/** The tree with `root` at its top, as a blob. */
export function buildFdt(root: FdtNode): Uint8Array {
  const structure: number[] = [];
  const strings: number[] = [];
  const stringAt = new Map<string, number>();
  const cell = (value: number): void => {
    structure.push((value >>> 24) & 0xff, (value >>> 16) & 0xff, (value >>> 8) & 0xff, value & 0xff);
  };
  const padded = (bytes: Uint8Array): void => {
    structure.push(...bytes);
    while (structure.length % 4 !== 0) structure.push(0);
  };
  const name = (text: string): number => {
    let at = stringAt.get(text);
    if (at === undefined) {
      at = strings.length;
      stringAt.set(text, at);
      strings.push(...utf8.encode(`${text}\0`));
    }
    return at;
  };
  const node = (nodeName: string, { properties = {}, children = {} }: FdtNode): void => {
    cell(BEGIN_NODE);
    padded(utf8.encode(`${nodeName}\0`));
    for (const [key, value] of Object.entries(properties)) {
      const bytes = encode(value);
      cell(PROP);
      cell(bytes.length);
      cell(name(key));
      padded(bytes);
    }
    for (const [key, child] of Object.entries(children)) node(key, child);
    cell(END_NODE);
  };
  node('', root);
  cell(END);

  const reservations = HEADER_SIZE;
  const structureAt = reservations + 16;
  const stringsAt = structureAt + structure.length;
  const total = stringsAt + strings.length;
  const blob = new Uint8Array(total);
  const view = new DataView(blob.buffer);
  [
    MAGIC,
    total,
    structureAt,
    stringsAt,
    reservations,
    VERSION,
    LAST_COMPATIBLE_VERSION,
    0,
    strings.length,
    structure.length,
  ].forEach((value, i) => view.setUint32(4 * i, value));
  blob.set(structure, structureAt);
  blob.set(strings, stringsAt);
  return blob;
}
