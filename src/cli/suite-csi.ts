/**
 * `harrow suite csi-snapshot-metadata`: holds a CSI driver to the contract of its SnapshotMetadata service.
 *
 * @packageDocumentation
 */
import { readFile } from "node:fs/promises";
import { z } from "zod";
import type { ContractTest } from "../suite/csi-snapshot-metadata/contract-test.ts";
import type { DriverUnderTest, GivenSnapshot } from "../suite/csi-snapshot-metadata/driver.ts";
import { embeddedDriver } from "../suite/csi-snapshot-metadata/embedded-driver.ts";
import { csiTests, runCsiSuite } from "../suite/csi-snapshot-metadata/suite.ts";
import { type ReporterName, reporters } from "../suite/reporters/by-name.ts";
import {
  type CsiSnapshotMetadata,
  connectCsiSnapshotMetadata,
  type CsiAccess,
  type CsiTimeouts,
} from "../sut/csi/client.ts";
import { CsiRefusal } from "../sut/csi/refusal.ts";
import type { CsiStyle } from "../sut/csi/server/answer.ts";
import { LaunchError } from "../sut/embedded/target-process.ts";
import { ServiceError } from "../sut/port.ts";
import { exitCodes } from "./exit-codes.ts";
import { UsageError } from "./usage-error.ts";

export interface SuiteCsiFlags {
  /** Where the driver listens; the embedded target is started and tested without one. */
  readonly address?: string;
  readonly caFile?: string;
  readonly insecure?: true;
  readonly serverName?: string;
  /** Of the VolumeSnapshots: asks the service of Kubernetes, not that of a driver. */
  readonly namespace?: string;
  readonly token?: string;
  readonly secretsFile?: string;
  /** As `id`, or `name=handle` in Kubernetes; the oldest first. */
  readonly snapshot?: readonly string[];
  readonly granularity?: number;
  readonly style: CsiStyle;
  /** Longest wait for one message, in seconds. */
  readonly timeout: number;
  readonly test?: readonly string[];
  readonly reporter: ReporterName;
  readonly verbose?: true;
  readonly list?: true;
}

/** Where the token for Kubernetes is looked for, if it is not a flag that other users of the host can read. */
const tokenVariable = "HARROW_CSI_TOKEN";

/** @returns The exit code. */
export async function suiteCsi(
  flags: SuiteCsiFlags,
  { serveCommand, signal }: { readonly serveCommand: readonly string[]; readonly signal: AbortSignal },
): Promise<number> {
  if (flags.list) {
    for (const { name, group, title } of csiTests)
      process.stdout.write(`${group.padEnd(9)} ${name.padEnd(26)} ${title}\n`);
    return exitCodes.consistent;
  }
  try {
    const tests = chosenTests(flags.test);
    await using opened = await openDriver(flags, serveCommand);
    const reporter = reporters[flags.reporter]({
      suite: "csi-snapshot-metadata",
      testCount: tests.length,
      write: (text) => process.stdout.write(text),
      isTerminal: process.stdout.isTTY && flags.reporter === "text",
      ...(flags.verbose && { isVerbose: true }),
    });
    if (flags.reporter === "text") process.stdout.write(`${opened.heading}\n\n`);
    const { failed, isInterrupted } = await runCsiSuite({ driver: opened.driver, tests, reporter, signal });
    if (isInterrupted) return exitCodes.interrupted;
    return failed > 0 ? exitCodes.violation : exitCodes.consistent;
  } catch (error) {
    const isTarget = error instanceof UnreachableError || error instanceof LaunchError;
    if (!(isTarget || error instanceof UsageError || error instanceof ServiceError)) throw error;
    process.stderr.write(`harrow suite csi-snapshot-metadata: ${error.message}\n`);
    return isTarget ? exitCodes.target : exitCodes.usage;
  }
}

class UnreachableError extends Error {}

function chosenTests(names: readonly string[] | undefined): readonly ContractTest[] {
  for (const name of names ?? [])
    if (!csiTests.some((test) => test.name === name))
      throw new UsageError(`--test ${name}: there is no such test; --list says which there are`);
  return names === undefined ? csiTests : csiTests.filter(({ name }) => names.includes(name));
}

interface Opened extends AsyncDisposable {
  readonly driver: DriverUnderTest;
  readonly heading: string;
}

async function openDriver(flags: SuiteCsiFlags, serveCommand: readonly string[]): Promise<Opened> {
  const messageMs = flags.timeout * 1000;
  const timeouts: CsiTimeouts = {
    connectTimeoutMs: Math.min(messageMs, 10_000),
    firstMessageTimeoutMs: messageMs,
    messageGapTimeoutMs: messageMs,
    answerTimeoutMs: 20 * messageMs,
  };
  const { address } = flags;
  if (address === undefined) {
    const unused = (
      ["caFile", "insecure", "serverName", "namespace", "token", "secretsFile", "snapshot"] as const
    ).find((name) => flags[name] !== undefined);
    if (unused !== undefined)
      throw new UsageError(
        `--${unused.replaceAll(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)} is about a driver, of which --address says where it is`,
      );
    const embedded = await embeddedDriver({ serveCommand, style: flags.style, timeouts });
    const heading = `embedded target at ${embedded.address}, ${flags.style} length`;
    return { ...embedded, heading };
  }
  const client = await connectCsiSnapshotMetadata({
    address,
    access: await accessOf(flags),
    ...(flags.caFile !== undefined && { caFile: flags.caFile }),
    ...(flags.insecure && { insecure: true }),
    ...(flags.serverName !== undefined && { serverName: flags.serverName }),
    ...timeouts,
  });
  await expectReachable(client, flags);
  const snapshots = (flags.snapshot ?? []).map(givenSnapshot);
  const { granularity } = flags;
  return {
    driver: {
      client,
      hooks: undefined,
      snapshots,
      ...(granularity !== undefined && { granularityBytes: granularity }),
    },
    heading: `${client.dialect} service at ${address}, ${snapshots.length} snapshots named`,
    [Symbol.asyncDispose]: () => client[Symbol.asyncDispose](),
  };
}

/** A driver that is not there would fail every test for one reason. */
async function expectReachable(client: CsiSnapshotMetadata, { timeout }: SuiteCsiFlags): Promise<void> {
  try {
    await client.identity({ signal: AbortSignal.timeout(timeout * 1000) });
  } catch (error) {
    if (error instanceof CsiRefusal) return;
    await client[Symbol.asyncDispose]();
    if (error instanceof ServiceError) throw new UnreachableError(error.message, { cause: error });
    throw error;
  }
}

async function accessOf({ namespace, token, secretsFile }: SuiteCsiFlags): Promise<CsiAccess> {
  if (namespace === undefined) {
    if (token !== undefined)
      throw new UsageError(
        "--token is for the service of Kubernetes, with --namespace; a driver takes --secrets-file",
      );
    return { dialect: "csi", ...(secretsFile !== undefined && { secrets: await readSecrets(secretsFile) }) };
  }
  if (secretsFile !== undefined)
    throw new UsageError(
      "--secrets-file is for a driver; the service of Kubernetes finds the secrets itself",
    );
  const securityToken = token ?? process.env[tokenVariable] ?? "";
  if (securityToken === "")
    throw new UsageError(`--namespace needs a token: set ${tokenVariable}, or give --token`);
  return { dialect: "kubernetes", namespace, securityToken };
}

const secretsSchema = z.record(z.string(), z.string());

/** The file's content is a secret: no message shows any of it. */
async function readSecrets(file: string): Promise<Readonly<Record<string, string>>> {
  let value: unknown;
  try {
    value = JSON.parse(await readFile(file, "utf8"));
  } catch (error) {
    if (error instanceof SyntaxError) throw new UsageError(`${file} is not JSON`);
    throw new UsageError(`${file} cannot be read: ${(error as NodeJS.ErrnoException).code}`);
  }
  const secrets = secretsSchema.safeParse(value);
  if (!secrets.success) throw new UsageError(`${file} must be one JSON object whose values are texts`);
  return secrets.data;
}

function givenSnapshot(text: string): GivenSnapshot {
  const [name = "", handle] = text.split(/=(.*)/s);
  return { targetId: name, baseId: handle ?? name };
}
