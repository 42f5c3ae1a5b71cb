/** A port for a further process, of a guest that ends or is deleted just then. */
import assert from "node:assert/strict";
import { close } from "../../../ffi/linux.ts";
import { takeExecPort } from "../../../lib/container/exec_port.ts";
import type { ContainerState } from "../../../lib/container/state.ts";
import { type ContainerDirectory, EXEC_DIRECTORY } from "../../../lib/container/store.ts";
import { WrongStateError } from "../../../lib/errors.ts";
import { removeIfThere } from "../../../lib/os/files.ts";
import { execPortToAdd, execSocket } from "../../../lib/plan/agent.ts";
import { askMonitor, type FakeMonitor, OK } from "../../support/control_socket.ts";

const STATE = { monitor: "qemu" } as ContainerState;

/** Of a container whose first port its guest has not got yet. What the monitor does knows the directory. */
async function take(monitor: (path: string) => FakeMonitor): Promise<unknown> {
  let path = "";
  const late: FakeMonitor = { answer: (line) => monitor(path).answer!(line) };
  const { outcome } = await askMonitor(late, async ({ controlSocket }) => {
    path = controlSocket.slice(0, controlSocket.lastIndexOf("/"));
    const exec = `${path}/${EXEC_DIRECTORY}`;
    Deno.mkdirSync(exec);
    Deno.writeTextFileSync(execPortToAdd(exec, 0), "");
    using _listener = Deno.listen({ transport: "unix", path: execSocket(exec, 0) });
    const directory = { id: "one", path } as ContainerDirectory;
    return await takeExecPort(directory, STATE).catch((error) => error);
  });
  return outcome;
}

Deno.test("a port is added and taken; that another has removed the file is not an error", async () => {
  for (const remove of [false, true]) {
    const port = await take((path) => ({
      answer: () => {
        const file = execPortToAdd(`${path}/${EXEC_DIRECTORY}`, 0);
        if (remove) removeIfThere(file);
        return OK;
      },
    })) as { socket: number; lock: number };
    assert.equal(typeof port.socket, "number", `${port}`);
    close(port.socket);
    close(port.lock);
  }
});

Deno.test("a monitor that exits while it is asked, or whose container is deleted, is not running", async () => {
  const exits = () => ({ answer: () => Promise.reject(new Error("exits")) });
  const isDeleted = (path: string) => ({
    answer: () => {
      removeIfThere(`${path}/${EXEC_DIRECTORY}`, { recursive: true });
      return OK;
    },
  });
  for (const monitor of [exits, isDeleted]) {
    const outcome = await take(monitor);
    assert.ok(outcome instanceof WrongStateError, `${outcome}`);
    const expected = /^exec in container one: container not running: its monitor has exited$/;
    assert.match(outcome.message, expected);
  }
});
