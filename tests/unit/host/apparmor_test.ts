import assert from "node:assert/strict";
import { parseAppArmorProfile } from "../../../lib/host/apparmor.ts";

Deno.test("the profile's name without its mode", () => {
  const rows: [string, string][] = [
    ["docker-default (enforce)\n", "docker-default"],
    ["docker-default (complain)\n", "docker-default"],
    ["unconfined\n", "unconfined"],
    ["a (b) c (enforce)", "a (b) c"],
    ["unconfined\0", "unconfined"],
  ];
  for (const [text, name] of rows) assert.equal(parseAppArmorProfile(text), name);
});
