import tseslint from 'typescript-eslint';

/**
 * The floors of the house, lowest first. A folder may import from its own floor
 * and from what its row names; everything else is an error.
 */
const layers = {
  wasm: [],
  hart: ['wasm'],
  computer: ['hart', 'wasm'],
  partition: ['computer', 'hart'],
  interposition: ['partition', 'computer', 'net'],
  guest: ['interposition', 'partition', 'computer', 'hart'],
  domain: ['guest', 'partition', 'computer'],
  system: ['guest', 'interposition', 'partition', 'computer', 'net', 'image'],
  trees: ['system', 'image'],
  remapping: ['domain', 'guest', 'partition', 'computer'],
  maintenance: ['system', 'remapping', 'domain', 'guest', 'partition', 'computer', 'net'],
  // Beside the floors, leaning on nothing above.
  image: [],
  net: [],
  session: [],
};
/** Folders that may import `node:` modules: the adapters and the faces. */
const mayUseNode = ['src/adapters', 'src/faces', 'src/session/node', 'src/session/adapters'];

const forbid = (folder, allowed) => {
  const others = [...Object.keys(layers), 'adapters', 'faces'].filter((o) => o !== folder && !allowed.includes(o));
  return {
    files: [`src/${folder}/**/*.ts`],
    ignores: ['**/*.test.ts', '**/testing/**', ...mayUseNode.map((f) => `${f}/**`)],
    rules: {
      'no-restricted-imports': [
        'error',
        {
          patterns: [
            {
              regex: `^(\\.\\./)+(${others.join('|')})(/|$)`,
              message: `src/${folder} lies below or beside that floor`,
            },
            { regex: '^node:', message: 'the core is platform-blind: use an adapter' },
          ],
        },
      ],
      'no-restricted-globals': ['error', 'process', 'Buffer', 'window', 'document', '__dirname'],
    },
  };
};

export default tseslint.config(
  { ignores: ['dist/**', 'build/**', 'node_modules/**'] },
  {
    files: ['**/*.ts'],
    extends: [...tseslint.configs.strictTypeChecked],
    languageOptions: { parserOptions: { projectService: true, tsconfigRootDir: import.meta.dirname } },
    rules: {
      '@typescript-eslint/restrict-template-expressions': ['error', { allowNumber: true, allowBoolean: true }],
      '@typescript-eslint/no-confusing-void-expression': 'off',
      '@typescript-eslint/no-non-null-assertion': 'off',
      '@typescript-eslint/no-floating-promises': [
        'error',
        {
          allowForKnownSafeCalls: [
            { from: 'package', name: ['test', 'describe', 'it', 'suite'], package: 'node:test' },
          ],
        },
      ],
      '@typescript-eslint/no-unnecessary-condition': 'off',
      '@typescript-eslint/prefer-literal-enum-member': 'off',
      '@typescript-eslint/unbound-method': 'off',
    },
  },
  {
    files: ['src/**/*.ts', 'bench/**/*.ts'],
    ignores: ['**/*.test.ts'],
    rules: {
      'no-restricted-syntax': [
        'error',
        {
          selector:
            ':matches(CallExpression[callee.name=/^(mkdir|cp)(Sync)?$/], CallExpression[callee.property.name=/^(mkdir|cp)(Sync)?$/]) Property[key.name="recursive"]',
          message: 'Node makes folders for ever where one cannot be made, as under /proc: use makeFolders',
        },
      ],
    },
  },
  ...Object.entries(layers).map(([folder, allowed]) => forbid(folder, allowed)),
);
