/** `understudy images`: prepares the guests' kernels and file systems, lists them, removes them. */
import { nodeCache } from '../../adapters/node/cache.js';
import { nodeCommands } from '../../adapters/node/commands.js';
import {
  cleanCache,
  ImageError,
  listImages,
  prepareImages,
  PROFILES,
  type Mirrors,
  type PreparedImage,
  type Profile,
} from '../../image/index.js';
import { listTrees } from '../../trees/index.js';
import { progressPrinter } from './progress.js';
import { obtainTree } from './trees.js';
import { parseCommandLine, UsageError } from './usage.js';

const USAGE = `Usage: understudy images [list | prepare [PROFILE...] | build --install PACKAGES | clean] [options]

Kernels and file systems of guests, made of Debian packages that apt fetches and verifies, and trees: whole Debian
systems with packages of your choice, on a disk that guests mount read-only.
They are kept in UNDERSTUDY_CACHE (or XDG_CACHE_HOME/understudy, or ~/.cache/understudy).

  list                     what the cache holds (the default)
  prepare [PROFILE...]     profiles: ${Object.keys(PROFILES).join(', ')}; all of them when none is named
  build --install A,B      a tree with these packages and all that they depend on; their scripts run in a
                           guest, none on this machine
  clean                    removes everything

Options:
  --kernel KERNEL          trixie, backports, or a release such as 6.12.107+deb13-riscv64; may be
                           given several times; trixie and backports when it is not
  --install PACKAGES       with build: names of Debian packages, with commas between; may be given several times
  --name NAME              with build: what to call the tree; its packages in a row unless told
  --refresh                looks for newer versions of what is there
  --mirror URL             a mirror of Debian, instead of the one in this machine's apt configuration
  --security-mirror URL    the same for security updates
  --packages               with clean: removes fetched packages and indices, keeps images
  --json                   one JSON object on standard output
  --help
`;

/** Prepares images with Node's adapters and shows the progress on standard error. */
export async function obtainImages(
  profiles: readonly Profile[],
  options: { signal?: AbortSignal; refresh?: boolean; mirrors?: Mirrors } = {},
): Promise<PreparedImage[]> {
  const progress = progressPrinter();
  try {
    return await prepareImages(profiles, {
      ...options,
      cache: nodeCache(),
      commands: nodeCommands,
      onProgress: progress.report,
    });
  } finally {
    progress.end();
  }
}

interface Options {
  command: string;
  profiles: string[];
  kernels: string[];
  refresh: boolean;
  packages: boolean;
  install: string[];
  name: string | undefined;
  json: boolean;
  mirrors: Mirrors | undefined;
}

function parse(args: string[]): Options | 'help' {
  const { values, positionals } = parseCommandLine({
    args,
    allowPositionals: true,
    options: {
      kernel: { type: 'string', multiple: true },
      refresh: { type: 'boolean', default: false },
      mirror: { type: 'string' },
      'security-mirror': { type: 'string' },
      packages: { type: 'boolean', default: false },
      install: { type: 'string', multiple: true },
      name: { type: 'string' },
      json: { type: 'boolean', default: false },
      help: { type: 'boolean', short: 'h', default: false },
    },
  });
  if (values.help) return 'help';
  const [command = 'list', ...profiles] = positionals;
  if (!['list', 'prepare', 'build', 'clean'].includes(command)) throw new UsageError(`there is no "images ${command}"`);
  if (command !== 'prepare' && profiles.length > 0) throw new UsageError(`"images ${command}" takes no ${profiles[0]}`);
  for (const name of profiles) {
    if (!Object.hasOwn(PROFILES, name)) {
      throw new UsageError(`there is no profile "${name}"; there are ${Object.keys(PROFILES).join(', ')}`);
    }
  }
  const install = (values.install ?? []).flatMap((names) => names.split(',')).filter((name) => name !== '');
  if (command === 'build' && install.length === 0) throw new UsageError('"images build" wants --install PACKAGES');
  if (command !== 'build' && (install.length > 0 || values.name !== undefined)) {
    throw new UsageError('--install and --name go with "images build"');
  }
  if (command === 'build' && values.kernel !== undefined) throw new UsageError('a tree has no kernel of its own');
  const security = values['security-mirror'];
  if (security !== undefined && values.mirror === undefined) throw new UsageError('--security-mirror wants --mirror');
  const mirrors =
    values.mirror === undefined
      ? undefined
      : { debian: { uri: values.mirror }, ...(security === undefined ? {} : { security: { uri: security } }) };
  return {
    command,
    profiles: profiles.length > 0 ? profiles : Object.keys(PROFILES),
    kernels: values.kernel ?? ['trixie', 'backports'],
    refresh: values.refresh,
    packages: values.packages,
    json: values.json,
    install,
    name: values.name,
    mirrors,
  };
}

const megabytes = (bytes: number): string => `${(bytes / 1e6).toFixed(1)} MB`;

/** @returns the process's exit status: 0, 1 after an error, 2 for wrong arguments, 130 when interrupted. */
export async function imagesCommand(args: string[]): Promise<number> {
  let options;
  try {
    options = parse(args);
  } catch (error) {
    if (!(error instanceof UsageError)) throw error;
    process.stderr.write(`${error.message}\n\n${USAGE}`);
    return 2;
  }
  if (options === 'help') {
    process.stdout.write(USAGE);
    return 0;
  }
  const interruption = new AbortController();
  const interrupt = (): void => interruption.abort();
  process.once('SIGINT', interrupt).once('SIGTERM', interrupt);
  try {
    const { text, json } = await act(options, interruption.signal);
    process.stdout.write(options.json ? `${JSON.stringify(json)}\n` : text);
    return 0;
  } catch (error) {
    if (!(error instanceof ImageError)) throw error;
    if (options.json)
      process.stdout.write(`${JSON.stringify({ error: { code: error.code, message: error.message } })}\n`);
    process.stderr.write(`understudy: ${error.message}\n`);
    return error.code === 'aborted' ? 130 : 1;
  } finally {
    process.off('SIGINT', interrupt).off('SIGTERM', interrupt);
  }
}

async function act(options: Options, signal: AbortSignal): Promise<{ text: string; json: object }> {
  const cache = nodeCache();
  if (options.command === 'clean') {
    const onWait = (): void => void process.stderr.write('waiting for another process that prepares images\n');
    await cleanCache(cache, { packagesOnly: options.packages, signal, onWait });
    return { text: `${cache.root} is clean\n`, json: { cache: cache.root } };
  }
  if (options.command === 'list') {
    const images = await listImages(cache);
    const rows = images.map(
      (i) =>
        `${i.manifest.profile.padEnd(8)} Linux ${i.manifest.kernel.release.padEnd(26)} ${megabytes(i.bytes).padStart(9)}${i.whole ? '' : '  damaged'}\n`,
    );
    const trees = await listTrees(cache);
    const treeRows = trees.map(
      ({ name, manifest, whole }) =>
        `tree ${name}, ${manifest.packages.length} packages with ${manifest.install.join(', ')}: ${megabytes(manifest.used)}${whole ? '' : '  damaged'}\n`,
    );
    const none = 'no images yet: understudy images prepare\n';
    return {
      text: `${cache.root}\n${rows.length === 0 ? none : rows.join('')}${treeRows.join('')}`,
      json: { cache: cache.root, images, trees },
    };
  }
  const mirrors = options.mirrors === undefined ? {} : { mirrors: options.mirrors };
  if (options.command === 'build') {
    const { install, name, refresh } = options;
    const tree = await obtainTree({ install, signal, refresh, ...mirrors, ...(name !== undefined && { name }) });
    const { packages, used } = tree.manifest;
    const text = `tree ${tree.name}, ${packages.length} packages, ${megabytes(used)}\n  ${tree.disk}\n`;
    return { text, json: { cache: cache.root, tree } };
  }
  const profiles = options.kernels.flatMap((kernel) => options.profiles.map((name) => PROFILES[name](kernel)));
  const images = await obtainImages(profiles, { signal, refresh: options.refresh, ...mirrors });
  const rows = images.map((i) => `Linux ${i.kernelVersion}, ${i.manifest.profile}\n  ${i.kernel}\n  ${i.initramfs}\n`);
  return { text: rows.join(''), json: { cache: cache.root, images } };
}
