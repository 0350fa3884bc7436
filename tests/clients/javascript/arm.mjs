// A session pool's life by Azure's own SDK for Container Apps. Prints what it saw as one JSON object.
//
// The SDK is told where the resource manager is, as for a cloud of one's own; the token comes from the identity endpoint.
import { createRequire } from "node:module";

const require = createRequire(`${process.env.HEARTH_CLIENT_JAVASCRIPT}/`);
const { ContainerAppsAPIClient } = require("@azure/arm-appcontainers");
const { DefaultAzureCredential } = require("@azure/identity");

const [group, name] = ["hearth", "arm-client"];
const client = new ContainerAppsAPIClient(new DefaultAzureCredential(), "00000000-0000-0000-0000-000000000001", {
  endpoint: process.env.HEARTH_CLIENT_SERVICE,
  credentialScopes: ["https://management.azure.com/.default"],
});
const pools = client.containerAppsSessionPools;
const seen = {};

seen.created = await pools.beginCreateOrUpdateAndWait(group, name, {
  location: "westus2",
  tags: { team: "tests" },
  containerType: "PythonLTS",
  poolManagementType: "Dynamic",
  scaleConfiguration: { maxConcurrentSessions: 7, readySessionInstances: 0 },
  dynamicPoolConfiguration: { lifecycleConfiguration: { lifecycleType: "Timed", cooldownPeriodInSeconds: 600 } },
  sessionNetworkConfiguration: { status: "EgressDisabled" },
});
seen.got = await pools.get(group, name);
seen.updated = await pools.beginUpdateAndWait(group, name, {
  scaleConfiguration: { maxConcurrentSessions: 9, readySessionInstances: 0 },
});
seen.inGroup = [];
for await (const pool of pools.listByResourceGroup(group)) {
  seen.inGroup.push(pool.name);
}
seen.inSubscription = [];
for await (const pool of pools.listBySubscription()) {
  seen.inSubscription.push(pool.name);
}
await pools.beginDeleteAndWait(group, name);
try {
  await pools.get(group, name);
} catch (error) {
  seen.afterDelete = { statusCode: error.statusCode, code: error.code };
}
console.log(JSON.stringify(seen));
