/**
 * For each key of the operator's policy a change of the source that takes the key's effect away, and the
 * test that fails then. A key stands as in config.toml.
 */
import type { Patch } from "./types.ts";

const POLICY = "lib/plan/policy.ts";
const POLICY_TEST = "tests/unit/plan/policy_test.ts";

/** Of every key below `allow`, `guests` and `ids`, and of those at the top that forbid something. */
export const POLICY_GUARDS: Record<string, Patch> = {
  "allow.monitors": {
    file: POLICY,
    replace: "if (!isListed(allow.monitors, name)) {",
    by: "if (false) {",
    test: POLICY_TEST,
  },
  "allow.accelerators": {
    file: POLICY,
    replace: "if (accelerators.length === 0 || isListed(allow.accelerators, accelerator)) return;",
    by: "return;",
    test: POLICY_TEST,
  },
  "allow.annotations": {
    file: POLICY,
    replace: "if (isListed(allow.annotations, key)) return;",
    by: "return;",
    test: POLICY_TEST,
  },
  "allow.host_devices": {
    file: POLICY,
    replace: "if (allow.host_devices) return;",
    by: "return;",
    test: POLICY_TEST,
  },
  "allow.root_monitor": {
    file: POLICY,
    replace: "if (monitor.uid !== 0 || allow.root_monitor) return;",
    by: "return;",
    test: POLICY_TEST,
  },
  "ids.default_user": {
    file: POLICY,
    replace: "if (user.uid !== 0 || default_user === undefined) return user;",
    by: "return user;",
    test: POLICY_TEST,
  },
  "ids.mode": {
    file: POLICY,
    replace: 'if (ids.mode === "container") return { guest, files, monitor: files };',
    by: "return { guest, files, monitor: files };",
    test: POLICY_TEST,
  },
  "ids.range": {
    file: "lib/container/host_ids.ts",
    replace: "(isHeld ? taken : left).push(ids);",
    by: "left.push(ids);",
    test: "tests/unit/container/host_ids_test.ts",
  },
  "guests.undescribed": {
    file: "lib/runc/kind.ts",
    replace: 'if (guests.undescribed === "runc" || isSandbox(annotations)) return;',
    by: "return;",
    test: "tests/unit/runc/kind_test.ts",
  },
  denied_kernel_parameters: {
    file: "lib/plan/kernel_parameters.ts",
    replace: "const rule = denied.find(",
    by: "const rule = ([] as string[]).find(",
    test: "tests/unit/plan/kernel_parameters_test.ts",
  },
  network_filter: {
    file: "lib/plan/launch.ts",
    replace: 'filter: configuration.network_filter === "addresses",',
    by: "filter: false,",
    test: "tests/unit/plan/golden_test.ts",
  },
  seccomp: {
    file: "lib/plan/seccomp.ts",
    replace: 'if (mode === "off") return undefined;',
    by: "return undefined;",
    test: "tests/unit/plan/golden_test.ts",
  },
};

const PROGRAM = "lib/seccomp/program.ts";
const PROGRAM_TEST = "tests/unit/seccomp/program_test.ts";

/** Of the filters of system calls: what each part of them refuses. */
export const FILTER_GUARDS: Record<string, Patch> = {
  "calls on no list": {
    file: PROGRAM,
    replace: "codes.set(number, results.refused);",
    by: "codes.set(number, results.allowed);",
    test: PROGRAM_TEST,
  },
  "calls that kill": {
    file: PROGRAM,
    replace: "for (const name of FATAL_CALLS) codes.set(callNumber(name), results.fatal);",
    by: "",
    test: PROGRAM_TEST,
  },
  "calls of x32": {
    file: PROGRAM,
    replace: "foreignFrom, code: results.fatal }",
    by: "foreignFrom, code: results.allowed }",
    test: PROGRAM_TEST,
  },
  "calls of other programs": {
    file: PROGRAM,
    replace: "native, results.fatal)",
    by: "native, results.allowed)",
    test: PROGRAM_TEST,
  },
  "unknown calls": {
    file: PROGRAM,
    replace: "unknown: refusal(ERRNO | ENOSYS),",
    by: "unknown: [answer(ALLOW)],",
    test: PROGRAM_TEST,
  },
  "names of vsock's sockets": {
    file: "lib/seccomp/tables/firecracker.ts",
    replace: "where: [{ argument: 2, among: [VSOCK_PORT_ADDRESS] }],",
    by: "",
    test: "tests/unit/seccomp/tables_test.ts",
  },
};

const NETWORK = "lib/plan/network.ts";
const NETWORK_TEST = "tests/unit/plan/network_test.ts";

/** What keeps a guest of several networks from passing on one for what it is on another. */
export const NETWORK_GUARDS: Record<string, Patch> = {
  "filters of further interfaces": {
    file: NETWORK,
    replace: "...outgoingSteps({ facts, tap }, input),",
    by: "...outgoingSteps({ facts, tap }, { ...input, filter: input.filter && tap === TAP_NAME }),",
    test: NETWORK_TEST,
  },
  "one interface for a guest without an agent": {
    file: "lib/plan/launch_input.ts",
    replace: "return takesAll ? input : { ...input, network: onlyFirst(network) };",
    by: "return input;",
    test: NETWORK_TEST,
  },
};

const PROOF = "lib/container/proof.ts";
const DROPPED = "tests/integration/dropped_steps_test.ts";

/** What of the proof is taken away by a change of its source, and the test that fails then. */
export const PROOF_GUARDS: Record<string, Patch> = {
  "proof of identity": {
    file: PROOF,
    replace: "...compareIdentity(identity, expectedOf(state, process)),",
    by: "",
    test: DROPPED,
  },
  "proof of namespaces": {
    file: PROOF,
    replace: "...differentNamespaces(state, pid, role),",
    by: "",
    test: DROPPED,
  },
  "proof of the file server": {
    file: "lib/container/create.ts",
    replace: "...(state.fileServer\n",
    by: "...(false\n",
    test: "tests/integration/shared_files_test.ts",
    filter: "the file server sees what is shared",
  },
  "proof of mappings": {
    file: PROOF,
    replace: "...compareIdMaps(readIdMaps(pid), userNamespace),",
    by: "",
    test: DROPPED,
  },
};

const FORK = "lib/launch/fork.ts";
const FORK_TEST = "tests/integration/fork_test.ts";

/** Of what a forked init gives up of its creator's. */
export const FORK_GUARDS: Record<string, Patch> = {
  "an undumpable fork": {
    file: FORK,
    replace: "prctl(PR_SET_DUMPABLE, 0);",
    by: "",
    test: FORK_TEST,
  },
  "a fork's signal handlers": {
    file: FORK,
    replace: "dropSignalHandlers();",
    by: "",
    test: FORK_TEST,
  },
  "a fork's descriptors": {
    file: FORK,
    replace: "if (fd >= FIRST_EXTRA_FD && fd !== nothing && !kept.includes(fd)) dup2(nothing, fd);",
    by: "",
    test: FORK_TEST,
  },
  "a fork's working directory": {
    file: FORK,
    replace: 'Deno.chdir("/");',
    by: "",
    test: FORK_TEST,
  },
  "a fork's environment": {
    file: FORK,
    replace: "    forgetEnvironment();\n",
    by: "",
    test: FORK_TEST,
  },
};
