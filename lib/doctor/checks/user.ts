import { type Credentials, mayAccess, READ, WRITE } from "../../host/access.ts";
import type { DeviceFacts } from "../../host/types.ts";
import type { NodeFacts } from "../facts.ts";
import { describeDevice } from "./machine.ts";
import { type Line, Lines } from "./types.ts";

/** Whether a monitor of this user gets its devices, by which way, and what is missing otherwise. */
export function checkUser(facts: NodeFacts, who: Credentials): Line[] {
  const lines = new Lines("user");
  const { values, path } = facts.configuration;
  const name = describeUser(who);
  if (who.uid === 0 && values.ids.default_user !== undefined) {
    lines.ok(`${name} is replaced by ids.default_user, ${values.ids.default_user}`);
    return lines.lines;
  }
  if (who.uid === 0 && !values.allow.root_monitor) {
    lines.fail(
      `${name}: allow.root_monitor = false refuses monitors of uid 0`,
      `docker run --user 65534:65534 …; in Kubernetes runAsUser: 65534, or ids.default_user in ${path}`,
    );
    return lines.lines;
  }
  // With "groups" that is no valid configuration.
  if (values.ids.mode !== "container") {
    lines.ok(
      `ids.mode = "${values.ids.mode}" gives every monitor a user of its own, which gets in by ` +
        `device_access = "${values.device_access}"`,
    );
    return lines.lines;
  }
  switch (values.device_access) {
    case "private":
      lines.ok(
        `${name} gets in: device_access = "private" gives every container nodes of its own, and no ` +
          "group is needed",
      );
      break;
    case "fd":
      lines.ok(
        `${name} gets in: device_access = "fd" gives QEMU open descriptors, and no group is needed`,
      );
      break;
    case "groups":
      checkNodes(facts, who, lines);
  }
  return lines.lines;
}

function checkNodes(facts: NodeFacts, who: Credentials, lines: Lines): void {
  const devices = [
    ...facts.configuration.values.accelerator === "kvm" ? [facts.kvm.device] : [],
    // QEMU gets a descriptor of its tap, others the node.
    ...others(facts) ? [facts.tun] : [],
  ];
  for (const device of devices) if (device !== undefined) checkNode(device, facts, who, lines);
}

/** Whether a monitor is installed that opens the tap itself. */
function others({ monitors }: NodeFacts): boolean {
  return Object.values(monitors).some((it) => it.problem === undefined && !it.takesDescriptors);
}

function checkNode(device: DeviceFacts, facts: NodeFacts, who: Credentials, lines: Lines): void {
  const may = (user: Credentials) => mayAccess(device, user, READ | WRITE);
  const node = describeDevice(device, facts);
  const name = describeUser(who);
  if (may(who)) {
    lines.ok(`${name} gets in: device_access = "groups", and ${node}`);
    return;
  }
  const gids = [
    device.gid,
    ...(device.acl ?? []).flatMap(({ tag, id }) => tag === "group" && id !== undefined ? [id] : []),
  ];
  // A group of root's own would be membership of much more.
  const gid = gids.find((it) => it !== 0 && may({ ...who, groups: [...who.groups, it] }));
  if (gid !== undefined) {
    lines.fail(
      `${name} does not get in: device_access = "groups", and ${node}`,
      `docker and podman: --group-add ${gid}; Kubernetes: securityContext.supplementalGroups: [${gid}]`,
    );
    return;
  }
  lines.fail(
    `${name} does not get in: device_access = "groups", and ${node}: no group would change that`,
    `${openToGroup(device)} # or device_access = "private" in ${facts.configuration.path}`,
  );
}

/** Gives the group kvm the node, now and after the next boot (udev(7)). */
function openToGroup({ path }: DeviceFacts): string {
  const name = path.slice(path.lastIndexOf("/") + 1);
  return `groupadd --force --system kvm; chgrp kvm ${path}; chmod 0660 ${path}; echo 'KERNEL=="${name}", ` +
    `GROUP="kvm", MODE="0660"' >/etc/udev/rules.d/65-${name}.rules`;
}

function describeUser({ uid, gid, groups }: Credentials): string {
  return `${uid}:${gid}${groups.length === 0 ? "" : ` with groups ${groups.join(",")}`}`;
}
