import type { Credentials } from "../../host/access.ts";
import type { NodeFacts } from "../facts.ts";
import { checkConfigurationFile, checkContainers } from "./configuration.ts";
import { checkCni, checkContainerd, checkCrio, checkDocker, checkPodman } from "./engines.ts";
import { checkCgroups, checkDevices, checkKernel, checkKvm } from "./machine.ts";
import { checkHelpers, checkMonitors, checkUrunc } from "./programs.ts";
import type { Line } from "./types.ts";
import { checkUser } from "./user.ts";

/**
 * Judges a node.
 *
 * @param who the user that a monitor would run as
 */
export function checkNode(facts: NodeFacts, who: Credentials): Line[] {
  return [
    ...checkUrunc(facts),
    ...checkKernel(facts),
    ...checkKvm(facts),
    ...checkDevices(facts),
    ...checkCgroups(facts),
    ...checkConfigurationFile(facts),
    ...checkMonitors(facts),
    ...checkHelpers(facts),
    ...checkContainerd(facts),
    ...checkDocker(facts),
    ...checkCrio(facts),
    ...checkPodman(facts),
    ...checkCni(facts),
    ...checkContainers(facts),
    ...checkUser(facts, who),
  ];
}
