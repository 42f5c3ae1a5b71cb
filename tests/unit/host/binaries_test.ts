import assert from "node:assert/strict";
import { findFirmware, findMonitor } from "../../../lib/host/binaries.ts";
import { HostError, InvalidConfigurationError } from "../../../lib/errors.ts";
import type { MonitorConfiguration } from "../../../lib/config/types.ts";
import type { Monitor } from "../../../lib/monitor/types.ts";

const MONITOR = {
  name: "qemu",
  debianPackage: "qemu-system-x86",
  binaryNames: ["qemu-one", "qemu-two"],
  dataPaths: [] as string[],
} as Partial<Monitor> as Monitor;

function withDirectory(test: (path: string) => void): void {
  const path = Deno.realPathSync(Deno.makeTempDirSync({ prefix: "urunc-bin-" }));
  try {
    test(path);
  } finally {
    Deno.removeSync(path, { recursive: true });
  }
}

function addFile(path: string, mode: number): void {
  Deno.writeTextFileSync(path, "");
  Deno.chmodSync(path, mode);
}

function configuration(parts: Partial<MonitorConfiguration>): MonitorConfiguration {
  return { capabilities: [], data_paths: [], ...parts };
}

Deno.test("the first name wins, in the first directory that has it", () => {
  withDirectory((path) => {
    for (const name of ["a", "b"]) Deno.mkdirSync(`${path}/${name}`);
    addFile(`${path}/a/qemu-two`, 0o755);
    addFile(`${path}/b/qemu-one`, 0o755);
    const { binary } = findMonitor(MONITOR, undefined, [`${path}/a`, `${path}/b`]);
    assert.equal(binary, `${path}/b/qemu-one`);
  });
});

Deno.test("symlinks to the binary are resolved", () => {
  withDirectory((path) => {
    addFile(`${path}/real`, 0o755);
    Deno.symlinkSync("real", `${path}/qemu-one`);
    assert.equal(findMonitor(MONITOR, undefined, [path]).binary, `${path}/real`);
  });
});

Deno.test("directories and files that cannot be executed are passed over", () => {
  withDirectory((path) => {
    Deno.mkdirSync(`${path}/qemu-one`);
    addFile(`${path}/qemu-two`, 0o644);
    assert.throws(() => findMonitor(MONITOR, undefined, [path, "/nonexistent"]), (error: Error) => {
      assert.ok(error instanceof HostError);
      assert.match(error.message, /qemu-one or qemu-two/);
      assert.match(error.message, new RegExp(`${path}, /nonexistent`));
      assert.match(error.message, /apt-get install qemu-system-x86\b/);
      assert.match(error.message, /monitors\.qemu\.path/);
      return true;
    });
  });
});

Deno.test("the caller's PATH does not matter", () => {
  withDirectory((path) => {
    addFile(`${path}/qemu-one`, 0o755);
    const saved = Deno.env.get("PATH") ?? "";
    Deno.env.set("PATH", `${path}:${saved}`);
    try {
      assert.throws(() => findMonitor(MONITOR, undefined), HostError);
    } finally {
      Deno.env.set("PATH", saved);
    }
  });
});

Deno.test("a configured binary is used without a search", () => {
  withDirectory((path) => {
    addFile(`${path}/mine`, 0o755);
    const { binary } = findMonitor(MONITOR, configuration({ path: `${path}/mine` }), []);
    assert.equal(binary, `${path}/mine`);
  });
});

for (const bad of ["relative/qemu", "/nonexistent/qemu", "/etc", "/etc/passwd"]) {
  Deno.test(`the configured binary ${bad} is refused`, () => {
    assert.throws(
      () => findMonitor(MONITOR, configuration({ path: bad })),
      (error: Error) =>
        error instanceof InvalidConfigurationError && error.message.includes(bad) &&
        error.message.includes("monitors.qemu.path"),
    );
  });
}

Deno.test("of the monitor's data those that exist are taken, configured ones must exist", () => {
  withDirectory((path) => {
    addFile(`${path}/qemu-one`, 0o755);
    addFile(`${path}/firmware.bin`, 0o644);
    const monitor = { ...MONITOR, dataPaths: [path, "/nonexistent"] };
    const configured = configuration({ data_paths: [`${path}/firmware.bin`] });
    assert.deepEqual(findMonitor(monitor, configured, [path]).dataPaths, [
      { path, kind: "directory" },
      { path: `${path}/firmware.bin`, kind: "file" },
    ]);
    for (const bad of ["/nonexistent", "firmware.bin"]) {
      assert.throws(
        () => findMonitor(monitor, configuration({ data_paths: [bad] }), [path]),
        (error: Error) =>
          error instanceof InvalidConfigurationError && error.message.includes(bad) &&
          error.message.includes("monitors.qemu.data_paths"),
      );
    }
  });
});

Deno.test("firmware is found by kind in its usual place, or where configured", () => {
  withDirectory((path) => {
    addFile(`${path}/real.bin`, 0o644);
    Deno.symlinkSync("real.bin", `${path}/bios.bin`);
    const debianPackage = "seabios";
    const monitor = {
      ...MONITOR,
      firmware: {
        qboot: { isBios: false, paths: ["/nonexistent/a", `${path}/none`], debianPackage },
        seabios: { isBios: true, paths: ["/nonexistent/a", `${path}/bios.bin`], debianPackage },
      },
    };
    assert.equal(findFirmware(monitor, undefined, true), `${path}/real.bin`);
    assert.equal(findFirmware(MONITOR, undefined, true), undefined);
    assert.throws(() => findFirmware(monitor, undefined, false), (error: Error) => {
      assert.ok(error instanceof HostError);
      assert.match(error.message, /\/nonexistent\/a or .* does not exist.*apt-get install seabios/);
      return error.message.includes("monitors.qemu.firmware.qboot");
    });
    // Beside a monitor of the operator's, as urunc-deploy of the Go implementation installs it.
    Deno.mkdirSync(`${path}/share/qemu`, { recursive: true });
    addFile(`${path}/share/qemu/bios.bin`, 0o644);
    for (const place of [`${path}/share`, `${path}/share/qemu`]) {
      const own = findFirmware(monitor, configuration({ data_paths: [place] }), true);
      assert.equal(own, `${path}/share/qemu/bios.bin`);
    }
    assert.equal(
      findFirmware(monitor, configuration({ data_paths: ["/nonexistent"] }), true),
      `${path}/real.bin`,
    );
    const configured = configuration({ firmware: { qboot: `${path}/bios.bin` } });
    assert.equal(findFirmware(monitor, configured, false), `${path}/real.bin`);
    for (const qboot of [path, `${path}/none`]) {
      assert.throws(
        () => findFirmware(monitor, configuration({ firmware: { qboot } }), false),
        InvalidConfigurationError,
      );
    }
  });
});
