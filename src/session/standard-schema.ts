/**
 * The part of Standard Schema (version 1, standardschema.dev) that is needed to
 * let any validator that speaks it check a session's activity and data. Types
 * only: the specification asks to copy them, so that there is no dependency.
 */

/** One thing a validator found wrong. */
export interface Issue {
  readonly message: string;
  readonly path?: readonly (PropertyKey | { readonly key: PropertyKey })[] | undefined;
}

/** A validator's answer. */
export type SchemaResult<Output> =
  { readonly value: Output; readonly issues?: undefined } | { readonly issues: readonly Issue[] };

/** Any validator: Zod, Valibot, ArkType, or an object written by hand. */
export interface StandardSchema<Output> {
  readonly '~standard': {
    readonly version: 1;
    readonly vendor: string;
    readonly validate: (value: unknown) => SchemaResult<Output> | Promise<SchemaResult<Output>>;
  };
}
