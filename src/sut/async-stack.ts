/**
 * Things that are open, closed in the reverse order of their opening. Node 20 has no AsyncDisposableStack.
 *
 * @packageDocumentation
 */

export class AsyncStack implements AsyncDisposable {
  #resources: AsyncDisposable[] = [];
  #disposal: Promise<void> | undefined;

  use<Resource extends AsyncDisposable>(resource: Resource): Resource {
    this.#resources.push(resource);
    return resource;
  }

  /** Has something done at the end. */
  defer(work: () => Promise<void>): void {
    this.#resources.push({ [Symbol.asyncDispose]: work });
  }

  /** Hands the resources over to a new stack; this one then closes nothing. */
  move(): AsyncStack {
    const heir = new AsyncStack();
    heir.#resources = this.#resources;
    this.#resources = [];
    return heir;
  }

  /** Closes everything even if closing something fails, and reports the first failure. */
  [Symbol.asyncDispose](): Promise<void> {
    return (this.#disposal ??= this.#dispose());
  }

  async #dispose(): Promise<void> {
    const failures: unknown[] = [];
    for (const resource of this.#resources.reverse()) {
      try {
        await resource[Symbol.asyncDispose]();
      } catch (error) {
        failures.push(error);
      }
    }
    if (failures.length > 0) throw failures[0];
  }
}
