import assert from "node:assert/strict";
import {
  packAny,
  RuncOptions,
  RuntimeOptions,
  TaskStart,
} from "../../../lib/protocol/containerd/messages.ts";
import { decodeOptions } from "../../../lib/shim/task/options.ts";

const body = (text: string) => new TextEncoder().encode(text);

Deno.test("decodeOptions: without options, and with those of runc's shim", async () => {
  const none = { systemdCgroup: false, noNewKeyring: false, noPivotRoot: false };
  assert.deepEqual(await decodeOptions(undefined), none);
  const runc = await decodeOptions(
    packAny(RuncOptions, { root: "/r", binaryName: "crun", systemdCgroup: true, shimCgroup: "/s" }),
  );
  assert.deepEqual(runc, {
    ...none,
    root: "/r",
    runtime: "crun",
    systemdCgroup: true,
    shimCgroup: "/s",
  });
});

Deno.test("decodeOptions: generic ones, whose body is TOML", async () => {
  const options = await decodeOptions(packAny(RuntimeOptions, {
    configPath: "/c.toml",
    configBody: body('SystemdCgroup = true\nRoot = "/r"\nCriuPath = ""\nIoUid = 0\n'),
  }));
  assert.deepEqual(options, {
    systemdCgroup: true,
    noNewKeyring: false,
    noPivotRoot: false,
    root: "/r",
    configurationPath: "/c.toml",
  });
});

Deno.test("decodeOptions names unknown options", async () => {
  const refuses = async (text: string, says: RegExp) => {
    const any = packAny(RuntimeOptions, { configBody: body(text) });
    await assert.rejects(() => decodeOptions(any), says);
  };
  await refuses('Colour = "red"', /Colour: found "red"; allowed: the texts Root/);
  await refuses('SystemdCgroup = "yes"', /SystemdCgroup: found "yes"/);
  await refuses("= 1", /TOML/);
  const other = packAny(TaskStart, {});
  await assert.rejects(() => decodeOptions(other), /containerd\.events\.TaskStart/);
});
