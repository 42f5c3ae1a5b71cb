/**
 * For each step of a launch plan (lib/plan/types.ts) a test that fails when init leaves it out. What a
 * test of the machine's kind cannot run here is run in a node.
 */
import type { StepBody } from "../../lib/plan/types.ts";
import type { Guard } from "./types.ts";

const at = (name: string, filter?: string): Guard => ({
  test: `tests/integration/${name}_test.ts`,
  ...(filter === undefined ? {} : { filter }),
});

const cleanRoom = (filter: string) => at("clean_room", `clean room: ${filter}`);
const dropped = at("dropped_steps", "each step that gives something up");
const namespaces = (filter: string) => at("namespaces", filter);
const rootDisk = (filter: string) => at("root_disk_container", filter);
const userNamespace = (filter: string) => at("user_namespaces", `user namespace: ${filter}`);
const terminal = at("terminal", "the monitor's standard files are a terminal");
const routed = at("pod_network", "a guest of Knative's has a subnet");
const realQemu = at("caller", "caller: nothing of it is in QEMU");
const sharedFiles = at("shared_files", "a container of any image is a guest");
const everything = at("lifecycle", "state is the specification's");

/** Of every kind of step. */
export const STEP_GUARDS: Record<StepBody["step"], Guard> = {
  undumpable: at("security", "no other process of its uid gets into init"),
  setsid: dropped,
  oomScoreAdj: cleanRoom("oom_score_adj is as asked"),
  setns: namespaces("namespace is joined by its path"),
  unshare: namespaces("namespaces without a path are new ones"),
  privatePropagation: dropped,
  privateMounts: namespaces("what the host mounts later"),
  hostname: at("clean_room"),
  domainname: at("clean_room"),
  sysctl: namespaces("sysctls are set in the container's namespaces"),
  runHooks: at("hooks", "hooks run in their order"),
  removeStaleTap: at("pod_network", "a guest that ended makes room"),
  removeIngress: at("networks", "networks: "),
  createTap: at("pod_network", "a guest shares the interface"),
  redirect: at("pod_network", "all packets of a namespace"),
  share: at("pod_network", "a guest shares the interface"),
  filter: at("pod_network", "a guest shares the interface"),
  linkUp: at("pod_network", "a guest shares the interface"),
  giveAddress: routed,
  forward: routed,
  masquerade: routed,
  openImageRoot: everything,
  mountRoot: everything,
  mkdir: everything,
  mountTmpfs: cleanRoom("/dev/kvm alone"),
  bindHost: realQemu,
  bindLibraries: at("limits", "QEMU's root has the libraries"),
  bindImageFile: at("host_unchanged", "a kernel that is a link is found"),
  openFile: at("disks", "a guest writes to a disk image"),
  openVolume: at("disks", "volumes that are devices and disk images"),
  bindVolume: at("disks", "volumes that are devices and disk images"),
  copyImageFile: at("environment", "a Linux guest has every byte"),
  makeInitrd: at("node_kernel", "a guest runs with a kernel of the node"),
  makeMountPoints: at("shared_files", "shared files: a container of any image"),
  writeFile: at("monitors"),
  mknod: cleanRoom("/dev/kvm alone"),
  openRootDisk: rootDisk("create unmounts the root on the host"),
  unmountRootfs: rootDisk("create unmounts the root on the host"),
  releaseRootfs: rootDisk("create unmounts the root on the host"),
  claimRootDisk: rootDisk("create unmounts the root on the host"),
  openDevice: at("descriptors", "a monitor has its inherited descriptors"),
  attachTap: at("descriptors", "a monitor has its inherited descriptors"),
  bindDevice: at("misuse", "device_access groups: with the group"),
  deviceRule: cleanRoom("a device node of the host made by its numbers"),
  deviceProgram: at("device_program", "cgroup v2: a container's cgroup is refused"),
  openTerminal: terminal,
  sendTerminal: terminal,
  useTerminal: terminal,
  listenForStart: everything,
  listenForControl: at("stop", "stop: the control socket is passed"),
  apparmorProfile: { test: "tests/vm/node/docker_test.ts", inNode: true },
  pivotRoot: at("security"),
  remountReadOnly: cleanRoom("the host's files are read-only"),
  setRlimit: dropped,
  dropBoundingSet: at("identity", "identity: "),
  inheritCapabilities: userNamespace("its own, with ids.mode userns"),
  keepCapabilities: at("identity", "identity: "),
  setGroups: at("caller", "caller: nothing of it reaches the monitor"),
  setGid: at("identity", "identity: "),
  setUid: at("identity", "identity: "),
  setCapabilities: at("identity", "identity: "),
  noNewPrivileges: at("identity", "identity: "),
  confineToRoot: at("limits", "a monitor is confined by Landlock"),
  filterCalls: at("hostile_monitor", "hostile monitor: in qemu's filter with"),
  makeUserNamespace: userNamespace("its own, with ids.mode userns"),
  openUserNamespace: userNamespace("one that is joined"),
  openFilter: at("hostile_monitor", "hostile monitor: in qemu's filter with"),
  resetSignals: dropped,
  umask: at("caller", "caller: nothing of it reaches the monitor"),
  newSessionKeyring: cleanRoom("a session keyring of its own"),
  closeFds: dropped,
  openWaiter: everything,
  holdNamespaces: everything,
  enterMonitorNamespaces: dropped,
  startMonitor: everything,
  leaveMonitorNamespaces: dropped,
  openLog: at("exit_codes", "exit code: Firecracker that exits"),
  bindShared: sharedFiles,
  connectFileServer: sharedFiles,
  startFileServer: sharedFiles,
  connectEvents: at("exit_codes", "exit code: a monitor that reports an internal error"),
  listenForExec: at("exec", "exec: exit codes"),
  listenForAgent: at("monitors", "firecracker: a guest's agent connects by vsock"),
  connectAgent: at("agent", "agent: TERM is the program's"),
  openConsole: at("agent", "agent: the console of its kernel"),
  barrier: everything,
  exec: everything,
};

const hostileServer = at("hostile_file_server", "each step of its start is needed");

/** Of those steps that start the file server, where others of their kind are performed, too; and of parts of one. */
export const FILE_SERVER_GUARDS: Record<string, Guard> = {
  "files.enterMonitorNamespaces": hostileServer,
  "files.umask": hostileServer,
  "files.pivotRoot": hostileServer,
  "files.privateMounts": hostileServer,
  "files.remountReadOnly": hostileServer,
  "files.newSessionKeyring": hostileServer,
  "files.leaveMonitorNamespaces": hostileServer,
  "files.uid": hostileServer,
  "files.gid": hostileServer,
  "files.group": hostileServer,
  "files.filter": hostileServer,
  "files.user": hostileServer,
  "files.capability": hostileServer,
  "files.maps": hostileServer,
};
