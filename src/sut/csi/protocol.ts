/**
 * The SnapshotMetadata services in Protocol Buffers: the one of CSI drivers, and the one in front of them in
 * Kubernetes, with as much of the CSI Identity service as says whether a driver has the first.
 *
 * Names and field numbers only, as a descriptor: nothing has to be found on disk or be parsed.
 *
 * @packageDocumentation
 * @see Container Storage Interface specification 1.10 to 1.12, `csi.proto`.
 * @see Kubernetes enhancement 3314, `schema.proto` of external-snapshot-metadata.
 */
import type { ServiceDefinition } from "@grpc/grpc-js";
import { fromJSON } from "@grpc/proto-loader";

const string = (id: number) => ({ type: "string", id });
const int32 = (id: number) => ({ type: "int32", id });
const int64 = (id: number) => ({ type: "int64", id });
const texts = (id: number) => ({ keyType: "string", type: "string", id });
const method = (name: string) => ({
  requestType: `${name}Request`,
  responseType: `${name}Response`,
  comment: "",
});

/** What both services answer with. */
const answers = {
  BlockMetadataType: { values: { UNKNOWN: 0, FIXED_LENGTH: 1, VARIABLE_LENGTH: 2 } },
  BlockMetadata: { fields: { byte_offset: int64(1), size_bytes: int64(2) } },
  ...Object.fromEntries(
    ["GetMetadataAllocatedResponse", "GetMetadataDeltaResponse"].map((name) => [
      name,
      {
        fields: {
          block_metadata_type: { type: "BlockMetadataType", id: 1 },
          volume_capacity_bytes: int64(2),
          block_metadata: { rule: "repeated", type: "BlockMetadata", id: 3 },
        },
      },
    ]),
  ),
  SnapshotMetadata: {
    methods: {
      GetMetadataAllocated: { ...method("GetMetadataAllocated"), responseStream: true },
      GetMetadataDelta: { ...method("GetMetadataDelta"), responseStream: true },
    },
  },
};

const csiPackage = {
  ...answers,
  GetMetadataAllocatedRequest: {
    fields: { snapshot_id: string(1), starting_offset: int64(2), max_results: int32(3), secrets: texts(4) },
  },
  GetMetadataDeltaRequest: {
    fields: {
      base_snapshot_id: string(1),
      target_snapshot_id: string(2),
      starting_offset: int64(3),
      max_results: int32(4),
      secrets: texts(5),
    },
  },
  GetPluginInfoRequest: { fields: {} },
  GetPluginInfoResponse: { fields: { name: string(1), vendor_version: string(2), manifest: texts(3) } },
  GetPluginCapabilitiesRequest: { fields: {} },
  GetPluginCapabilitiesResponse: {
    fields: { capabilities: { rule: "repeated", type: "PluginCapability", id: 1 } },
  },
  PluginCapability: {
    fields: { service: { type: "Service", id: 1 } },
    nested: { Service: { fields: { type: int32(1) } } },
  },
  Identity: {
    methods: {
      GetPluginInfo: method("GetPluginInfo"),
      GetPluginCapabilities: method("GetPluginCapabilities"),
    },
  },
};

const kubernetesPackage = {
  ...answers,
  GetMetadataAllocatedRequest: {
    fields: {
      security_token: string(1),
      namespace: string(2),
      snapshot_name: string(3),
      starting_offset: int64(4),
      max_results: int32(5),
    },
  },
  GetMetadataDeltaRequest: {
    fields: {
      security_token: string(1),
      namespace: string(2),
      base_snapshot_id: string(3),
      target_snapshot_name: string(4),
      starting_offset: int64(5),
      max_results: int32(6),
    },
  },
};

/** Number of `SNAPSHOT_METADATA_SERVICE` among the services that a plugin says it has. */
export const snapshotMetadataCapability = 4;

// Numbers of 64 bits as text, so that none is rounded on its way.
const definition = fromJSON(
  {
    nested: {
      csi: { nested: { v1: { nested: csiPackage } } },
      snapshotmetadata: { nested: kubernetesPackage },
    },
  },
  { keepCase: true, longs: String, enums: String, defaults: true, arrays: true, objects: true },
);

function serviceOf(name: string): ServiceDefinition {
  // Every entry of the definition under such a name is a service, whose methods it holds by name.
  return definition[name] as ServiceDefinition;
}

export const identityService = serviceOf("csi.v1.Identity");
/** The service by dialect. */
export const metadataServices = {
  csi: serviceOf("csi.v1.SnapshotMetadata"),
  kubernetes: serviceOf("snapshotmetadata.SnapshotMetadata"),
} as const;

export type CsiDialect = keyof typeof metadataServices;
