/**
 * What the process says to its caller when it ends.
 *
 * @packageDocumentation
 */
export const exitCodes = {
  consistent: 0,
  violation: 1,
  /** Bad usage or configuration, or a bug of harrow's own. */
  usage: 2,
  /** The target or the environment failed; what was not seen is not called consistent. */
  target: 3,
  /** All that was looked at is right, but less was proven than the configuration asks for. */
  belowFloor: 4,
  interrupted: 130,
} as const;
