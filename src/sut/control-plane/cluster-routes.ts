/**
 * The cluster over REST: version, cluster, nodes, projects. One cluster of one node with one project.
 *
 * @packageDocumentation
 */

import type { FastifyInstance } from "fastify";
import { defaultProjectName } from "./catalog.ts";
import { objectParams, parseRequest } from "./requests.ts";
import { StatusError } from "./status.ts";

export interface ClusterFacts {
  readonly clusterUuid: string;
  readonly nodeUuid: string;
  readonly clusterName: string;
  readonly productVersion: string;
  readonly subsystemNqn: string;
  /** `host:port` each. */
  readonly nvmeEndpoints: readonly string[];
  readonly discoveryEndpoints: readonly string[];
}

/** @param apiEndpoints - Where this control plane listens, as `host:port`; known once it does. */
export function clusterRoutes(
  app: FastifyInstance,
  prefix: string,
  facts: ClusterFacts,
  apiEndpoints: () => readonly string[],
): void {
  app.get(`${prefix}/version`, () => ({ apiVersion: "v2", productVersion: facts.productVersion }));

  const clusterInfo = () => ({
    UUID: facts.clusterUuid,
    subsystemNQN: facts.subsystemNqn,
    currentMaxReplicas: 1,
    supportedMaxReplicas: 1,
    apiEndpoints: apiEndpoints(),
    ...(facts.discoveryEndpoints.length > 0 && { discoveryEndpoints: facts.discoveryEndpoints }),
    nvmeEndpoints: facts.nvmeEndpoints,
    clusterName: facts.clusterName,
  });
  app.get(`${prefix}/clusterinfo`, clusterInfo);
  app.get(`${prefix}/cluster`, () => ({ ...clusterInfo(), health: { state: "OK" } }));

  const node = {
    UUID: facts.nodeUuid,
    name: `${facts.clusterName}-0`,
    state: "Active",
    nvmeEndpoint: facts.nvmeEndpoints[0],
  };
  app.get(`${prefix}/nodes`, () => ({ nodes: [node] }));
  app.get(`${prefix}/nodes/:UUID`, ({ params }) => {
    const { UUID } = parseRequest(objectParams, params, "path");
    if (UUID !== facts.nodeUuid) throw new StatusError("NotFound", `node ${UUID} not found`);
    return node;
  });

  const project = { name: defaultProjectName };
  app.get(`${prefix}/projects`, () => ({ projects: [project] }));
  app.get<{ Params: { name: string } }>(`${prefix}/projects/:name`, ({ params }) => {
    if (params.name !== defaultProjectName) {
      throw new StatusError("NotFound", `project ${params.name.slice(0, 253)} not found`);
    }
    return project;
  });
}
