import { runMain } from "./lib/cli/main.ts";
import { SILENT_OBSERVER } from "./lib/launch/observer.ts";

// The only place that ends the process.
Deno.exit(await runMain(Deno.args, SILENT_OBSERVER));
