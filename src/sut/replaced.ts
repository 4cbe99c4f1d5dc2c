/**
 * An object of which some methods are other ones: a service with a diff of its own, a device that reads otherwise.
 *
 * A port that must let nothing else through, such as one that only reads, lists its methods instead.
 *
 * @packageDocumentation
 */

/** All else is passed on, and called on the object itself. */
export function replaced<Port extends object>(port: Port, methods: Partial<Port>): Port {
  return new Proxy(port, {
    get(target, key) {
      if (Reflect.has(methods, key)) return Reflect.get(methods, key);
      const own = Reflect.get(target, key);
      return typeof own === "function" ? own.bind(target) : own;
    },
  });
}
