import {
  BPF_CGROUP_DEVICE,
  BPF_F_ALLOW_MULTI,
  BPF_PROG_TYPE_CGROUP_DEVICE,
  bpfProgAttach,
  bpfProgDetach,
  bpfProgGetFdById,
  bpfProgLoad,
  bpfProgName,
  bpfProgQuery,
  close,
  LinuxError,
  O_DIRECTORY,
  O_RDONLY,
  open,
} from "../../../ffi/linux.ts";
import { deviceProgram } from "../../cgroups/device_program.ts";
import type { StepHandlers } from "../context.ts";

/** By it our own program is known among others. */
const PROGRAM_NAME = "urunc_devices";

/** Which devices the container's cgroup lets be opened, through any node. */
export const DEVICE_STEPS: StepHandlers<"deviceRule" | "deviceProgram"> = {
  deviceRule({ file, rule }) {
    Deno.writeTextFileSync(file, rule);
  },

  deviceProgram({ cgroup, allowed }) {
    const directory = open(cgroup, O_RDONLY | O_DIRECTORY);
    try {
      const former = bpfProgQuery(directory, BPF_CGROUP_DEVICE);
      const program = bpfProgLoad({
        type: BPF_PROG_TYPE_CGROUP_DEVICE,
        instructions: deviceProgram(allowed),
        name: PROGRAM_NAME,
      });
      // Every program must agree: one that systemd attached, here or above, keeps its say. It stays
      // for as long as the cgroup, even when nothing has it open.
      bpfProgAttach(directory, program, BPF_CGROUP_DEVICE, BPF_F_ALLOW_MULTI);
      close(program);
      for (const id of former) detachOurs(directory, id);
    } finally {
      close(directory);
    }
  },
};

/** A cgroup that stayed behind has the rules of the container before. */
function detachOurs(directory: number, id: number): void {
  let program: number;
  try {
    program = bpfProgGetFdById(id);
  } catch (error) {
    if (error instanceof LinuxError && error.code === "ENOENT") return;
    throw error;
  }
  try {
    if (bpfProgName(program) === PROGRAM_NAME) bpfProgDetach(directory, program, BPF_CGROUP_DEVICE);
  } finally {
    close(program);
  }
}
