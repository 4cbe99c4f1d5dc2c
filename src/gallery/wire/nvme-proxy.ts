/**
 * A proxy for NVMe/TCP between a host and a target.
 *
 * @packageDocumentation
 */
// biome-ignore lint/suspicious/noEmptyInterface: to come
export interface NvmeInterceptor {}
interface Address {
  readonly host: string;
  readonly port: number;
}
export interface NvmeProxy extends AsyncDisposable {
  /** Where it listens. */
  readonly address: Address;
}
export async function serveNvmeProxy(options: {
  readonly upstream: Address;
  readonly interceptor: NvmeInterceptor;
}): Promise<NvmeProxy> {
  throw new Error(`to come ${options}`);
}
