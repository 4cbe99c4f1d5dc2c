declare module "pcg-random" {
  /** PCG XSH-RR 64/32 with a 63-bit stream. */
  export default class PcgRandom {
    constructor(seed: bigint, stream: bigint);
    /** The next 32 bits, unsigned. */
    next32(): number;
    /** 53 bits as a fraction of [0, 1). */
    number(): number;
    /** State and increment, as low and high words. */
    getState(): [number, number, number, number];
  }
}
