/** What is thrown when a create failed, and what of its undoing is told with it. */
import assert from "node:assert/strict";
import { LinuxError } from "../../../ffi/linux.ts";
import { Store } from "../../../lib/container/store.ts";
import { undoCreate } from "../../../lib/container/undo.ts";
import { AlreadyExistsError } from "../../../lib/errors.ts";
import { DBusError } from "../../../lib/protocol/dbus/connection.ts";
import { STATE } from "./_state.ts";

const refusal = { errorName: "org.freedesktop.DBus.Error.AccessDenied", body: ["no"] };

const causes: { name: string; cause: Error }[] = [
  {
    name: "an error of urunc's",
    cause: new AlreadyExistsError({ operation: "create container", reason: "for a test" }),
  },
  {
    name: "a refusal of systemd's",
    cause: new DBusError(
      "start scope",
      refusal as unknown as ConstructorParameters<typeof DBusError>[1],
    ),
  },
  { name: "an error of the kernel's", cause: new LinuxError("sendmsg", "fd 9", 32) },
  { name: "a defect", cause: new TypeError("undefined is not a function") },
];

for (const { name, cause } of causes) {
  Deno.test(`${name} keeps its class and includes the hook's message from the undo`, async () => {
    const root = Deno.makeTempDirSync({ prefix: "urunc-store-" });
    try {
      const directory = new Store(`${root}/store`).create("one");
      const before = cause.message;
      const thrown = await undoCreate(directory, {
        ...STATE,
        pid: undefined,
        pidStartTime: undefined,
        cgroupPaths: [],
        hooks: { poststart: [], poststop: [{ path: "/bin/false", args: ["false"], env: [] }] },
      }, cause);
      assert.equal(thrown, cause);
      assert.ok(cause.message.startsWith(`${before}; when it was undone: `), cause.message);
      assert.match(cause.message, /poststop hook \/bin\/false/);
    } finally {
      Deno.removeSync(root, { recursive: true });
    }
  });
}
