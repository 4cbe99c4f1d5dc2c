/** Where images of guests are kept from one run of the tests to the next. */
import { homedir } from "node:os";
import { join } from "node:path";

const caches = process.env.XDG_CACHE_HOME ?? join(homedir(), ".cache");
export const vmDirectory = process.env.HARROW_VM_DIRECTORY ?? join(caches, "harrow", "vm");
