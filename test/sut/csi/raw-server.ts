/**
 * A gRPC server that answers what it is told to, right or wrong, down to the bytes.
 *
 * @packageDocumentation
 */
import { Server, ServerCredentials, type ServerWritableStream } from "@grpc/grpc-js";
import { metadataServices } from "../../../src/sut/csi/protocol.ts";

export type RawCall = ServerWritableStream<Record<string, unknown>, Buffer>;

export interface RawServer extends AsyncDisposable {
  readonly address: string;
}

/** A wire message as protobuf takes it. */
export const encode = (message: object): Buffer =>
  metadataServices.csi.GetMetadataDelta!.responseSerialize(message);

/** One fixed tuple of 4096 bytes at each offset. */
export const fixed = (...offsets: readonly (number | string)[]): Buffer =>
  encode({
    block_metadata_type: "FIXED_LENGTH",
    volume_capacity_bytes: 2 ** 30,
    block_metadata: offsets.map((byte_offset) => ({ byte_offset, size_bytes: 4096 })),
  });

/** @param answer - Writes messages, and ends the call or not. */
export async function rawServer(
  answer: (call: RawCall) => void,
  credentials = ServerCredentials.createInsecure(),
): Promise<RawServer> {
  const server = new Server();
  for (const service of Object.values(metadataServices)) {
    const raw = Object.fromEntries(
      Object.entries(service).map(([name, method]) => [
        name,
        { ...method, responseSerialize: (bytes: Buffer) => bytes },
      ]),
    );
    const handle = (call: RawCall) => {
      call.on("error", () => undefined);
      answer(call);
    };
    server.addService(raw, { GetMetadataAllocated: handle, GetMetadataDelta: handle });
  }
  const port = await new Promise<number>((resolve, reject) => {
    server.bindAsync("127.0.0.1:0", credentials, (error, bound) =>
      error === null ? resolve(bound) : reject(error),
    );
  });
  return {
    address: `127.0.0.1:${port}`,
    [Symbol.asyncDispose]: async () => server.forceShutdown(),
  };
}
