/** Why no guest can be had here, told once by each file whose tests are skipped for it. */
import { guestUnavailable } from "../../src/sut/vm/availability.ts";

export const unavailable = guestUnavailable();
if (unavailable !== undefined) console.warn(`skipped, since no guest can be had here: ${unavailable}`);
