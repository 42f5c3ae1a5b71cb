import { runMain } from "./lib/cli/main.ts";
import { SILENT_OBSERVER } from "./lib/launch/observer.ts";

// The only place that ends the process.
runMain(Deno.args, SILENT_OBSERVER).then(Deno.exit);
