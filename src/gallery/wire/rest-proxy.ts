/**
 * A proxy for the REST API between harrow and a target.
 *
 * @packageDocumentation
 */
// biome-ignore lint/suspicious/noEmptyInterface: to come
export interface RestInterceptor {}
export interface RestProxy extends AsyncDisposable {
  /** Base URL at which it is reached. */
  readonly url: string;
}
export async function serveRestProxy(options: {
  readonly upstream: string;
  readonly interceptor: RestInterceptor;
}): Promise<RestProxy> {
  throw new Error(`to come ${options}`);
}
