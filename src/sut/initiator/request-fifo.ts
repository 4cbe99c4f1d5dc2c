/**
 * Requests that wait for room on a queue, in the order of their arrival.
 *
 * @packageDocumentation
 */
import type { Loss, QueueRequest } from "./command-slot.ts";
import type { QueueConnection } from "./connection.ts";

export class RequestFifo {
  #requests: QueueRequest[] = [];
  #head = 0;

  push(request: QueueRequest): void {
    this.#requests.push(request);
  }

  /** Sends what the queues have room for, each request to the queue with the most room. */
  pump(queues: readonly QueueConnection[], tick: number): void {
    for (let request = this.#peek(); request !== undefined; request = this.#peek()) {
      const queue = roomiest(queues);
      if (queue === undefined || queue.room < request.slotsAtOnce) return;
      queue.issue(request);
      request.waitDeadlineTick = tick + request.timeoutTicks;
    }
  }

  /** Gives up the requests whose time to wait is over. */
  expire(tick: number, loss: Loss): void {
    for (const request of this.#waiting()) {
      if (request.hasMore && request.waitDeadlineTick <= tick) request.onNeverSent(loss);
    }
  }

  /** Gives up everything. */
  clear(loss: Loss): void {
    const requests = this.#waiting();
    this.#requests = [];
    this.#head = 0;
    for (const request of requests) if (request.hasMore) request.onNeverSent(loss);
  }

  /** The first request that has something to send; the others are dropped on the way. */
  #peek(): QueueRequest | undefined {
    while (this.#head < this.#requests.length) {
      const request = this.#requests[this.#head]!;
      if (request.hasMore) return request;
      this.#head += 1;
    }
    this.#requests = [];
    this.#head = 0;
    return undefined;
  }

  #waiting(): QueueRequest[] {
    return this.#requests.slice(this.#head);
  }
}

function roomiest(queues: readonly QueueConnection[]): QueueConnection | undefined {
  let best: QueueConnection | undefined;
  let bestRoom = 0;
  for (const queue of queues) {
    const { room } = queue;
    if (room > bestRoom) {
      best = queue;
      bestRoom = room;
    }
  }
  return best;
}
