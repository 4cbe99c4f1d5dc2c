/**
 * What a test of the contract works with: the questions that can be asked, their whole answers, and room for notes.
 *
 * @packageDocumentation
 */
import type { CsiSnapshotMetadata } from "../../sut/csi/client.ts";
import { type Answer, collect, endOf, type Question, type QuestionEnd } from "./answers.ts";
import type { DriverHooks, DriverUnderTest } from "./driver.ts";
import type { Expectation, KnownSnapshot } from "./image.ts";
import { prepareScene, type Scene } from "./scene.ts";

/** A question of which tests ask one thing or another, with what is known of its right answer. */
export interface Subject {
  /** For messages. */
  readonly label: string;
  readonly question: Question;
  /** Only of what the suite wrote itself. */
  readonly expectation: Expectation | undefined;
  readonly target: KnownSnapshot | undefined;
}

export class Bench {
  readonly driver: DriverUnderTest;
  readonly signal: AbortSignal;
  /** Of the test that runs, for people. */
  notes: string[] = [];
  /** Most offsets of one kind that are tried in one answer; of more, so many are chosen evenly. */
  readonly offsetsMax: number;
  readonly #answers = new Map<string, Promise<Answer>>();
  #scene: Promise<Scene> | undefined;

  constructor(driver: DriverUnderTest, signal: AbortSignal, offsetsMax: number) {
    this.driver = driver;
    this.offsetsMax = offsetsMax;
    this.signal = signal;
  }

  get client(): CsiSnapshotMetadata {
    return this.driver.client;
  }

  /** Only for tests that need them. */
  get hooks(): DriverHooks {
    if (this.driver.hooks === undefined) throw new Error("a test used hooks without a need for them");
    return this.driver.hooks;
  }

  /** Made by the first test that needs it, used by all. */
  scene(): Promise<Scene> {
    return (this.#scene ??= prepareScene(this.driver, this.hooks));
  }

  note(text: string): void {
    this.notes.push(text);
  }

  /** Questions about what is allocated in one snapshot. */
  async allocatedSubjects(): Promise<readonly Subject[]> {
    if (this.driver.hooks === undefined)
      return this.driver.snapshots.map(({ targetId }) => given(`allocated in ${targetId}`, { targetId }));
    const scene = await this.scene();
    const { first, second, third, grown } = scene;
    return [first, second, third, grown].flatMap((target) =>
      target === undefined ? [] : [known(scene, target, undefined)],
    );
  }

  /** Questions about what changed between two snapshots, the shortest answer first. */
  async deltaSubjects(): Promise<readonly Subject[]> {
    const { snapshots, hooks } = this.driver;
    if (hooks === undefined) {
      const pairs = snapshots.slice(1).map((target, index) => [snapshots[index]!, target] as const);
      if (snapshots.length > 2) pairs.push([snapshots[0]!, snapshots.at(-1)!]);
      return pairs.map(([{ baseId }, { targetId }]) =>
        given(`changed from ${baseId} to ${targetId}`, { baseId, targetId }),
      );
    }
    const scene = await this.scene();
    const { empty, first, second, same, third, grown } = scene;
    const pairs = [
      ...[
        [same, third],
        [first, second],
        [first, third],
        [empty, first],
        [empty, third],
      ],
      ...(grown === undefined
        ? []
        : [
            [third, grown],
            [empty, grown],
          ]),
    ] as const;
    return pairs.map(([base, target]) => known(scene, target!, base!));
  }

  async subjects(): Promise<readonly Subject[]> {
    const allocated = await this.allocatedSubjects();
    return [...(await this.deltaSubjects()), ...allocated];
  }

  /** The answer in one call with nothing asked of it, once for all tests. */
  whole({ question }: Pick<Subject, "question">): Promise<Answer> {
    const key = JSON.stringify([question.baseId, question.targetId, question.maxResults]);
    const found = this.#answers.get(key) ?? this.ask(question);
    this.#answers.set(key, found);
    return found;
  }

  ask(question: Question): Promise<Answer> {
    return collect(this.client, question, { signal: this.signal });
  }

  /** How a question ends that may be refused. */
  endOf(question: Question): Promise<QuestionEnd> {
    return endOf(this.client, question, { signal: this.signal });
  }
}

function known({ volume }: Scene, target: KnownSnapshot, base: KnownSnapshot | undefined): Subject {
  return {
    label:
      base === undefined
        ? `allocated in '${target.label}'`
        : `changed from '${base.label}' to '${target.label}'`,
    question: { targetId: target.id, baseId: base?.id },
    expectation: volume.image.expectation(target, base),
    target,
  };
}

function given(label: string, question: Question): Subject {
  return { label, question, expectation: undefined, target: undefined };
}
