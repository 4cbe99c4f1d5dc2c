/**
 * Counts what a scan finds: by class, as findings with neighbours joined, and as a map.
 *
 * Memory is bounded, whatever is found: findings beyond a limit are counted, and the map has a fixed size.
 *
 * @packageDocumentation
 */
import { type ScanClassName, scanClasses, scanClassNames } from "./classes.ts";

/** Neighbouring blocks that are wrong in the same way. */
export interface ScanFinding extends Wrong {
  readonly block: number;
  readonly blockCount: number;
}

/** What is wrong with a block. */
export interface Wrong {
  readonly class: ScanClassName;
  /** For people. */
  readonly text: string;
  /** How many newer versions of the block there are. */
  readonly staleBy?: number;
  /** Where the content belongs; of the last block of several, as far on. */
  readonly from?: { readonly volume: number; readonly block: number };
  /** Position of the operation whose data is there; see `positionOf`. */
  readonly shows?: number;
}

/** How a block of a map is drawn. */
const mapColumns = 64;
const mapRowsMax = 32;

export class Tally {
  readonly #firstBlock: number;
  readonly #limit: number;
  readonly #blocksPerCell: number;
  /** Rank of the most telling class, plus one, by cell. */
  readonly #cells: Uint8Array;
  /** By rank. */
  readonly #counts = new Float64Array(scanClassNames.length + 1);
  readonly #staleBy = new Map<number, number>();
  readonly #findings: (Wrong & { readonly block: number; blockCount: number })[] = [];
  #findingCount = 0;
  /** The finding that goes on, if the next block is wrong in the same way. */
  #openName: string | undefined;
  #openEnd = -1;

  constructor(options: {
    readonly firstBlock: number;
    readonly blockCount: number;
    /** Findings that are kept. */
    readonly limit: number;
  }) {
    const { firstBlock, blockCount, limit } = options;
    this.#firstBlock = firstBlock;
    this.#limit = limit;
    this.#blocksPerCell = Math.max(1, Math.ceil(blockCount / (mapColumns * mapRowsMax)));
    this.#cells = new Uint8Array(Math.ceil(blockCount / this.#blocksPerCell));
  }

  right(block: number, name: ScanClassName): void {
    this.#count(block, name);
  }

  /**
   * Blocks come in ascending order.
   *
   * @param name - Blocks with one name are wrong in the same way.
   * @param what - Asked only for the first of several.
   */
  wrong(block: number, { class: of, name, staleBy }: WrongName, what: () => Wrong): void {
    this.#count(block, of);
    if (staleBy !== undefined) this.#staleBy.set(staleBy, (this.#staleBy.get(staleBy) ?? 0) + 1);
    const isSame = name === this.#openName && block === this.#openEnd;
    this.#openName = name;
    this.#openEnd = block + 1;
    if (!isSame) {
      this.#findingCount++;
      if (this.#findings.length < this.#limit) this.#findings.push({ ...what(), block, blockCount: 1 });
    } else if (this.#findingCount <= this.#limit) this.#findings.at(-1)!.blockCount++;
  }

  get findings(): readonly ScanFinding[] {
    return this.#findings;
  }

  /** Those left out included. */
  get findingCount(): number {
    return this.#findingCount;
  }

  countOf(name: ScanClassName): number {
    return this.#counts[ranks[name]]!;
  }

  /** Blocks by how many newer versions they have, the fewest first. */
  get staleBy(): readonly (readonly [versions: number, blocks: number])[] {
    return [...this.#staleBy].sort(([a], [b]) => a - b);
  }

  get map(): ScanMap {
    const text = Array.from(this.#cells, (rank) =>
      rank === 0 ? " " : scanClasses[scanClassNames[rank - 1]!].symbol,
    ).join("");
    const rows: string[] = [];
    for (let at = 0; at < text.length; at += mapColumns) rows.push(text.slice(at, at + mapColumns));
    return { firstBlock: this.#firstBlock, blocksPerCell: this.#blocksPerCell, rows };
  }

  #count(block: number, name: ScanClassName): void {
    const rank = ranks[name];
    this.#counts[rank]!++;
    const cell = Math.floor((block - this.#firstBlock) / this.#blocksPerCell);
    if (this.#cells[cell]! < rank) this.#cells[cell] = rank;
  }
}

export interface ScanMap {
  readonly firstBlock: number;
  readonly blocksPerCell: number;
  /** One character a cell: the symbol of the most telling class in it. */
  readonly rows: readonly string[];
}

interface WrongName extends Pick<Wrong, "class" | "staleBy"> {
  readonly name: string;
}

const ranks = Object.fromEntries(scanClassNames.map((name, rank) => [name, rank + 1])) as Readonly<
  Record<ScanClassName, number>
>;
