import { runMain } from "./lib/entry.ts";
import { SILENT_OBSERVER } from "./lib/launch/observer.ts";

// The only place that ends the process.
runMain(Deno.args, SILENT_OBSERVER).then(Deno.exit);
