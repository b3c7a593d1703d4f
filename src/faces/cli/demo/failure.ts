/** How a demonstration that could not go on is told of. */

export function asError(thrown: unknown): Error {
  return thrown instanceof Error ? thrown : new Error(String(thrown));
}

/** Tells of a failure on standard error, and in the result. */
export function tellFailure(result: { error?: { code: string; message: string } }, failure: Error): void {
  const { message } = failure;
  result.error = { code: 'code' in failure ? String(failure.code) : 'failed', message };
  process.stderr.write(`understudy: ${message}\n`);
}
