/**
 * What `understudy io` and a machine say to each other, in JSON, a line each:
 *
 *     io                                             machine
 *     {"version":1,"do":"watch","device":"disk0"}
 *                                                    {"event":{…}}        any number, as they come
 *     (closes its end: enough)
 *                                                    {"done":{…}}  or  {"error":{"code":…,"message":…}}
 *
 * While a domain that has what the caller types runs, lines of the caller's follow ({@link Message}).
 *
 * One connection, one request. A use lasts until the other end is closed, so it ends with who wanted it, however that
 * comes about. Nothing that comes is trusted on either side.
 */
import { ControlError } from './errors.js';
import { isObject, parseObject, type JsonObject } from './lines.js';

export const VERSION = 1;

export type DiskKind = 'read' | 'write' | 'flush' | 'discard' | 'zero';
const DISK_KINDS: readonly DiskKind[] = ['read', 'write', 'flush', 'discard', 'zero'];

export interface LimitRule {
  readonly bytesPerSecond?: number;
  readonly operationsPerSecond?: number;
}

/** For a disk: `errors`, `requests`, `first`, `sectors`; for a network card: `loss`, `duplicate`, `direction`. */
export interface DisturbRule {
  readonly latency?: number;
  readonly jitter?: number;
  readonly errors?: number;
  readonly requests?: readonly DiskKind[];
  readonly first?: number;
  readonly sectors?: number;
  readonly loss?: number;
  readonly duplicate?: number;
  readonly direction?: 'in' | 'out';
}

/** How a second guest sees a disk; for a network card nothing of it is told. */
export interface ShareRule {
  readonly first?: number;
  readonly sectors?: number;
  readonly readOnly?: boolean;
  readonly overlay?: boolean;
  readonly weight?: number;
}

export type Request =
  | { readonly do: 'list' }
  | { readonly do: 'interpose' | 'step-away'; readonly device: string; readonly timeout?: number }
  /** `what`: each request or frame, or nothing but the counts at the end. */
  | { readonly do: 'watch'; readonly device: string; readonly what: 'all' | 'count' }
  | { readonly do: 'limit'; readonly device: string; readonly rule: LimitRule }
  | { readonly do: 'disturb'; readonly device: string; readonly rule: DisturbRule }
  | { readonly do: 'move'; readonly device: string; readonly path: string; readonly overwrite: boolean }
  | { readonly do: 'share'; readonly device: string; readonly rule: ShareRule; readonly script: string }
  | DomainRequest;

/** A terminal. */
export interface TtyRule {
  readonly columns: number;
  readonly rows: number;
}

/** What is asked about process domains. */
export type DomainRequest =
  | {
      readonly do: 'domain-run';
      readonly argv: readonly string[];
      readonly name?: string;
      /** `user` or `user:group`. */
      readonly user?: string;
      /** `NAME=VALUE` each. */
      readonly env?: readonly string[];
      /** `NAME=SOFT` or `NAME=SOFT:HARD` each. */
      readonly limits?: readonly string[];
      readonly cwd?: string;
      readonly tree?: string;
      readonly root?: string;
      readonly address?: string;
      /** `PORT:GUESTPORT` each. */
      readonly forwards?: readonly string[];
      /** It goes on when who asked has gone. */
      readonly detach: boolean;
      /** Its standard input comes with messages; with `tty` what is typed at its terminal. */
      readonly stdin?: boolean;
      readonly tty?: TtyRule;
    }
  | { readonly do: 'domain-ps' }
  | { readonly do: 'domain-check'; readonly name: string; readonly kernel?: string }
  | { readonly do: 'domain-move'; readonly name: string; readonly kernel?: string }
  | { readonly do: 'domain-stop'; readonly name: string; readonly timeout?: number }
  | { readonly do: 'domain-logs'; readonly name: string; readonly follow: boolean };

/** What is asked about devices. */
export type DeviceRequest = Exclude<Request, DomainRequest>;

const NAME = /^[A-Za-z0-9][A-Za-z0-9_.-]{0,62}$/;
const MOST_PATH = 4096;
const MOST_SCRIPT = 2 ** 18;

/** Whether a machine, or a device, may be called so. */
export const isName = (text: string): boolean => NAME.test(text);

const refuse = (what: string): never => {
  throw new ControlError('invalid', what);
};

type Check = (name: string, value: unknown) => unknown;

const number =
  (least: number, most = Infinity): Check =>
  (name, value) =>
    typeof value === 'number' && Number.isFinite(value) && value >= least && value <= most
      ? value
      : refuse(`"${name}" is a number from ${least} to ${most}`);
const count: Check = (name, value) =>
  Number.isSafeInteger(value) && Number(value) >= 0 ? value : refuse(`"${name}" is a whole number`);
const boolean: Check = (name, value) => (typeof value === 'boolean' ? value : refuse(`"${name}" is true or false`));
const oneOf =
  (...choices: readonly string[]): Check =>
  (name, value) =>
    typeof value === 'string' && choices.includes(value) ? value : refuse(`"${name}" is one of ${choices.join(', ')}`);
const text =
  (most: number): Check =>
  (name, value) =>
    typeof value === 'string' && value !== '' && value.length <= most && !value.includes('\0')
      ? value
      : refuse(`"${name}" is a text of at most ${most} characters`);
const device: Check = (name, value) =>
  typeof value === 'string' && isName(value) ? value : refuse(`"${name}" is the name of a device, such as disk0`);
const kinds: Check = (name, value) =>
  Array.isArray(value) && value.length > 0 && value.length <= DISK_KINDS.length
    ? value.map((kind) => oneOf(...DISK_KINDS)(name, kind))
    : refuse(`"${name}" is a list of ${DISK_KINDS.join(', ')}`);

/** Arguments of a program, at most, and characters of each. */
const MOST_TEXTS = 4096;
const texts: Check = (name, value) =>
  Array.isArray(value) && value.length <= MOST_TEXTS
    ? value.map((one: unknown) => (one === '' ? one : text(MOST_SCRIPT)(name, one)))
    : refuse(`"${name}" is a list of at most ${MOST_TEXTS} texts`);
const domain: Check = (name, value) =>
  typeof value === 'string' && isName(value) ? value : refuse(`"${name}" is the name of a domain`);

/** An hour. */
const MOST_MS = 3_600_000;
const range = { first: count, sectors: count };
const LIMIT = { bytesPerSecond: number(1), operationsPerSecond: number(0.001) };
const DISTURB = {
  ...{ latency: number(0, MOST_MS), jitter: number(0, MOST_MS), errors: number(0, 1), requests: kinds, ...range },
  ...{ loss: number(0, 1), duplicate: number(0, 1), direction: oneOf('in', 'out') },
};
const cells = number(1, 0xffff);
const TTY = { columns: cells, rows: cells };
const SHARE = { ...range, readOnly: boolean, overlay: boolean, weight: number(0.001, 1000) };

/** Takes what the table names, and refuses everything else. */
function fields(value: JsonObject, table: Readonly<Record<string, Check>>, where: string): Record<string, unknown> {
  const taken: Record<string, unknown> = {};
  for (const [name, given] of Object.entries(value)) {
    if (!Object.hasOwn(table, name)) refuse(`there is no "${name}" in ${where}`);
    taken[name] = table[name](name, given);
  }
  return taken;
}

const rule =
  (table: Readonly<Record<string, Check>>): Check =>
  (name, value) =>
    isObject(value) ? fields(value, table, `"${name}"`) : refuse(`"${name}" is an object`);

const switching = { needs: ['device'], device, timeout: number(0, MOST_MS) };
const REQUESTS: Readonly<Record<Request['do'], { readonly needs: readonly string[] } & Record<string, unknown>>> = {
  list: { needs: [] },
  interpose: switching,
  'step-away': switching,
  watch: { needs: ['device', 'what'], device, what: oneOf('all', 'count') },
  limit: { needs: ['device', 'rule'], device, rule: rule(LIMIT) },
  disturb: { needs: ['device', 'rule'], device, rule: rule(DISTURB) },
  move: { needs: ['device', 'path', 'overwrite'], device, path: text(MOST_PATH), overwrite: boolean },
  'domain-run': {
    needs: ['argv', 'detach'],
    ...{ argv: texts, name: domain, user: text(256), env: texts, limits: texts, cwd: text(MOST_PATH) },
    ...{ tree: text(64), root: text(MOST_PATH), address: text(64), forwards: texts, detach: boolean },
    ...{ stdin: boolean, tty: rule(TTY) },
  },
  'domain-ps': { needs: [] },
  'domain-check': { needs: ['name'], name: domain, kernel: text(64) },
  'domain-move': { needs: ['name'], name: domain, kernel: text(64) },
  'domain-stop': { needs: ['name'], name: domain, timeout: number(0, MOST_MS) },
  'domain-logs': { needs: ['name', 'follow'], name: domain, follow: boolean },
  share: { needs: ['device', 'rule', 'script'], device, rule: rule(SHARE), script: text(MOST_SCRIPT) },
};

/** Throws ControlError `invalid`. */
export function parseRequest(line: string): Request {
  const { version, do: what, ...rest } = parseObject(line);
  if (version !== VERSION) refuse(`this machine speaks version ${VERSION} of the protocol, not ${String(version)}`);
  if (typeof what !== 'string' || !Object.hasOwn(REQUESTS, what)) {
    return refuse(`there is no "${String(what)}"; there are ${Object.keys(REQUESTS).join(', ')}`);
  }
  const { needs, ...table } = REQUESTS[what as Request['do']];
  const missing = needs.find((name) => !Object.hasOwn(rest, name));
  if (missing !== undefined) refuse(`"${what}" needs "${missing}"`);
  const taken = fields(rest, table as Readonly<Record<string, Check>>, `"${what}"`);
  if (what === 'move' && !String(taken['path']).startsWith('/')) refuse('"path" begins with /');
  return { do: what, ...taken } as Request;
}

/** Bytes of input that may be on their way without the machine having said that they are taken (an event `taken`). */
export const INPUT_WINDOW = 256 * 1024;

/** What a caller says after its request. */
export type Message =
  | { readonly input: Uint8Array }
  /** The end of its input. */
  | { readonly end: true }
  | { readonly size: TtyRule };

/** Throws ControlError `invalid`. */
export function parseMessage(line: string): Message {
  const { input, end, size } = parseObject(line);
  if (typeof input === 'string') return { input: Buffer.from(input, 'base64') };
  if (end === true) return { end };
  if (isObject(size)) {
    const { columns, rows } = fields(size, TTY, '"size"');
    return { size: { columns: Number(columns), rows: Number(rows) } };
  }
  return refuse(`this is no message: ${line.slice(0, 80)}`);
}

export const writeMessage = (message: Message): string =>
  `${JSON.stringify('input' in message ? { input: Buffer.from(message.input).toString('base64') } : message)}\n`;

export const writeRequest = (request: Request): string => `${JSON.stringify({ version: VERSION, ...request })}\n`;

export type Answer =
  | { readonly event: JsonObject }
  | { readonly done: JsonObject }
  | { readonly error: { readonly code: string; readonly message: string } };

/** Throws ControlError `invalid`. */
export function parseAnswer(line: string): Answer {
  const { event, done, error } = parseObject(line);
  if (isObject(event)) return { event };
  if (isObject(done)) return { done };
  if (isObject(error) && typeof error['code'] === 'string' && typeof error['message'] === 'string') {
    return { error: { code: error['code'], message: error['message'] } };
  }
  return refuse(`this is no answer: ${line.slice(0, 80)}`);
}
